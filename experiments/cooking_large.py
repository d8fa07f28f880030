"""`python -m experiments.cooking_large --config=dream --out=DIR`: see README.md."""

import sys

from experiments.cli.process import main

if __name__ == "__main__":
    sys.exit(main("cooking_large"))
