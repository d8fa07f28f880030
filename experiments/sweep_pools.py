"""Where the jobs of a sweep run: processes of this machine, Ray, or Slurm through submitit."""

import functools
import importlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from dream_jax.config import ConfigError

Outcomes = Iterator[tuple[Path, str | None]]  # a job that ended, and what went wrong


def run_job(path: Path) -> str | None:
    """Run a job in a process of its own, its output in JOB.log; one line if it failed."""
    root = str(Path(__file__).parents[1])
    log = path.with_suffix(".log")
    search = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    with log.open("w") as file:
        ended = subprocess.run(
            [sys.executable, "-m", "experiments.sweep_job", str(path.resolve())],
            stdout=file,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PYTHONPATH": search},
        )
    if ended.returncode == 0:
        return None
    lines = [line.strip() for line in log.read_text().splitlines() if line.strip()]
    last = lines[-1].removeprefix("error: ") if lines else "it wrote nothing"
    return f"exit status {ended.returncode}: {last}"


def local(jobs: list[Path], workers: int, folder: Path) -> Outcomes:
    """At most `workers` processes at once."""
    with ThreadPoolExecutor(workers) as pool:
        futures = {pool.submit(run_job, job): job for job in jobs}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BaseException:  # Ctrl-C reaches the jobs too; start no more of them
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def ray(jobs: list[Path], workers: int, folder: Path) -> Outcomes:
    """On the cluster that `ray.init` finds; `folder` must be one that all its machines see."""
    library = _library("ray")
    library.init(ignore_reinit_error=True)
    remote = library.remote(run_job)
    waiting = {remote.remote(job): job for job in jobs}
    while waiting:
        ready, _ = library.wait(list(waiting))
        for reference in ready:
            job = waiting.pop(reference)
            yield job, _outcome(functools.partial(library.get, reference))


def slurm(jobs: list[Path], workers: int, folder: Path) -> Outcomes:
    """One Slurm job each, at most `workers` at once; its settings are submitit's and Slurm's."""
    library = _library("submitit")
    executor = library.AutoExecutor(folder=str(folder / "slurm"))
    executor.update_parameters(slurm_array_parallelism=workers)
    submitted = executor.map_array(run_job, jobs)
    for job, handle in zip(jobs, submitted, strict=True):
        yield job, _outcome(handle.result)


POOLS: dict[str, Callable[[list[Path], int, Path], Outcomes]] = {
    "local": local,
    "ray": ray,
    "slurm": slurm,
}
NEEDS = {"local": None, "ray": "ray", "slurm": "submitit"}


def check(pool: str) -> None:
    """ConfigError where a pool's extra is not installed."""
    package = NEEDS[pool]
    if package is not None:
        _library(package)


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        extra = "slurm" if name == "submitit" else name
        raise ConfigError(
            f"--pool needs {name}, which is not installed: pip install -e '.[{extra}]'"
        ) from error


def _outcome(result: Callable[[], str | None]) -> str | None:
    """What a job returned, or one line of why the pool lost it."""
    try:
        return result()
    except Exception as error:
        return " ".join(f"{type(error).__name__}: {error}".split())
