"""`python -m experiments.reproduce --figure=3 --out=DIR`: a figure of the paper and its claims.

Runs every preset of the figure as `python -m experiments.<benchmark>`, `--workers` at once. Each
has a folder of its own under DIR/<budget>, and its output is in NAME.log beside that folder. A
finished run is kept, a stopped one continues. Then the command writes `figure<N>.png` and `.svg`,
`figure<N>.csv` (statistics over seeds), `curves<N>.csv` (every evaluation) and `table<N>.csv`
(claim, measurement, verdict). `--figure=all` makes all of them.
"""

import functools
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from dream_jax import config as configs
from dream_jax import presets
from dream_jax.config import ConfigError
from dream_jax.runs.folder import refuse_files
from experiments import bandit
from experiments.cli import flags as cli
from experiments.cli import parallel_commands, process
from experiments.cli.command_line import CommandLine
from experiments.figures import claims
from experiments.figures.paper import PANELS, PRESETS, agent_class

BUDGETS = ("quick", "full")
_SEEDS = {"quick": 1, "full": 3}
_BANDIT_SEEDS = {"quick": 10, "full": 100}
_QUICK_BANDIT = ("--config.action_counts=4,8,16", "--config.max_trials=65536")
# An agent that acts on the whole trial has this many times the preset's trials in a full run: more
# than five times those that DREAM needs to 0.95, which are half to three quarters of its own.
_LONGER = 4
_SLOWEST = ("sign", "cooking")  # benchmarks

Job = tuple[str, str]  # benchmark, preset


class Options(NamedTuple):
    """What the command line asks for."""

    figures: tuple[int, ...]
    out: Path
    budget: str
    smoke: bool
    workers: int | None  # None: see `default_workers`
    first_seed: int = 0


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
    line.text("budget", "quick", "quick or full")
    line.count("workers", None, "runs at once (default: one per core if quick, 1 if full)")
    line.count("first_seed", 0, "the smallest seed of each run", least=0)
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
    wanted = [job for figure in options.figures for job in jobs(figure, options.budget)]
    done = train_missing(wanted, options)
    for figure in options.figures:
        mine = [job for job in jobs(figure, options.budget) if job in done]
        if mine:
            folders = {job: folder(*job, options) for job in mine}
            claims.write(options.out, figure, PANELS[figure], folders)
    return 0 if done == set(wanted) else 1


def train_missing(wanted: list[Job], options: Options) -> set[Job]:
    """Runs every job that is not finished. Returns the finished ones.

    Raises:
      ConfigError: a folder holds another run, for example one with older settings. Nothing has been
        run then.
    """
    done = {job for job in wanted if finished(job, options)}
    left = sorted((job for job in wanted if job not in done), key=_speed)
    print(f"{len(wanted)} runs, {len(done)} of them done", flush=True)
    if not left:
        return done
    workers = min(options.workers or default_workers(options.budget), len(left))
    job_of = {log(job, options): job for job in left}
    commands = [
        parallel_commands.Command(command(*job, options), log(job, options)) for job in left
    ]
    for one in commands:
        print(f"{one.log}: {' '.join(one.line[1:])}", flush=True)
    for ended in parallel_commands.run(commands, workers):
        benchmark, name = job = job_of[ended.command.log]
        if ended.status == 0 and finished(job, options):
            done.add(job)
            print(f"{benchmark} {name}: done in {ended.wall_s:.0f} s", flush=True)
        else:
            reason = f"exit status {ended.status}: {ended.last_line}; see {ended.command.log}"
            print(f"error: experiments.{benchmark} --config={name}: {reason}", file=sys.stderr)
    return done


def default_workers(budget: str) -> int:
    """One per core if quick, since a run of one seed leaves the other cores idle; 1 if full.

    Also 1 with an accelerator, since one run takes most of its memory.
    """
    if budget == "full":
        return 1
    # A process of its own asks: this one must leave the accelerator to the runs.
    code = "import jax; print(jax.default_backend())"
    backend = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    return len(process.cores()) if backend.stdout.strip() == "cpu" else 1


def finished(job: Job, options: Options) -> bool:
    """Whether a run has finished. Raises ConfigError if its folder holds another run."""
    benchmark, _ = job
    parse = bandit.parse if benchmark == "bandit" else functools.partial(cli.parse, benchmark)
    parse(command(*job, options)[3:])
    return (folder(*job, options) / "summary.json").exists()


def _speed(job: Job) -> list[bool]:
    """Sorts the slowest first, so that no core is idle at the end.

    Equally slow jobs stay in the order of the figures.
    """
    benchmark, name = job
    whole_trial = name in PRESETS and agent_class(name).acts_on_whole_trial
    return [*(benchmark != slow for slow in _SLOWEST), not whole_trial]


def jobs(figure: int, budget: str) -> list[Job]:
    """(benchmark, preset) of every run of a figure. A quick run of sign trains DREAM alone."""
    if not PANELS[figure]:
        return [("bandit", "paper")]
    benchmarks = dict.fromkeys(benchmark for benchmark, _ in PANELS[figure])
    trained = [name for name in PRESETS if not agent_class(name).analytic]
    left_out = trained[1:] if budget == "quick" else []
    every = [(benchmark, name) for benchmark in benchmarks for name in PRESETS]
    return [(b, name) for b, name in every if b != "sign" or name not in left_out]


def folder(benchmark: str, name: str, options: Options) -> Path:
    """The folder of a run. Each budget has its own."""
    budget = f"{options.budget}-smoke" if options.smoke else options.budget
    return options.out / budget / f"{benchmark}-{name}"


def log(job: Job, options: Options) -> Path:
    """The file with the output of a run."""
    out = folder(*job, options)
    return out.with_name(f"{out.name}.log")


def command(benchmark: str, name: str, options: Options) -> list[str]:
    """The command line of a run. Its --resume also starts a run that does not exist yet."""
    out = folder(benchmark, name, options)
    line = [sys.executable, "-m", f"experiments.{benchmark}", f"--config={name}", f"--out={out}"]
    line.append("--resume")
    if benchmark == "bandit":
        seeds = 4 if options.smoke else _BANDIT_SEEDS[options.budget]
        line += _QUICK_BANDIT if options.budget == "quick" and not options.smoke else ()
    else:
        agent = agent_class(name)
        seeds = 1 if agent.analytic else _SEEDS[options.budget]
        if options.budget == "full" and agent.acts_on_whole_trial and not options.smoke:
            trials = _LONGER * presets.get(benchmark, name).training.trials
            line.append(f"--config.training.trials={trials}")
    line += [f"--seeds={seeds}", f"--first_seed={options.first_seed}"]
    return [*line, *(["--smoke"] if options.smoke else [])]


if __name__ == "__main__":
    sys.exit(main())
