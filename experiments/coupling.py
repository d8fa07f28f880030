"""`python -m experiments.coupling --out=FILE`: the coupling cycle on the bandit, as a page.

RL2 and DREAM of Section 5.2 are run side by side, and the page plays their trials: what exploration
did, what it is worth, and whether exploitation can use it. The page is one file that a browser
opens, and asks for nothing else.
"""

import shlex
import sys
from pathlib import Path

from dream_jax.config import ConfigError
from dream_jax.runs.folder import LARGEST_SEED
from dream_jax.viz import report_page
from experiments.cli import process
from experiments.cli.command_line import CommandLine
from experiments.figures import coupling
from experiments.report import page_file

MOST_ACTIONS, MOST_TRIALS, MOST_SEEDS = 16, 5_000, 10  # or the page gets large


def parse(argv: list[str]) -> tuple[int, list[int], int, Path]:
    """Actions, seeds, trials and the page. Raises ConfigError, one clear line."""
    line = CommandLine("experiments.coupling", f"\n{__doc__}")
    line.text("out", "coupling.html", "the page")
    line.count("actions", 8, "A: arms, and exploration actions", least=2)
    line.count("trials", 1_500, "of each seed")
    line.count("seeds", 3, "seeds to choose from on the page")
    line.count("first_seed", 0, "the smallest seed", least=0)
    values = line.read(argv)
    limits = {"actions": MOST_ACTIONS, "trials": MOST_TRIALS, "seeds": MOST_SEEDS}
    for name, most in (limits | {"first_seed": LARGEST_SEED - MOST_SEEDS}).items():
        if getattr(values, name) > most:
            raise ConfigError(f"--{name}={getattr(values, name)} must be at most {most:,}")
    seeds = list(range(values.first_seed, values.first_seed + values.seeds))
    return values.actions, seeds, values.trials, page_file(values.out, "out")


def run(argv: list[str]) -> int:
    actions, seeds, trials, out = parse(argv)
    process.set_up_jax()
    data = coupling.data(actions, seeds, trials)
    command = shlex.join(["python", "-m", "experiments.coupling", *argv])
    out.parent.mkdir(parents=True, exist_ok=True)
    report_page.write_whole(out, report_page.render_coupling(data, command))
    for one in data["seeds"]:
        words = [
            f"{run['name']} {'not yet' if run['optimal_after'] is None else run['optimal_after']}"
            for run in one["methods"]
        ]
        print(f"seed {one['seed']}: trials until exploration is optimal: {', '.join(words)}")
    print(f"written to {out}")
    return 0


def main(argv: list[str] | None = None) -> int:
    """0 done, 1 a file cannot be written, 2 bad input."""
    given = sys.argv[1:] if argv is None else argv
    return process.exit_status(lambda: run(given), "interrupted")


if __name__ == "__main__":
    sys.exit(main())
