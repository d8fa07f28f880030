"""The pool of Slurm jobs, submitted by submitit.

Whether a job has ended is read from the files of submitit, and from `squeue`: `sacct`, which
submitit asks, needs Slurm's accounting, and without it a cancelled job would never end.
"""

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from experiments.cli import process
from experiments.sweeps.folder import JobFiles
from experiments.sweeps.run_job import Outcomes, library_of, outcome, run_job

DAY_MINUTES = 24 * 60
_TIMEOUTS = 1_000  # of one job, after each of which it is queued again
_RESULTS_PERIOD_S = 1.0
_QUEUE_PERIOD_S = 10.0
_LOST = "it left Slurm's queue without a result (cancelled, killed, or out of memory)"


class RequeuedJob:
    """`run_job` for submitit, which calls `checkpoint` before the time limit or a pre-emption."""

    def __call__(self, path: Path) -> str | None:
        try:
            return run_job(path, int(os.environ.get("SLURM_CPUS_ON_NODE", "0")))
        except process.Asked as asked:
            # The job has saved its checkpoint. Now the handler of submitit may queue it again.
            signal.raise_signal(asked.number)
            return f"stopped by {asked}, with a checkpoint"

    def checkpoint(self, path: Path) -> Any:
        """The submission that follows this one."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, path)


def slurm(jobs: list[Path], workers: int, folder: Path) -> Outcomes:
    """One Slurm job per job, at most `workers` at once, each for a day at most.

    A job that reaches its time limit or is pre-empted saves a checkpoint, and Slurm queues it
    again. An interruption cancels all of them. Other settings are those of submitit and of Slurm's
    environment variables (SBATCH_...).
    """
    library = library_of("slurm")
    executor = library.AutoExecutor(
        folder=str(folder / "slurm"), cluster="slurm", slurm_max_num_timeout=_TIMEOUTS
    )
    executor.update_parameters(slurm_array_parallelism=workers, timeout_min=DAY_MINUTES)
    left = dict(zip(executor.map_array(RequeuedJob(), jobs), jobs, strict=True))
    asked_s = time.monotonic()
    gone: set[Any] = set()
    try:
        while left:
            for handle, job in list(left.items()):
                if handle.paths.result_pickle.exists():
                    del left[handle]
                    yield job, outcome(handle.result)
            if time.monotonic() - asked_s >= _QUEUE_PERIOD_S:
                asked_s, before = time.monotonic(), gone
                gone = _gone(list(left))
                for handle in gone & before:  # twice: files of another machine may come later
                    job = left.pop(handle)
                    yield job, None if JobFiles(job).result.exists() else _LOST
            _wait()
    except BaseException:
        for handle in left:
            with contextlib.suppress(OSError, subprocess.SubprocessError):  # it may have ended
                handle.cancel()
        raise


def _wait() -> None:
    time.sleep(_RESULTS_PERIOD_S)


def _gone(handles: list[Any]) -> set[Any]:
    """The jobs that are no longer in Slurm's queue. Empty where Slurm does not answer."""
    arrays = sorted({str(handle.job_id).split("_")[0] for handle in handles})
    if not arrays:
        return set()
    line = ["squeue", "--noheader", "--array", "--format=%i", f"--jobs={','.join(arrays)}"]
    try:
        asked = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.SubprocessError):
        return set()
    if asked.returncode and "Invalid job id" not in asked.stderr:
        return set()
    listed = asked.stdout.split()
    return {handle for handle in handles if str(handle.job_id) not in listed}
