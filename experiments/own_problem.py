"""`python -m experiments.own_problem MODULE:CLASS --out=DIR`: see docs/own_problem.md."""

import sys

from dream_jax.config import ConfigError
from dream_jax.envs.adapters import own
from experiments.cli import process as common


def main(argv: list[str]) -> int:
    """The exit status, as of `common.main`."""
    name = argv[0] if argv else ""

    def work() -> int:
        if name in ("-h", "--help"):
            return common.main("MODULE:CLASS", ["--help"])
        if name.startswith("-") or not own.is_own(name):
            raise ConfigError(
                f"{name!r} is no MODULE:CLASS; give one first, like lamps:Lamps of lamps.py here"
            )
        return common.main(name, argv[1:])

    return common.exit_status(work, "interrupted before training began")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
