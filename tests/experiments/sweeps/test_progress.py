"""The line of progress of a sweep."""

import io

import pytest

from dream_jax.runs.metrics import write_json
from experiments.sweeps import folder
from experiments.sweeps.progress import Progress, SweepLine


@pytest.fixture
def jobs(tmp_path):
    """Files of three jobs, with 2, 2 and 4 points."""
    points = ((0, 1), (2, 3), (4, 5, 6, 7))
    return {tmp_path / f"{k:04d}.json": numbers for k, numbers in enumerate(points)}


def note(path, trials, point=None, value=None):
    about = {"trials": trials, "of": 100, "point": point, "return": value}
    write_json(folder.JobFiles(path).progress, about)


def test_points_done_and_running_the_best_and_the_time_left(jobs):
    now = [0.0]
    first, second, third = jobs
    write_json(folder.JobFiles(first).result, {})  # of a sweep that is resumed
    note(second, 90)  # left by the process that was stopped
    progress = Progress(jobs, "validation", lambda: now[0])
    assert progress.text() == "2 of 8 points, 0 running"

    now[0] = 10.0
    note(second, 50, 2, 0.25)  # it went on from its checkpoint
    assert progress.text() == "2 of 8 points, 2 running, best validation 0.250 (point 2)"
    now[0] = 30.0
    note(second, 100, 3, 0.5)
    note(third, 0)
    # One point's training in 30 s, and four are left.
    expected = "2 of 8 points, 6 running, best validation 0.500 (point 3), about 2m00s left"
    assert progress.text() == expected
    progress.ended(second)
    progress.ranked((0.4, 3))  # of the final evaluation
    expected = "4 of 8 points, 4 running, best validation 0.400 (point 3), about 2m00s left"
    assert progress.text() == expected
    progress.ended(third)
    assert progress.text() == "8 of 8 points, 0 running, best validation 0.400 (point 3)"


def test_a_line_is_no_wider_than_the_terminal(jobs, monkeypatch):
    line = SweepLine(Progress(jobs, "train"), io.StringIO())
    monkeypatch.setenv("COLUMNS", "80")
    assert line.text() == f"[{'-' * 24}] 0 of 8 points, 0 running"
    monkeypatch.setenv("COLUMNS", "30")
    assert line.text() == "0 of 8 points, 0 running"
    monkeypatch.setenv("COLUMNS", "12")
    assert line.text() == "0 of 8 poin"
