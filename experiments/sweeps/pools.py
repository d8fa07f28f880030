"""Pools that run the jobs of a sweep: processes on this machine, Ray, or Slurm with submitit."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from experiments.cli import parallel_commands
from experiments.sweeps import slurm
from experiments.sweeps.run_job import (
    NEEDS,
    Outcomes,
    command,
    failure,
    library_of,
    outcome,
    run_job,
)


def local(jobs: list[Path], workers: int, folder: Path) -> Outcomes:
    """At most `workers` processes at once, each on its share of the cores.

    An interruption ends all of them, with a checkpoint.
    """
    job_of = {command(job).log: job for job in jobs}
    for ended in parallel_commands.run([command(job) for job in jobs], workers):
        yield job_of[ended.command.log], failure(ended)


def ray(jobs: list[Path], workers: int, folder: Path) -> Outcomes:
    """On the cluster that `ray.init` finds, at most `workers` at once.

    All machines of the cluster must see `folder`. Jobs ask for one CPU and no GPU. If a machine is
    lost, Ray runs its job on another, where it goes on from its checkpoint. An interruption ends
    all jobs.
    """
    library = library_of("ray")
    library.init(ignore_reinit_error=True)
    remote = library.remote(_run_on_ray)
    left = list(jobs)
    waiting: dict[Any, Path] = {}
    while left or waiting:
        while left and len(waiting) < workers:
            job = left.pop(0)
            waiting[remote.remote(job)] = job
        ready, _ = library.wait(list(waiting))
        for reference in ready:
            job = waiting.pop(reference)
            yield job, outcome(functools.partial(library.get, reference))


def _run_on_ray(path: Path) -> str | None:
    given = library_of("ray").get_runtime_context().get_assigned_resources()
    return run_job(path, int(given.get("CPU", 0)))


POOLS: dict[str, Callable[[list[Path], int, Path], Outcomes]] = {
    "local": local,
    "ray": ray,
    "slurm": slurm.slurm,
}


def check(pool: str) -> None:
    """Raises ConfigError if the package of a pool is not installed."""
    if pool in NEEDS:
        library_of(pool)
