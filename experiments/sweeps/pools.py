"""Pools that run the jobs of a sweep: processes on this machine, Ray, or Slurm with submitit."""

import functools
import importlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from dream_jax.config import ConfigError
from experiments.cli import parallel_commands

Outcomes = Iterator[tuple[Path, str | None]]  # a job that has ended, and its error or None


def _command(path: Path) -> parallel_commands.Command:
    """The command of a job, with its output in JOB.log."""
    root = str(Path(__file__).parents[2])
    search = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    line = [sys.executable, "-m", "experiments.sweeps.job", str(path.resolve())]
    environment = os.environ | {"PYTHONPATH": search}
    return parallel_commands.Command(line, path.with_suffix(".log"), environment)


def _failure(ended: parallel_commands.Ended) -> str | None:
    return f"exit status {ended.status}: {ended.last_line}" if ended.status else None


def run_job(path: Path) -> str | None:
    """Run a job in a process of its own. Returns one line about its failure, or None."""
    (ended,) = parallel_commands.run([_command(path)], 1)
    return _failure(ended)


def local(jobs: list[Path], workers: int, folder: Path) -> Outcomes:
    """At most `workers` processes at once, each on its share of the cores.

    An interruption ends all of them.
    """
    job_of = {_command(job).log: job for job in jobs}
    for ended in parallel_commands.run([_command(job) for job in jobs], workers):
        yield job_of[ended.command.log], _failure(ended)


def ray(jobs: list[Path], workers: int, folder: Path) -> Outcomes:
    """On the cluster that `ray.init` finds, at most `workers` at once.

    All machines of the cluster must see `folder`. Jobs ask for no GPU.
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
    """One Slurm job per job, at most `workers` at once, each for a day at most.

    An interruption cancels all of them. Other settings are those of submitit and of Slurm's
    environment variables (SBATCH_...).
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
NEEDS = {"ray": "ray", "slurm": "submitit"}  # the package of a pool


def check(pool: str) -> None:
    """Raises ConfigError if the package of a pool is not installed."""
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
    """What a job returned, or one line about how the pool lost it."""
    try:
        return result()
    except Exception as error:
        return " ".join(f"{type(error).__name__}: {error}".split())
