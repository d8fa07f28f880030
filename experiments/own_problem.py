"""`python -m experiments.own_problem MODULE:CLASS --out=DIR`: see docs/own_problem.md."""

import sys
from collections.abc import Sequence

from dream_jax.config import ConfigError
from dream_jax.envs.adapters import own
from experiments.cli import process


def main(argv: Sequence[str]) -> int:
    """The exit status: see `process.main`."""
    name = argv[0] if argv else ""

    def work() -> int:
        if name in ("-h", "--help"):
            return process.main("MODULE:CLASS", ["--help"])
        if name.startswith("-") or not own.is_own(name):
            raise ConfigError(
                f"{name!r} is not MODULE:CLASS; give the class first, for example lamps:Lamps of a "
                "lamps.py in this folder"
            )
        return process.main(name, argv[1:])

    return process.exit_status(work, "interrupted before training began")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
