"""A grid or random search over fields of a config.

python -m experiments.sweep BENCHMARK --out=DIR --grid.GROUP.FIELD=VALUE,VALUE
    [--random.GROUP.FIELD=LOW:HIGH[:log] --samples=N] [--seeds=N] [--first_seed=N]
    [--config=PRESET] [--config.GROUP.FIELD=VALUE] [--pool=local|ray|slurm] [--workers=N]
    [--points_per_job=N] [--resume | --overwrite] [--smoke]

Every field may be swept but lists. Points that differ only in numbers of the compiled program
(`experiments.sweeps.space.SHARED`) are trained side by side in one job, with all their seeds. Every
other value is a job of its own. A job that fails is reported and the others continue; `--resume`
runs the jobs that have no result yet. At the end the sweep writes sweep.csv and sweep.png.

Points are ranked on validation problems: an eighth of the training problems, or as many as
`--config.env.validation_problems` says, which no point trains on. Points are ranked on the training
problems with `--config.env.validation_problems=0`, where a family has fewer than 16 of them, and
where it tests on the same problems. Test returns are never looked at: train the best point anew, on
seeds of its own.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from dream_jax import config as configs
from dream_jax.agents import registry
from dream_jax.config import Config, ConfigError
from dream_jax.envs.splits import split_names
from dream_jax.runs import resolve
from dream_jax.runs.files import locked
from dream_jax.runs.folder import delete
from dream_jax.runs.metrics import write_json
from experiments.cli import flags as cli
from experiments.cli import process
from experiments.cli.command_line import CommandLine
from experiments.sweeps import folder, pools, report, space

# Everything that a sweep writes. The file that marks a folder as a sweep's comes last.
NAMES = (folder.JOBS, "slurm", *report.NAMES, folder.SWEEP_FILE)

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
    """0 done, 1 a job failed, 2 bad input, 130 interrupted (`--resume` continues)."""
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
    failures: dict[int, str] = {}  # by number of the point
    for path, error in pools.POOLS[request.pool](left, request.workers, request.out):
        if error is None and folder.result(path) is None:
            error = "it ended without a result"
        if error is None:
            print(f"job {path.stem}: done", flush=True)
        else:
            log = path.with_suffix(".log")
            print(f"error: job {path.stem}: {error}; see {log}", file=sys.stderr)
            failures |= dict.fromkeys(jobs[path], error)
    records = {int(k): record for path in jobs for k, record in (folder.result(path) or {}).items()}
    swept = [axis.path for axis in request.axes]
    split = space.ranking_split(resolve.checked_env(request.config))
    rows = report.rows(request.points, swept, records, failures, split)
    title = f"{request.config.preset} on {request.config.benchmark}"
    report.write(request.out, rows, swept, split, title)
    print(report.table(rows, swept, split), flush=True)
    print(f"written to {request.out}: {', '.join(report.NAMES)}", flush=True)
    return 1 if failures else 0


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
