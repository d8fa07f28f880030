"""A grid or random search over fields of a config.

python -m experiments.sweep BENCHMARK --out=DIR --grid.GROUP.FIELD=VALUE,VALUE
    [--random.GROUP.FIELD=LOW:HIGH[:log] --samples=N] [--seeds=N] [--first_seed=N]
    [--config=PRESET] [--config.GROUP.FIELD=VALUE] [--pool=local|ray|slurm] [--workers=N]
    [--points_per_job=N] [--resume | --overwrite] [--smoke]

Every field may be swept but lists. Points that differ only in numbers of the compiled program
(`experiments.sweeps.space.SHARED`) are trained side by side in one job, with all their seeds. Every
other value is a job of its own. A job that fails is reported and the others continue. At the end
the sweep writes sweep.csv, sweep.png, and best/: the best point as a run folder, evaluated on all
splits.

Jobs save a checkpoint after every evaluation. Ctrl-C or SIGTERM stops them after the evaluation
period at hand. `--resume` runs the jobs that have no result yet, from their checkpoints.

Points are ranked on validation problems: an eighth of the training problems, or as many as
`--config.env.validation_problems` says, which no point trains on. Points are ranked on the training
problems with `--config.env.validation_problems=0`, where a family has fewer than 16 of them, and
where it tests on the same problems. No point is chosen by test returns. The seeds of the sweep have
seen the choice, so train the best point anew on others: --config=DIR/best/config.json.
"""

import contextlib
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from dream_jax import config as configs
from dream_jax.agents import registry
from dream_jax.config import Config, ConfigError
from dream_jax.envs.splits import split_names
from dream_jax.runs import live_line, provenance, resolve, summary
from dream_jax.runs.files import locked
from dream_jax.runs.folder import delete
from dream_jax.runs.metrics import write_json
from experiments.cli import flags as cli
from experiments.cli import process
from experiments.cli.command_line import CommandLine
from experiments.sweeps import best, folder, pools, report, space
from experiments.sweeps.folder import JobFiles
from experiments.sweeps.progress import Progress, SweepLine

# Everything that a sweep writes. The file that marks a folder as a sweep's comes last.
NAMES = (folder.JOBS, "slurm", best.FOLDER, *report.NAMES, folder.SWEEP_FILE)

LARGEST_SAMPLES = 100_000  # the driver holds every point
_TRAINING_PER_VALIDATION = 8


class Request(NamedTuple):
    """A sweep that somebody asked for."""

    config: Config
    seeds: tuple[int, ...]
    axes: list[space.Axis]
    points: list[dict[str, str]]
    configs: list[Config]  # of the points
    out: Path
    pool: str
    workers: int
    points_per_job: int
    resume: bool
    overwrite: bool


def main(argv: Sequence[str] | None = None) -> int:
    """0 done, 1 a job failed, 2 bad input. After an interruption `--resume` continues.

    130 after Ctrl-C; 75 after SIGTERM, SIGUSR1 or SIGUSR2.
    """
    given = sys.argv[1:] if argv is None else argv
    return process.interruptible(
        lambda: run_command(given), "interrupted; --resume continues with the jobs that are left"
    )


def run_command(argv: Sequence[str]) -> int:
    """The exit status. Raises ConfigError before anything is written."""
    request = parse(argv)
    if request is None:
        return 0
    with locked(request.out):
        # Again: another sweep may have come and gone since.
        folder.check(request.out, _record(request), request.resume, request.overwrite)
        return run(request)


