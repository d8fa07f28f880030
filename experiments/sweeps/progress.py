"""How far a sweep is: points done and running, the best so far, and the time left."""

import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from dream_jax.runs import live_line, provenance
from dream_jax.runs.metrics import duration
from experiments.sweeps.folder import JobFiles

_READ_PERIOD_S = 1.0


class _Job(NamedTuple):
    """How far a job is."""

    share: float  # of its training that is done
    running: bool
    leader: tuple[float, int] | None  # return and number of its best point so far


_WAITING, _ENDED = _Job(0.0, False, None), _Job(1.0, False, None)


class Progress:
    """Of all jobs of a sweep, from the files that jobs write (`folder.JobFiles.progress`).

    These are read at most once a second, and not for jobs that have ended.
    """

    def __init__(
        self,
        jobs: Mapping[Path, tuple[int, ...]],
        split: str,
        clock: Callable[[], float] = time.monotonic,
    ):
        """
        Args:
          jobs: the numbers of each job's points. Those with a result have ended.
          split: that points are ranked by.
          clock: in seconds.
        """
        self._jobs, self._split, self._clock = jobs, split, clock
        self._ended = {path for path in jobs if JobFiles(path).result.exists()}
        self._best: tuple[float, int] | None = None  # of the jobs that have ended
        self._found: dict[Path, _Job] = {}
        self._began_s, self._read_s = clock(), clock() - _READ_PERIOD_S
        # Of each job, the share that was done before this sweep was started or resumed.
        self._before: dict[Path, float] = dict.fromkeys(self._ended, 1.0)
        for path in jobs:
            if path not in self._ended:  # of a sweep that was stopped
                JobFiles(path).progress.unlink(missing_ok=True)

    def ended(self, job: Path) -> None:
        """Note that a job has ended, well or not."""
        self._ended.add(job)
        self._found[job] = _ENDED

    def ranked(self, best: tuple[float, int] | None) -> None:
        """Note the return and the number of the best point of the jobs that have ended."""
        self._best = best

    def text(self) -> str:
        """For example "12 of 64 points, 16 running, best validation 0.512 (point 3), 4m left"."""
        self._read()
        done = sum(len(points) for job, points in self._jobs.items() if job in self._ended)
        running = sum(len(self._jobs[job]) for job, at in self._found.items() if at.running)
        leaders = [at.leader for at in self._found.values() if at.leader is not None]
        leaders += [] if self._best is None else [self._best]
        parts = [f"{done} of {self._points} points, {running} running"]
        if leaders:
            value, point = max(leaders, key=lambda leader: leader[0])
            parts.append(f"best {self._split} {value:.3f} (point {point})")
        left_s = self._left_s()
        if left_s is not None:
            parts.append(f"about {duration(left_s)} left")
        return ", ".join(parts)

    @property
    def share(self) -> float:
        """Of all training that is done. It counts each point alike."""
        self._read()
        done = sum(at.share * len(self._jobs[job]) for job, at in self._found.items())
        return done / self._points

    @property
    def _points(self) -> int:
        return sum(len(points) for points in self._jobs.values())

    def _left_s(self) -> float | None:
        before = sum(self._before.get(job, 0.0) * len(points) for job, points in self._jobs.items())
        share, earlier = self.share, before / self._points
        if not earlier < share < 1:
            return None
        return (self._clock() - self._began_s) * (1 - share) / (share - earlier)

    def _read(self) -> None:
        if self._clock() - self._read_s < _READ_PERIOD_S:
            return
        self._read_s = self._clock()
        self._found = {job: _ENDED if job in self._ended else _read_job(job) for job in self._jobs}
        for job, at in self._found.items():
            if at.running:
                self._before.setdefault(job, at.share)


def _read_job(job: Path) -> _Job:
    try:
        about: dict[str, Any] = provenance.read_json(JobFiles(job).progress)
        value, point = about["return"], about["point"]
        leader = None if value is None or point is None else (float(value), int(point))
        return _Job(about["trials"] / about["of"], True, leader)
    except (OSError, ValueError, KeyError, TypeError):
        return _WAITING


class SweepLine(live_line.Line):
    """The live line of a sweep, at the bottom of the terminal."""

    def __init__(self, progress: Progress, out: TextIO):
        super().__init__("", out)
        self._progress = progress

    def text(self) -> str:
        """The line, shorter than the terminal is wide."""
        words, width = self._progress.text(), shutil.get_terminal_size().columns
        whole = f"{live_line.bar_of(self._progress.share)} {words}"
        return whole if len(whole) < width else words[: width - 1]
