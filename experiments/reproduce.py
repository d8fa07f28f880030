"""`python -m experiments.reproduce --figure=3 --out=DIR`: a figure of the paper and its claims.

Runs every preset the figure needs as `python -m experiments.<benchmark>`, each in a folder of its
own under DIR/<budget> (a run that is finished is kept, one that was stopped goes on), then writes
`figure<N>.png` and `.svg`, `figure<N>.csv` (statistics over seeds) and `table<N>.csv` (claim,
measured, verdict). `--figure=all`: each of them.
"""

import functools
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from absl import flags

from dream_jax import config as configs
from dream_jax.config import ConfigError
from experiments import bandit, cli, common, presets

BUDGETS = ("quick", "full")
ANALYTIC = ("optimal", "no_exploration", "pearl_ub")
LEARNERS = ("dream", "dream_no_bottleneck", "e_rl2", "import", "varibad")
# Figure 3 is the bandit's. A panel of the others: benchmark, split.
PANELS: dict[int, tuple[tuple[str, str], ...]] = {
    3: (),
    6: (("distracting_bus", "test"), ("map", "test")),
    7: (("cooking", "train"), ("cooking", "test"), ("sign", "test")),
}
_SEEDS = {"quick": 1, "full": 3}
_BANDIT_SEEDS = {"quick": 10, "full": 100}
_QUICK_BANDIT = ("--config.action_counts=4,8,16", "--config.max_trials=65536")
# Of these, a full run is three times as long as the preset says: more than four times what DREAM
# needs to 0.95, which is half to two thirds of its own (results.md).
_LONGER = ("e_rl2", "import", "varibad")


class Options(NamedTuple):
    figures: tuple[int, ...]
    out: Path
    budget: str
    smoke: bool


def main(argv: list[str] | None = None) -> int:
    """Returns the exit status: 0 done, 1 a run failed, 2 bad input, 130 interrupted."""
    given = sys.argv[1:] if argv is None else argv
    return common.exit_status(lambda: run(parse(given)), "interrupted; the same command goes on")


def parse(argv: list[str]) -> Options:
    """Raises ConfigError, one clear line."""
    values = flags.FlagValues()
    figures = ", ".join(map(str, PANELS))
    flags.DEFINE_string("figure", None, f"of the paper: {figures} or all", flag_values=values)
    flags.DEFINE_string("out", None, "output folder", flag_values=values)
    flags.DEFINE_string("budget", "quick", "quick or full", flag_values=values)
    flags.DEFINE_bool("smoke", False, "tiny sizes; proves nothing", flag_values=values)
    cli.parse_flags("reproduce", values, argv)
    wanted = PANELS if values.figure == "all" else [n for n in PANELS if values.figure == str(n)]
    if not wanted:
        raise ConfigError(f"--figure={values.figure or ''}: give one of {figures}, or all")
    if values.budget not in BUDGETS:
        near = configs.nearest(values.budget, list(BUDGETS))
        raise ConfigError(f"--budget={values.budget}: {near}")
    out = Path(values.out or f"runs/figure{values.figure}")
    cli.refuse_files(out)
    return Options(tuple(wanted), out, values.budget, values.smoke)


def run(options: Options) -> int:
    """0, or 1 if a run failed: then its figure is drawn without it."""
    return max([run_figure(figure, options) for figure in options.figures])


def run_figure(figure: int, options: Options) -> int:
    """The runs that are missing, then picture and tables of all that there are."""
    wanted = jobs(figure, options.budget)
    failed = [job for job in wanted if not ensure(*job, options)]
    for benchmark, name in failed:
        print(f"error: experiments.{benchmark} --config={name} failed", file=sys.stderr)
    from experiments import reproduce_report

    done = {job: folder(*job, options) for job in wanted if job not in failed}
    if done:
        reproduce_report.write(options.out, figure, PANELS[figure], done)
    return 1 if failed else 0


def jobs(figure: int, budget: str) -> list[tuple[str, str]]:
    """(benchmark, preset) of every run a figure needs. From pixels, quick trains DREAM alone."""
    if figure == 3:
        return [("bandit", "paper")]
    benchmarks = dict.fromkeys(benchmark for benchmark, _ in PANELS[figure])
    every = [(benchmark, name) for benchmark in benchmarks for name in (*ANALYTIC, *LEARNERS)]
    left_out = LEARNERS[1:] if budget == "quick" else ()
    return [(b, name) for b, name in every if b != "sign" or name not in left_out]


def folder(benchmark: str, name: str, options: Options) -> Path:
    """A budget's runs stay apart from another's."""
    budget = f"{options.budget}-smoke" if options.smoke else options.budget
    return options.out / budget / f"{benchmark}-{name}"


def command(benchmark: str, name: str, options: Options) -> list[str]:
    """One run's command line; --resume starts what was never started too."""
    out = folder(benchmark, name, options)
    line = [sys.executable, "-m", f"experiments.{benchmark}", f"--config={name}", f"--out={out}"]
    line.append("--resume")
    if benchmark == "bandit":
        seeds = 4 if options.smoke else _BANDIT_SEEDS[options.budget]
        line += _QUICK_BANDIT if options.budget == "quick" and not options.smoke else ()
    else:
        seeds = 1 if name in ANALYTIC else _SEEDS[options.budget]
        if options.budget == "full" and name in _LONGER and not options.smoke:
            trials = 3 * presets.preset(benchmark, name).training.trials
            line.append(f"--config.training.trials={trials}")
    return [*line, f"--seeds={seeds}", *(["--smoke"] if options.smoke else [])]


def ensure(
    benchmark: str, name: str, options: Options, call: Callable[[list[str]], int] | None = None
) -> bool:
    """Runs a preset unless it has been run; whether there is a finished run now.

    Raises ConfigError if the run that is there is another one, of older settings for example.
    """
    line = command(benchmark, name, options)
    summary = folder(benchmark, name, options) / "summary.json"
    if summary.exists():
        parse = bandit.parse if benchmark == "bandit" else functools.partial(cli.parse, benchmark)
        parse(line[3:])
    else:
        print(" ".join(line[1:]), flush=True)
        if (call or _call)(line) != 0:
            return False
    return summary.exists()


def _call(line: list[str]) -> int:
    """Exit status of a process. Ctrl-C reaches it too: it is waited for, and saves."""
    child = subprocess.Popen(line)
    try:
        return child.wait()
    except KeyboardInterrupt:
        child.wait()
        raise


if __name__ == "__main__":
    sys.exit(main())