def parse(argv: Sequence[str]) -> Request | None:
    """The sweep that a command line asks for; None after --print_config. Writes nothing.

    Raises:
      ConfigError: a bad flag, a point that is not possible, or a folder that it may not use.
    """
    named = [word for word in argv[:1] if not word.startswith("-")]
    benchmark = named[0] if named else ""
    line, values, rest = _sweep_flags(benchmark or "BENCHMARK", argv[len(named) :])
    resolve.check_benchmark(benchmark)
    axes, others = space.axes(rest)
    given = cli.read_flags(benchmark, others)
    config = _with_validation(cli.read_config(benchmark, given), given.overrides)
    if given.print_config:
        print(cli.as_json(config))
        return None
    space.check_axes(config, axes, given.overrides)
    if line.given("samples") and not any(axis.random for axis in axes):
        raise ConfigError(f"--samples={values.samples} is of a random search; give a --random....")
    if values.pool not in pools.POOLS:
        near = configs.nearest(values.pool, list(pools.POOLS))
        raise ConfigError(f"unknown pool {values.pool!r}; {near}")
    pools.check(values.pool)
    if values.samples > LARGEST_SAMPLES:
        raise ConfigError(f"--samples={values.samples} must be at most {LARGEST_SAMPLES:,}")
    points = space.points(config, axes, values.samples)
    request = Request(
        config=config,
        seeds=given.seeds,
        axes=axes,
        points=points,
        configs=[_checked_point(config, point) for point in points],
        out=Path(values.out).absolute(),  # the machines of a pool may be in other folders
        pool=values.pool,
        workers=values.workers,
        points_per_job=values.points_per_job,
        resume=values.resume,
        overwrite=values.overwrite,
    )
    folder.check(request.out, _record(request), request.resume, request.overwrite)
    return request


def run(request: Request) -> int:
    """Runs the jobs that have no result, then reports. 0, or 1 if a job failed."""
    jobs = _write_jobs(request)
    left = [path for path in jobs if folder.result(path) is None]
    runs = len(request.points) * len(request.seeds)
    print(
        f"{len(request.points)} points x {len(request.seeds)} seeds = {runs} runs in {len(jobs)} "
        f"jobs, {len(jobs) - len(left)} of them done",
        flush=True,
    )
    found = _Found(request, jobs)
    _run_jobs(request, left, found)
    swept = [axis.path for axis in request.axes]
    rows = report.rows(request.points, swept, found.records, found.failures, found.split)
    print(report.table(rows, swept, found.split), flush=True)
    title = f"{request.config.preset} on {request.config.benchmark}"
    report.write(request.out, rows, swept, found.split, title)
    print(f"written to {request.out}: {', '.join(report.NAMES)}", flush=True)
    good = _finish_best(request, found)
    return 0 if good and not found.failures else 1


class _Found:
    """What the jobs have found so far, and which point is the best."""

    def __init__(self, request: Request, jobs: Mapping[Path, tuple[int, ...]]):
        self.jobs, self._out = jobs, request.out
        self.split = space.ranking_split(resolve.checked_env(request.config))
        self.failures: dict[int, str] = {}  # by number of the point
        self.records: dict[int, Any] = {}  # by number of the point, without curves
        self.leader: tuple[float, int] | None = None  # return and number of the best point
        self._job_of = {number: path for path, numbers in jobs.items() for number in numbers}
        for path in jobs:
            self._read(path)
        self._keep_best(jobs)

    def update(self, path: Path) -> None:
        """Note the result of a job that has ended."""
        self._read(path)
        self._keep_best([path])

    def _read(self, path: Path) -> None:
        for number, record in (folder.result(path) or {}).items():
            self.records[int(number)] = {k: v for k, v in record.items() if k != "curve"}

    def _keep_best(self, jobs: Iterable[Path]) -> None:
        """Keep the run folder of the best point, and delete those of the others of these jobs."""
        self.leader = report.leader(self.records, self.split)
        number = None if self.leader is None else self.leader[1]
        source = None if number is None else JobFiles(self._job_of[number]).best
        done = [path for path in jobs if self.jobs[path][0] in self.records]
        best.keep(self._out, number, source, [JobFiles(path).best for path in done])


def _run_jobs(request: Request, left: list[Path], found: _Found) -> None:
    """Run these jobs in the pool of the request, and say how each ended."""
    progress = Progress(found.jobs, found.split)
    live = SweepLine(progress, sys.stdout) if live_line.is_terminal(sys.stdout) else None
    progress.ranked(found.leader)
    with live.shown() if live else contextlib.nullcontext():
        for path, error in pools.POOLS[request.pool](left, request.workers, request.out):
            if error is None and folder.result(path) is None:
                error = "it ended without a result"
            if error is not None:
                if live:
                    live.erase()
                log = JobFiles(path).log
                print(f"error: job {path.stem}: {error}; see {log}", file=sys.stderr, flush=True)
                found.failures |= dict.fromkeys(found.jobs[path], error)
            found.update(path)
            progress.ended(path)
            progress.ranked(found.leader)
            if error is None:
                (live.log if live else _say)(f"job {path.stem}: done; {progress.text()}")


