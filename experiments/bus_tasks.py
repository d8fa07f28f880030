"""`python -m experiments.bus_tasks --config=dream --out=DIR`: see README.md."""

import sys

from experiments.cli.process import main

if __name__ == "__main__":
    sys.exit(main("bus_tasks"))
