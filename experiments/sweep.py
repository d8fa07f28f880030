"""A grid or random search over any fields of a config but lists.

python -m experiments.sweep BENCHMARK --out=DIR --grid.GROUP.FIELD=VALUE,VALUE
    [--random.GROUP.FIELD=LOW:HIGH[:log] --samples=N] [--seeds=N] [--config=PRESET]
    [--config.GROUP.FIELD=VALUE] [--pool=local|ray|slurm] [--workers=N] [--points_per_job=N]
    [--resume | --overwrite] [--smoke]

Points that differ only in numbers of the program (`sweep_space.SHARED`) and all seeds are trained
side by side in one; every other value is a job of its own. A job that fails is reported and the
others go on; `--resume` runs those that have no result yet. At the end: sweep.csv and sweep.png.
"""

import contextlib
import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

from absl import flags

from dream_jax import config as configs
from dream_jax.agents import registry
from dream_jax.config import Config, ConfigError
from dream_jax.runs.folder import delete, refuse_differences, refuse_files
from dream_jax.runs.metrics import write_json
from experiments.cli import flags as cli
from experiments.cli import process as common
from experiments.sweeps import pools as sweep_pools
from experiments.sweeps import report as sweep_report
from experiments.sweeps import space as sweep_space

SWEEP_FILE, JOBS = "sweep.json", "jobs"
# All that a sweep writes; the one that tells it for a sweep last.
NAMES = (JOBS, "slurm", *sweep_report.NAMES, SWEEP_FILE)


class Request(NamedTuple):
    config: Config
    seeds: tuple[int, ...]
    axes: list[sweep_space.Axis]
    points: list[dict[str, str]]
    configs: list[Config]  # of the points
    out: Path
    pool: str
    workers: int
    points_per_job: int
    resume: bool
    overwrite: bool

    def record(self) -> dict[str, Any]:
        """What a sweep must agree with to be resumed."""
        return {
            "config": configs.to_dict(self.config),
            "seeds": list(self.seeds),
            "points": self.points,
            "points_per_job": self.points_per_job,
        }


def parse(argv: list[str]) -> Request:
    """Raises ConfigError, one clear line. Writes nothing."""
    named = [word for word in argv[:1] if not word.startswith("-")]
    benchmark = named[0] if named else ""
    values, rest = _flags(benchmark or "BENCHMARK", argv[len(named) :])
    cli.check_benchmark(benchmark)
    axes, others = _axes(rest)
    given = cli.read_flags(benchmark, others)
    config = cli.read_config(benchmark, given)
    if not axes:
        raise ConfigError("nothing to sweep; give --grid.GROUP.FIELD=VALUES or --random....")
    fields = configs.paths(configs.to_dict(config))
    paths = [axis.path for axis in axes]
    for path in paths:
        if paths.count(path) > 1:
            raise ConfigError(f"{path} is swept twice; give one --grid or --random of it")
        if path in given.overrides:
            raise ConfigError(f"{path} is swept and set; leave out --config.{path}")
        if path == "preset":
            raise ConfigError("preset is only a name; sweep agent, or run a sweep of each --config")
        if isinstance(fields.get(path), list | tuple):
            raise ConfigError(f"{path} is a list and cannot be swept; give --config.{path}")
    for name in ("workers", "samples", "points_per_job"):
        number: int = getattr(values, name)
        if number < 1:
            raise ConfigError(f"--{name}={number} must be at least 1")
    if values["samples"].present and not any(axis.random for axis in axes):
        raise ConfigError(f"--samples={values.samples} is of a random search; give a --random....")
    if values.pool not in sweep_pools.POOLS:
        near = configs.nearest(values.pool, list(sweep_pools.POOLS))
        raise ConfigError(f"unknown pool {values.pool!r}; {near}")
    sweep_pools.check(values.pool)
    points = sweep_space.points(config, axes, values.samples)
    every = [configs.override(config, point) for point in points]
    for one in every:
        if one.benchmark != benchmark:
            raise ConfigError(f"benchmark={one.benchmark!r}: a sweep is of one benchmark")
        registry.make(one, cli.checked_env(one))  # refuses what this agent cannot do here
    request = Request(
        config,
        tuple(range(given.seeds)),
        axes,
        points,
        every,
        Path(values.out).absolute(),  # machines of a pool may be in other folders
        values.pool,
        values.workers,
        values.points_per_job,
        values.resume,
        values.overwrite,
    )
    _check_folder(request)
    return request


