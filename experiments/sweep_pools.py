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


_RUNNING: set[subprocess.Popen] = set()  # of this process


def run_job(path: Path) -> str | None:
    """Run a job in a process of its own, its output in JOB.log; one line if it failed."""
    root = str(Path(__file__).parents[1])
    log = path.with_suffix(".log")
    search = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    with log.open("w") as file:
        job = subprocess.Popen(
            [sys.executable, "-m", "experiments.sweep_job", str(path.resolve())],
            stdout=file,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PYTHONPATH": search},
        )
        _RUNNING.add(job)
        status = job.wait()
        _RUNNING.discard(job)
    if status == 0:
        return None
    lines = [x.strip() for x in log.read_text(errors="replace").splitlines() if x.strip()]
    last = lines[-1].removeprefix("error: ") if lines else "it wrote nothing"
    return f"exit status {status}: {last}"


def local(jobs: list[Path], workers: int, folder: Path) -> Outcomes:
    """At most `workers` processes at once. None outlives an interruption."""
    with ThreadPoolExecutor(workers) as pool:
        futures = {pool.submit(run_job, job): job for job in jobs}
        try:
            for future in as_completed(futures):
                yield futures[future], _outcome(future.result)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for job in list(_RUNNING):
                job.terminate()
            raise


def ray(jobs: list[Path], workers: int, folder: Path) -> Outcomes:
    """On the cluster that `ray.init` finds, at most `workers` at once.

    `folder` must be one that all its machines see. Jobs ask for no GPU.
    """
    library = _library("ray")
    library.init(ignore_reinit_error=True)
    remote = library.remote(run_job)
    left = list(jobs)
    waiting: dict[Any, Path] = {}
    while left or waiting:
        while left and len(waiting) < workers:
            job = left.pop(0)
            waiting[remote.remote(job)] = job
        ready, _ = library.wait(list(waiting))
        for reference in ready:
            job = waiting.pop(reference)
            yield job, _outcome(functools.partial(library.get, reference))


def slurm(jobs: list[Path], workers: int, folder: Path) -> Outcomes:
    """One Slurm job each, at most `workers` at once, for a day at most; cancelled if interrupted.

    Other settings are those of submitit and of Slurm's environment variables (SBATCH_...).
    """
    library = _library("slurm")
    executor = library.AutoExecutor(folder=str(folder / "slurm"))
    executor.update_parameters(slurm_array_parallelism=workers, timeout_min=24 * 60)
    submitted = executor.map_array(run_job, jobs)
    try:
        for job, handle in zip(jobs, submitted, strict=True):
            yield job, _outcome(handle.result)
    except BaseException:
        for handle in submitted:
            handle.cancel()
        raise


POOLS: dict[str, Callable[[list[Path], int, Path], Outcomes]] = {
    "local": local,
    "ray": ray,
    "slurm": slurm,
}
NEEDS = {"ray": "ray", "slurm": "submitit"}  # packages


def check(pool: str) -> None:
    """Raises ConfigError where a pool's extra is not installed."""
    if pool in NEEDS:
        _library(pool)


def _library(pool: str) -> Any:
    try:
        return importlib.import_module(NEEDS[pool])
    except ImportError as error:
        raise ConfigError(
            f"--pool={pool} needs {NEEDS[pool]}, which is not installed: pip install -e '.[{pool}]'"
        ) from error


def _outcome(result: Callable[[], str | None]) -> str | None:
    """What a job returned, or one line of why the pool lost it."""
    try:
        return result()
    except Exception as error:
        return " ".join(f"{type(error).__name__}: {error}".split())
