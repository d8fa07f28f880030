"""Running one job of a sweep, wherever a pool puts it."""

import importlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from dream_jax.config import ConfigError
from dream_jax.runs.signals import RESUME_ME
from experiments.cli import parallel_commands, process
from experiments.sweeps.folder import JobFiles

Outcomes = Iterator[tuple[Path, str | None]]  # a job that has ended, and its error or None
NEEDS = {"ray": "ray", "slurm": "submitit"}  # the package of a pool


def command(path: Path, cpus: int | None = None) -> parallel_commands.Command:
    """The command of a job, with its output in JOB.log. It ends if this process does.

    cpus: how many of the cores that this process may use; by default all.
    """
    root = str(Path(__file__).parents[2])
    search = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    parent = str(os.getpid())
    line = [sys.executable, "-m", "experiments.sweeps.job", str(path.resolve()), parent]
    environment = os.environ | {"PYTHONPATH": search}
    if cpus is not None and 0 < cpus < len(process.cores()):
        # NPROC is how many threads XLA starts. What the user has set comes first.
        environment = {name: str(cpus) for name in ("JAX_NUM_CPU_DEVICES", "NPROC")} | environment
    return parallel_commands.Command(line, JobFiles(path).log, environment)


def failure(ended: parallel_commands.Ended) -> str | None:
    """One line about a job that failed, or None."""
    if ended.status == RESUME_ME:
        return "stopped by a signal, with a checkpoint"
    return f"exit status {ended.status}: {ended.last_line}" if ended.status else None


def run_job(path: Path, cpus: int | None = None) -> str | None:
    """Run a job in a process of its own. Returns one line about its failure, or None.

    cpus: that a scheduler has given to the job, which other jobs on the machine do not use.

    Raises KeyboardInterrupt after Ctrl-C, and `process.Asked` after another signal that asks to
    end. The job has then saved a checkpoint.
    """
    (ended,) = parallel_commands.run([command(path, cpus)], 1)
    return failure(ended)


def outcome(result: Callable[[], str | None]) -> str | None:
    """What a job returned, or one line about how the pool lost it."""
    try:
        return result()
    except Exception as error:
        return " ".join(f"{type(error).__name__}: {error}".split())


def library_of(pool: str) -> Any:
    """The package of a pool. Raises ConfigError if it is not installed."""
    try:
        return importlib.import_module(NEEDS[pool])
    except ImportError as error:
        raise ConfigError(
            f"--pool={pool} needs {NEEDS[pool]}, which is not installed: pip install -e '.[{pool}]'"
        ) from error
