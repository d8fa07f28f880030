"""Which point is the best, and what becomes of the run folders of the others."""

import pytest

from dream_jax.runs.metrics import write_json
from experiments.sweeps import best, report


def record(*returns, finite=True):
    return {"split": "validation", "validation_return": list(returns), "finite": finite}


def test_the_highest_mean_without_a_loss_that_is_not_finite():
    def leader(*records):
        return report.leader(dict(enumerate(records)), "validation")

    assert leader(record(0.1, 0.2), record(0.4, 0.1), record(0.3, 0.2)) == (0.25, 1)  # of equals
    assert leader(record(0.1), record(0.9, finite=False), record(None)) == (0.1, 0)
    assert leader(record(None), record(0.9, finite=False)) is None


def run_of(path, point):
    write_json_in(path, {"config": {}, "seeds": [0], "sweep_point": point})
    return path


def write_json_in(path, value):
    path.mkdir(parents=True)
    write_json(path / "config.json", value)


@pytest.fixture
def folders(tmp_path):
    """Run folders of the best points of two jobs, by number of the point."""
    return {point: run_of(tmp_path / "jobs" / f"{point}.best", point) for point in (0, 2)}


def test_the_leaders_folder_stays_and_the_others_go(tmp_path, folders):
    for _ in range(2):  # again, as after --resume
        best.keep(tmp_path, 2, folders[2], folders.values())
        assert best.point_of(tmp_path / best.FOLDER) == 2
        assert list((tmp_path / "jobs").iterdir()) == []
    best.keep(tmp_path, None, None, [])
    assert best.point_of(tmp_path / best.FOLDER) == 2


def test_a_run_that_was_reported_is_put_aside(tmp_path, folders):
    best.keep(tmp_path, 0, folders[0], [])
    write_json(tmp_path / best.FOLDER / "summary.json", {})
    best.keep(tmp_path, 2, folders[2], [])
    assert best.point_of(tmp_path / best.FOLDER) == 2
    assert best.point_of(tmp_path / "point_0") == 0
    assert not best.finished(tmp_path / best.FOLDER)
