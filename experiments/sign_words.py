"""`python -m experiments.sign_words --config=dream --out=DIR`: see README.md."""

import sys

from experiments.cli.process import main

if __name__ == "__main__":
    sys.exit(main("sign_words"))
