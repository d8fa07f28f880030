"""`python -m experiments.cooking --config=dream --out=runs/cooking`: see README.md."""

import sys

from experiments.common import main

if __name__ == "__main__":
    sys.exit(main("cooking"))
