"""The best point of a sweep as a run folder, like that of any training command.

A job makes such a folder of the best of its points. The sweep keeps that of the best of all points,
and finishes it as a run that is resumed: test returns, page and films come only then.
"""

import shutil
from collections.abc import Iterable
from pathlib import Path

from dream_jax.runs import provenance
from dream_jax.runs.folder import RUN_FILE, RunRequest
from dream_jax.runs.metrics import write_json
from dream_jax.runs.on_disk import OnDisk
from experiments.sweeps import space
from experiments.sweeps.training import PointsTraining

FOLDER = "best"
_POINT = "sweep_point"  # the key of config.json with the number of the point


def write(out: Path, training: PointsTraining, place: int, number: int) -> None:
    """Write the folder of a point that has been trained, except for its summary.

    Args:
      out: the folder. One that is there, of a job that was killed, is deleted.
      training: of the points.
      place: of the point, among those of the job.
      number: of the point, in the sweep.
    """
    shutil.rmtree(out, ignore_errors=True)
    points = training.points
    config = space.with_values(points.config, points.values[place])
    storage = OnDisk(RunRequest(config, out, tuple(points.seeds), resume=False, overwrite=False))
    rows = training.rows_of(place)
    with storage.writer([]) as write_row:
        for row in rows:
            write_row(row)
        storage.save(training.state_of(place), training.progress_of(place), rows, {})
    storage.release()
    write_json(out / RUN_FILE, provenance.read_json(out / RUN_FILE) | {_POINT: number})


def point_of(best: Path) -> int | None:
    """The number of the point in a run folder; None if there is none."""
    try:
        return provenance.read_json(best / RUN_FILE)[_POINT]
    except (OSError, ValueError, KeyError):
        return None


def keep(out: Path, leader: int | None, source: Path | None, done: Iterable[Path]) -> None:
    """Make OUT/best the run folder of the leader, and delete others.

    Args:
      out: the folder of the sweep.
      leader: the number of the best point so far.
      source: the run folder of its job (`folder.JobFiles.best`), which may be OUT/best already.
      done: the run folders of jobs that have ended, to delete where they are not of the leader.
    """
    best = out / FOLDER
    if source is not None and point_of(source) == leader != point_of(best):
        _put_aside(best)
        source.rename(best)
    for each in done:
        shutil.rmtree(each, ignore_errors=True)


def finished(best: Path) -> bool:
    """Whether the run has its summary."""
    return (best / "summary.json").exists()


def _put_aside(best: Path) -> None:
    """Delete the folder of a point that is no longer the best, unless somebody may use it."""
    if finished(best):
        best.rename(best.with_name(f"point_{point_of(best)}"))
    else:
        shutil.rmtree(best, ignore_errors=True)
