"""One job of a sweep: points that share a program, each with all seeds, trained side by side.

`experiments.sweep` runs it as `python -m experiments.sweeps.job JOB.json PARENT`. It writes the
result to JOB.result.json, completely or not at all. It saves a checkpoint after every evaluation,
and goes on from there when it is run again.
"""

import ctypes
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import filelock

from dream_jax import config as configs
from dream_jax.runs.metrics import write_json
from dream_jax.runs.signals import RESUME_ME, StopSignal
from experiments.cli import process
from experiments.sweeps import best, folder, report
from experiments.sweeps.training import Points, PointsTraining


def train(files: folder.JobFiles, stopped: Callable[[], bool], started_s: float) -> bool:
    """Train the points of a job, and write its result. False: it was stopped, with a checkpoint."""
    job = json.loads(files.job.read_text(encoding="utf-8"))
    config = configs.from_dict(job["config"])
    points = Points(config, job["values"], job["seeds"])
    training = PointsTraining(points, started_s)
    training.restore(files.checkpoints)
    training.compile()

    def note_progress() -> None:
        leader = training.leader()
        about = {
            "trials": training.trials,
            "of": config.training.trials,
            "point": None if leader is None else job["points"][leader.place],
            "return": None if leader is None else leader.value,
        }
        write_json(files.progress, about)

    note_progress()
    while not training.finished:
        if stopped():
            print(f"stopped at {training.trials:,} trials; --resume goes on", flush=True)
            return False
        line = training.chunk()
        training.save(files.checkpoints)
        note_progress()
        print(line, flush=True)
    records = training.records()
    leader = report.leader(dict(enumerate(records)), training.split)
    if leader is not None:
        _, winner = leader
        best.write(files.best, training, winner, job["points"][winner])
    write_json(files.result, dict(zip(job["points"], records, strict=True)))
    files.remove_scratch()
    return True


def _end_with(parent: int) -> None:
    """Get a SIGTERM when the parent ends, however it ends: nobody would wait for this job then.

    A job on a Ray node that is lost would otherwise train on beside the one that replaces it.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:
            sys.exit("the process that started this job has ended")


def main(argv: Sequence[str]) -> int:
    """0; 1 after one line about the failure; 75 stopped by a signal, with a checkpoint."""
    started_s = process.process_start_s()
    files = folder.JobFiles(Path(argv[0]))
    if len(argv) > 1:
        _end_with(int(argv[1]))
    try:
        about: dict[str, Any] = json.loads(files.job.read_text(encoding="utf-8"))
        if "finish" in about:  # of the best point
            return process.main(about["benchmark"], [f"--out={about['finish']}", "--resume"])
        # An earlier process of this job may be saving its last checkpoint.
        with StopSignal.of_command() as stop, filelock.FileLock(files.lock):
            if files.result.exists():
                return 0
            process.set_up_jax()
            done = train(files, lambda: stop.requested is not None, started_s)
    except Exception as error:  # the sweep reports any failure and continues
        traceback.print_exc()
        text = " ".join(f"{type(error).__name__}: {error}".split())
        print(f"error: {text}", file=sys.stderr)
        return 1
    return 0 if done else RESUME_ME


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
