import sys

import numpy as np
import pytest
from PIL import Image

from dream_jax.viz import plots as report

BOUNDS = {"test": {"optimal": 0.75, "no_exploration": -0.05}}


def make_rows(seeds, evaluations):
    return [
        {
            "seed": seed,
            "env_steps": 1000 * (i + 1),
            "wall_s": 2.0 * (i + 1),
            "train_return": 0.1 * i,
            "test_return": 0.1 * i - 0.01 * seed,
            "train_return_encoder": 0.12 * i,
        }
        for i in range(evaluations)
        for seed in range(seeds)
    ]


def pixels(path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def count(picture: np.ndarray, colour: tuple[int, int, int]) -> int:
    return int((np.abs(picture - colour).max(axis=-1) < 12).sum())


BLUE, VERMILION, GREY = (0, 114, 178), (213, 94, 0), (153, 153, 153)


def test_curves_draw_every_series(tmp_path):
    report.curves(tmp_path / "curves.png", make_rows(3, 8), BOUNDS, "Cooking")
    picture = pixels(tmp_path / "curves.png")
    assert picture.shape[1] == 1600
    for half in np.split(picture, 2, axis=1):
        for colour in (BLUE, VERMILION, GREY):
            assert count(half, colour) > 300


def test_curves_mark_the_bounds(tmp_path):
    def horizontal_lines(bounds):
        report.curves(tmp_path / "curves.png", make_rows(1, 2), bounds, "")
        half = pixels(tmp_path / "curves.png")[:, :800]
        faint = (np.abs(half - 102).max(axis=-1) < 40).sum(axis=1) > 300
        return int((faint[1:] & ~faint[:-1]).sum())

    assert horizontal_lines({}) == 1  # the axis
    assert horizontal_lines({"test": {"optimal": 0.75}}) == 2
    assert horizontal_lines({"train": {"optimal": 0.75}}) == 1
    assert horizontal_lines(BOUNDS) == 3


@pytest.mark.parametrize("seeds, evaluations", [(1, 1), (3, 1), (1, 5)])
def test_curves_of_short_runs(tmp_path, seeds, evaluations):
    report.curves(tmp_path / "curves.png", make_rows(seeds, evaluations), BOUNDS, "Bus")
    assert count(pixels(tmp_path / "curves.png"), VERMILION) > 100


def test_curves_with_gaps_and_a_seed_that_ended_early(tmp_path):
    rows = make_rows(2, 6)[:-1]
    rows[4]["train_return"] = None
    report.curves(tmp_path / "with.png", rows, BOUNDS, "Map")
    for row in rows:
        row["train_return_encoder"] = None  # an agent without an encoder
    report.curves(tmp_path / "without.png", rows, BOUNDS, "Map")
    grey = [count(pixels(tmp_path / name), GREY) for name in ("with.png", "without.png")]
    assert grey[0] > grey[1] + 1000  # no line, and no entry in the legend
    assert count(pixels(tmp_path / "without.png"), VERMILION) > 300


def test_curves_of_nothing(tmp_path):
    with pytest.raises(ValueError, match="no rows"):
        report.curves(tmp_path / "curves.png", [], BOUNDS, "Map")


def test_curves_leave_no_global_state(tmp_path):
    had_pyplot = "matplotlib.pyplot" in sys.modules
    report.curves(tmp_path / "curves.png", make_rows(1, 2), BOUNDS, "")
    assert ("matplotlib.pyplot" in sys.modules) == had_pyplot