def run(request: Request) -> int:
    """0, or 1 if a job failed."""
    out, folder = request.out, request.out / JOBS
    if request.overwrite:
        delete(out, NAMES)
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / SWEEP_FILE, request.record())
    folder.mkdir(exist_ok=True)
    jobs: dict[Path, tuple[int, ...]] = {}
    for number, job in enumerate(sweep_space.jobs(request.configs, request.points_per_job)):
        path = folder / f"{number:04d}.json"
        jobs[path] = job.points
        contents = {
            "config": configs.to_dict(job.config),
            "values": [sweep_space.shared_values(request.configs[k]) for k in job.points],
            "points": list(job.points),
            "seeds": list(request.seeds),
        }
        write_json(path, contents)
    left = [path for path in jobs if _result(path) is None]
    lanes = len(request.points) * len(request.seeds)
    print(
        f"{len(request.points)} points x {len(request.seeds)} seeds = {lanes} runs in {len(jobs)} "
        f"jobs, {len(jobs) - len(left)} of them done",
        flush=True,
    )
    failures: dict[int, str] = {}
    for path, error in sweep_pools.POOLS[request.pool](left, request.workers, out):
        if error is None and _result(path) is None:
            error = "it ended without a result"
        if error is None:
            print(f"job {path.stem}: done", flush=True)
        else:
            log = path.with_suffix(".log")
            print(f"error: job {path.stem}: {error}; see {log}", file=sys.stderr)
            failures |= dict.fromkeys(jobs[path], error)
    records = {int(k): record for path in jobs for k, record in (_result(path) or {}).items()}
    swept = [axis.path for axis in request.axes]
    rows = sweep_report.rows(request.points, swept, records, failures)
    sweep_report.write(out, rows, swept, f"{request.config.preset} on {request.config.benchmark}")
    print(sweep_report.table(rows, swept), flush=True)
    print(f"written to {out}: {', '.join(sweep_report.NAMES)}", flush=True)
    return 1 if failures else 0


def main(argv: list[str] | None = None) -> int:
    """0 done, 1 a job failed, 2 bad input, 130 interrupted (`--resume` goes on)."""
    given = sys.argv[1:] if argv is None else argv
    return common.interruptible(
        lambda: run(parse(given)), "interrupted; --resume goes on with the jobs that are left"
    )


def _axes(argv: list[str]) -> tuple[list[sweep_space.Axis], list[str]]:
    """What --grid and --random say, and the other arguments."""
    axes, others = [], []
    for argument in argv:
        name, equals, text = argument.partition("=")
        kind = next((k for k in ("grid", "random") if name.startswith(f"--{k}.")), None)
        if kind is None:
            others.append(argument)
            continue
        if not equals:
            raise ConfigError(f"{argument}: write it as {name}=VALUES")
        axes.append(sweep_space.axis(name.removeprefix(f"--{kind}."), text, kind == "random"))
    return axes, others


def _flags(benchmark: str, argv: list[str]) -> tuple[flags.FlagValues, list[str]]:
    """A sweep's own flags, and what is left: axes, and the flags of a run."""
    values = flags.FlagValues()
    values.set_gnu_getopt(True)  # they may stand anywhere
    cli.define_folder_flags(values, f"runs/sweep_{benchmark.replace(':', '.')}", "sweep")
    flags.DEFINE_string("pool", "local", "where jobs run", flag_values=values)
    flags.DEFINE_integer("workers", 1, "jobs at once", flag_values=values)
    flags.DEFINE_integer("samples", 16, "points of a random search", flag_values=values)
    flags.DEFINE_integer("points_per_job", 16, "most points of a program", flag_values=values)
    return values, cli.known_flags(f"sweep {benchmark}", values, argv, f"\n{__doc__}")


def _check_folder(request: Request) -> None:
    """A folder that is new, or holds this sweep to resume, or one of ours to overwrite."""
    out = request.out
    refuse_files(out)
    if not out.exists() or not any(out.iterdir()):
        return
    if not (request.resume or request.overwrite):
        raise ConfigError(f"--out={out} exists; give another, --resume or --overwrite")
    saved = None
    with contextlib.suppress(OSError, ValueError):
        saved = json.loads((out / SWEEP_FILE).read_text())
    if not isinstance(saved, dict) or "points" not in saved:
        raise ConfigError(f"--out={out} holds files but no sweep of ours; give another folder")
    if not request.resume:
        return
    wanted = json.loads(json.dumps(request.record()))  # as JSON reads it back
    for name in ("seeds", "points_per_job", "points"):
        if saved.get(name) != wanted[name]:
            was, now = (_short(record.get(name)) for record in (saved, wanted))
            raise ConfigError(f"--resume: {out} is a sweep with {name} {was}, not {now}")
    refuse_differences(out, configs.from_dict(saved["config"]), request.config)


def _short(value: Any, most: int = 80) -> str:
    text = json.dumps(value)
    return text if len(text) <= most else f"{text[:most]}..."


def _result(job: Path) -> dict[str, Any] | None:
    try:
        return json.loads(job.with_suffix(".result.json").read_text())
    except (OSError, ValueError):
        return None


if __name__ == "__main__":
    sys.exit(main())
