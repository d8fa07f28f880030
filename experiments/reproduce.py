"""`python -m experiments.reproduce --figure=3 --out=DIR`: a figure of the paper and its claims.

Trains every run behind the figure that DIR does not have yet, one seed each, `--workers` at once. A
finished run is kept, a stopped one continues. Then the command writes `figure<N>.png` and `.svg`,
`figure<N>.csv` (statistics over seeds), `curves<N>.csv` (every evaluation) and `table<N>.csv`
(claim, budget, seeds, measurement, interval, verdict). `--figure=all` makes all of them. Runs are
in DIR/STUDY/NAME, as those of `experiments.results`, so both commands share them.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from dream_jax import config as configs
from dream_jax.config import ConfigError
from dream_jax.runs.folder import refuse_files
from experiments.cli import process
from experiments.cli.command_line import CommandLine
from experiments.figures import paper_figures, records, studies, training_queue
from experiments.figures.groups import group
from experiments.figures.listed_runs import FIRST_SEED, Listed, Setting
from experiments.figures.paper import PANELS

BUDGETS = ("quick", "full")


class Options(NamedTuple):
    """What the command line asks for."""

    figures: tuple[int, ...]
    out: Path
    budget: str
    smoke: bool
    workers: int | None  # None: see `training_queue.default_workers`
    first_seed: int = FIRST_SEED

    @property
    def runs_folder(self) -> Path:
        """Where the runs are: STUDY/NAME below it."""
        return self.out / "smoke" if self.smoke else self.out


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0 done, 1 a run failed, 2 bad input, 130 interrupted."""
    given = sys.argv[1:] if argv is None else argv
    return process.interruptible(
        lambda: run(parse(given)), "interrupted; the same command continues"
    )


def parse(argv: Sequence[str]) -> Options:
    """Raises ConfigError, one clear line. Writes nothing."""
    figures = ", ".join(map(str, PANELS))
    line = CommandLine("experiments.reproduce", f"\n{__doc__}")
    line.text("figure", None, f"of the paper: {figures} or all")
    line.text("out", None, "output folder (default: runs/figure<N>)")
    line.text("budget", "quick", "quick: one seed and fewer runs; full: five seeds (sign: three)")
    line.count("workers", None, "runs at once (default: one per core; one with an accelerator)")
    line.count("first_seed", FIRST_SEED, "the smallest seed", least=0)
    line.switch("smoke", "tiny sizes: proves nothing")
    values = line.read(argv)
    wanted = PANELS if values.figure == "all" else [n for n in PANELS if values.figure == str(n)]
    if not wanted:
        raise ConfigError(f"--figure={values.figure or ''}: give one of {figures}, or all")
    if values.budget not in BUDGETS:
        near = configs.nearest(values.budget, list(BUDGETS))
        raise ConfigError(f"--budget={values.budget}: {near}")
    out = Path(values.out or f"runs/figure{values.figure}")
    refuse_files(out)
    return Options(
        tuple(wanted), out, values.budget, values.smoke, values.workers, values.first_seed
    )


def run(options: Options) -> int:
    """0, or 1 if a run failed. The figure of a failed run is drawn without it."""
    wanted = dict.fromkeys(run for number in options.figures for run in runs(number, options))
    known: dict[str, records.Record] = {}
    earlier = records.read(records.DATA)  # for estimates of time alone
    for landed in training_queue.train(
        list(wanted), options.runs_folder, options.workers, earlier, options.smoke
    ):
        known[landed.run.path] = records.of_folder(landed.folder, landed.run)
    for number in options.figures:
        mine = [run for run in runs(number, options) if run.path in known]
        if mine:
            folders = {run: training_queue.folder(run, options.runs_folder) for run in mine}
            found = {
                (each.benchmark, each.preset): group(
                    each, each.runs(options.first_seed), known, checked=True
                )
                for each in settings(number, options)
            }
            paper_figures.write(options.out, number, found, list(folders.values()))
            names = ("png", "svg", "csv")
            files = [f"figure{number}.{end}" for end in names] + [f"table{number}.csv"]
            print(f"figure {number} is in {options.out}: {', '.join(files)}", flush=True)
    return 0 if len(known) == len(wanted) else 1


def settings(figure: int, options: Options) -> list[Setting]:
    """The settings behind a figure."""
    return studies.of_figure(PANELS[figure], options.budget)


def runs(figure: int, options: Options) -> list[Listed]:
    """The runs behind a figure."""
    return [run for each in settings(figure, options) for run in each.runs(options.first_seed)]


if __name__ == "__main__":
    sys.exit(main())