def _finish_best(request: Request, found: _Found) -> bool:
    """Evaluate the best point, in the pool, as a run that is resumed. False if that failed."""
    out = request.out / best.FOLDER
    number = None if found.leader is None else found.leader[1]
    if number is None or best.point_of(out) != number:
        return True  # nothing was trained to the end, or the job was of an older version
    if not best.finished(out):
        path = request.out / folder.JOBS / "best.json"
        write_json(path, {"finish": str(out), "benchmark": request.config.benchmark})
        with live_line.busy("evaluating the best point, page and GIFs"):
            ((_, error),) = pools.POOLS[request.pool]([path], 1, request.out)
        if error is not None or not best.finished(out):
            reason, log = error or "it ended without a summary", JobFiles(path).log
            print(f"error: best point: {reason}; see {log}", file=sys.stderr)
            return False
    print(f"point {number} is the best. It is a run in {out}:")
    print(summary.describe(provenance.read_json(out / "summary.json")), flush=True)
    return True


def _say(line: str) -> None:
    print(line, flush=True)


def _sweep_flags(benchmark: str, argv: Sequence[str]) -> tuple[CommandLine, Any, list[str]]:
    """A sweep's own flags, their values, and the rest: axes, and the flags of a run."""
    line = CommandLine(f"experiments.sweep {benchmark}", f"\n{__doc__}")
    cli.define_folder_flags(line, f"runs/sweep_{benchmark.replace(':', '.')}", "sweep")
    line.text("pool", "local", f"where the jobs run: {', '.join(pools.POOLS)}")
    line.count("workers", 1, "jobs at once")
    line.count("samples", 16, "points of a random search")
    line.count("points_per_job", 16, "points of one job, at most")
    values, rest = line.read_known(argv, anywhere=True)
    return line, values, rest


def _with_validation(config: Config, overrides: Mapping[str, Any]) -> Config:
    """`config` with validation problems, where the command line leaves them open."""
    env = resolve.checked_env(config)
    train, test = set(env.problem_ids("train").tolist()), set(env.problem_ids("test").tolist())
    problems = len(train) // _TRAINING_PER_VALIDATION
    given = "env.validation_problems" in overrides or "validation" in split_names(env)
    if given or train == test or problems < 2:
        return config
    return configs.override(config, {"env.validation_problems": problems})


def _checked_point(config: Config, point: dict[str, str]) -> Config:
    """The config of a point. Raises ConfigError if its agent cannot be trained with it."""
    one = configs.override(config, point)
    if one.benchmark != config.benchmark:
        raise ConfigError(f"benchmark={one.benchmark!r}: a sweep is of one benchmark")
    registry.make(one, resolve.checked_env(one))
    return one


def _record(request: Request) -> dict[str, Any]:
    """What a sweep must agree with to be resumed."""
    return folder.record(request.config, request.seeds, request.points, request.points_per_job)


def _write_jobs(request: Request) -> dict[Path, tuple[int, ...]]:
    """Writes the folder and a file per job. The numbers of each job's points, by its file."""
    if request.overwrite:
        delete(request.out, NAMES)
    request.out.mkdir(parents=True, exist_ok=True)
    write_json(request.out / folder.SWEEP_FILE, _record(request))
    (request.out / folder.JOBS).mkdir(exist_ok=True)
    jobs: dict[Path, tuple[int, ...]] = {}
    for number, batch in enumerate(space.jobs(request.configs, request.points_per_job)):
        path = request.out / folder.JOBS / f"{number:04d}.json"
        jobs[path] = batch.points
        contents = {
            "config": configs.to_dict(batch.config),
            "values": [space.shared_values(request.configs[k]) for k in batch.points],
            "points": list(batch.points),
            "seeds": list(request.seeds),
        }
        write_json(path, contents)
    return jobs


if __name__ == "__main__":
    sys.exit(main())
