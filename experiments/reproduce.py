"""`python -m experiments.reproduce --figure=3 --out=DIR`: a figure of the paper and its claims.

Runs every preset the figure needs as `python -m experiments.<benchmark>`, `--workers` at once, each
in a folder of its own under DIR/<budget>, with what it prints in NAME.log beside it (a run that is
finished is kept, one that was stopped goes on). Then writes `figure<N>.png` and `.svg`,
`figure<N>.csv` (statistics over seeds), `curves<N>.csv` (every evaluation) and `table<N>.csv`
(claim, measured, verdict). `--figure=all`: each of them.
"""

import functools
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from absl import flags

from dream_jax import config as configs
from dream_jax import presets
from dream_jax.config import ConfigError
from dream_jax.runs.folder import refuse_files
from experiments import bandit
from experiments.cli import flags as cli
from experiments.cli import parallel_commands as side_by_side
from experiments.cli import process as common

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
# Of these, a full run has four times the preset's trials: more than five times those that DREAM
# needs to 0.95, which are half to three quarters of its own (results.md).
_LONGER = ("e_rl2", "import", "varibad")
# What takes longest is begun first, so that no core is left idle at the end.
_SLOWEST = ("sign", "cooking", "varibad", "import", "e_rl2")

Job = tuple[str, str]  # benchmark, preset


class Options(NamedTuple):
    figures: tuple[int, ...]
    out: Path
    budget: str
    smoke: bool
    workers: int | None  # as `default_workers` says


def main(argv: list[str] | None = None) -> int:
    """Returns the exit status: 0 done, 1 a run failed, 2 bad input, 130 interrupted."""
    given = sys.argv[1:] if argv is None else argv
    return common.interruptible(lambda: run(parse(given)), "interrupted; the same command goes on")


def parse(argv: list[str]) -> Options:
    """Raises ConfigError, one clear line."""
    values = flags.FlagValues()
    figures = ", ".join(map(str, PANELS))
    flags.DEFINE_string("figure", None, f"of the paper: {figures} or all", flag_values=values)
    flags.DEFINE_string("out", None, "output folder", flag_values=values)
    flags.DEFINE_string("budget", "quick", "quick or full", flag_values=values)
    flags.DEFINE_integer(
        "workers", None, "runs at once; quick: one per core, full: 1", flag_values=values
    )
    flags.DEFINE_bool("smoke", False, "tiny sizes; proves nothing", flag_values=values)
    cli.parse_flags("reproduce", values, argv)
    wanted = PANELS if values.figure == "all" else [n for n in PANELS if values.figure == str(n)]
    if not wanted:
        raise ConfigError(f"--figure={values.figure or ''}: give one of {figures}, or all")
    if values.budget not in BUDGETS:
        near = configs.nearest(values.budget, list(BUDGETS))
        raise ConfigError(f"--budget={values.budget}: {near}")
    if values.workers is not None and values.workers < 1:
        raise ConfigError(f"--workers={values.workers} must be at least 1")
    out = Path(values.out or f"runs/figure{values.figure}")
    refuse_files(out)
    return Options(tuple(wanted), out, values.budget, values.smoke, values.workers)


def run(options: Options) -> int:
    """0, or 1 if a run failed: then its figure is drawn without it."""
    wanted = [job for figure in options.figures for job in jobs(figure, options.budget)]
    done = train_missing(wanted, options)
    from experiments.figures import claims as reproduce_report

    for figure in options.figures:
        mine = [job for job in jobs(figure, options.budget) if job in done]
        if mine:
            folders = {job: folder(*job, options) for job in mine}
            reproduce_report.write(options.out, figure, PANELS[figure], folders)
    return 0 if done == set(wanted) else 1


def train_missing(wanted: list[Job], options: Options) -> set[Job]:
    """Runs what has not been run; whatever has then been. Raises ConfigError before anything is run
    if a run that is there is another one, of older settings for example."""
    done = {job for job in wanted if finished(job, options)}
    left = sorted((job for job in wanted if job not in done), key=_speed)
    print(f"{len(wanted)} runs, {len(done)} of them done", flush=True)
    if not left:
        return done
    workers = min(options.workers or default_workers(options.budget), len(left))
    commands = [side_by_side.Command(command(*job, options), log(job, options)) for job in left]
    job_of = {one.log: job for one, job in zip(commands, left, strict=True)}
    for one in commands:
        print(f"{one.log}: {' '.join(one.line[1:])}", flush=True)
    for ended in side_by_side.run(commands, workers):
        benchmark, name = job = job_of[ended.command.log]
        if ended.status == 0 and finished(job, options):
            done.add(job)
            print(f"{benchmark} {name}: done in {ended.wall_s:.0f} s", flush=True)
        else:
            why = f"exit status {ended.status}: {ended.last_line}; see {ended.command.log}"
            print(f"error: experiments.{benchmark} --config={name}: {why}", file=sys.stderr)
    return done


def default_workers(budget: str) -> int:
    """One per core for quick, since a seed leaves other cores idle; 1 for full, and wherever there
    is an accelerator, since a run takes most of its memory."""
    if budget == "full":
        return 1
    # In a process of its own: this one must leave the accelerator to the runs.
    code = "import jax; print(jax.default_backend())"
    backend = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    return len(common.cores()) if backend.stdout.strip() == "cpu" else 1


def finished(job: Job, options: Options) -> bool:
    """Whether a run is there to its end. Raises ConfigError if what there is is of another one."""
    benchmark, _ = job
    parse = bandit.parse if benchmark == "bandit" else functools.partial(cli.parse, benchmark)
    parse(command(*job, options)[3:])
    return (folder(*job, options) / "summary.json").exists()


def _speed(job: Job) -> list[bool]:
    """Sorts the slowest first; the others stay in the order of the figures."""
    return [name not in job for name in _SLOWEST]


def jobs(figure: int, budget: str) -> list[Job]:
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


def log(job: Job, options: Options) -> Path:
    """What a run printed."""
    out = folder(*job, options)
    return out.with_name(f"{out.name}.log")


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
            trials = 4 * presets.get(benchmark, name).training.trials
            line.append(f"--config.training.trials={trials}")
    return [*line, f"--seeds={seeds}", *(["--smoke"] if options.smoke else [])]


if __name__ == "__main__":
    sys.exit(main())
