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


def test_gif_has_a_frame_for_each_and_holds_the_last(tmp_path):
    frames = [np.full((48, 64, 3), 20 * i, np.uint8) for i in range(5)]
    report.save_gif(tmp_path / "a.gif", frames, [f"step {i}" for i in range(5)], fps=4)
    with Image.open(tmp_path / "a.gif") as gif:
        assert gif.n_frames == 5
        durations = []
        for i in range(5):
            gif.seek(i)
            durations.append(gif.info["duration"])
            middle = gif.convert("RGB").getpixel((160, 120))
            assert middle == (20 * i,) * 3
        assert durations == [250] * 4 + [2250]


def test_gif_captions_are_in_a_strip_beneath(tmp_path):
    frame = np.full((40, 80, 3), 255, np.uint8)
    inked = {}
    for caption in ("", "pick up: -0.35"):
        report.save_gif(tmp_path / "a.gif", [frame], [caption], scale=2)
        picture = pixels(tmp_path / "a.gif")
        assert picture.shape[1] == 160
        assert picture.shape[0] > 80
        assert (picture[:80] == 255).all()
        inked[caption] = int((picture[80:] < 128).all(axis=-1).sum())
    assert inked[""] == 0
    assert inked["pick up: -0.35"] > 50


def test_gif_wraps_long_captions(tmp_path):
    frame = np.zeros((40, 100, 3), np.uint8)
    heights = []
    for caption in ("no-op", "no-op " * 12, "no-op\nno-op"):
        report.save_gif(tmp_path / "a.gif", [frame], [caption], scale=1)
        picture = pixels(tmp_path / "a.gif")
        assert (picture[40:, -4:] == 255).all()  # nothing runs over the right margin
        heights.append(picture.shape[0])
    assert heights[0] < heights[2] < heights[1]


def test_gif_of_frames_of_two_sizes(tmp_path):
    small, large = np.full((10, 20, 3), 255, np.uint8), np.full((30, 40, 3), 60, np.uint8)
    report.save_gif(tmp_path / "a.gif", [small, large], ["a", "b"], scale=1)
    with Image.open(tmp_path / "a.gif") as gif:
        assert (gif.n_frames, gif.width) == (2, 40)
        gif.seek(1)
        assert gif.convert("RGB").getpixel((0, 0)) == (60,) * 3
    with pytest.raises(ValueError, match="1 frames with 2 captions"):
        report.save_gif(tmp_path / "b.gif", [small], ["a", "b"])
