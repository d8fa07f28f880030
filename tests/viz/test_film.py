"""A trial as a GIF."""

import numpy as np
import pytest
from PIL import Image

from dream_jax.drawing.shapes import Circle, Drawing, Rectangle, Text
from dream_jax.viz import film


def frame(step, exploring=True, **changes):
    world = Drawing(40, 30, (Rectangle(0, 0, 40, 30, "#fafafa"), Circle(5 + step, 5, 3, "#222222")))
    told = {"goal": "cook: tomato", "action": "left", "value_name": "gain", "value": 0.25}
    return film.Frame(world, exploring, step=step, left=3 - step, **(told | changes))


def test_a_frame_says_what_happens():
    texts = {s.text for s in film.drawing(frame(1)).shapes if isinstance(s, Text)}
    assert texts == {"EXPLORE", "step 1", "cook: tomato", "left", "gain +0.25"}
    texts = {s.text for s in film.drawing(frame(0, False, action="")).shapes if isinstance(s, Text)}
    assert {"EXPLOIT", "start"} <= texts


def test_a_gif_has_every_step_and_rests_at_the_end_of_each_episode(tmp_path):
    frames = [frame(0), frame(1), frame(2), frame(0, False), frame(1, False)]
    film.save(tmp_path / "a.gif", frames, width=200)
    with Image.open(tmp_path / "a.gif") as gif:
        assert (gif.n_frames, gif.width) == (5, 200)
        durations = []
        for i in range(5):
            gif.seek(i)
            durations.append(gif.info["duration"])
        assert durations == [550, 550, 2550, 550, 2550]


def test_frames_of_two_sizes_share_a_canvas(tmp_path):
    tall = frame(1)._replace(world=Drawing(40, 60, (Rectangle(0, 0, 40, 60, "#123456"),)))
    film.save(tmp_path / "a.gif", [frame(0), tall], width=200)
    with Image.open(tmp_path / "a.gif") as gif:
        gif.seek(1)
        assert (np.asarray(gif.convert("RGB")) == (0x12, 0x34, 0x56)).all(-1).any()
    with pytest.raises(ValueError, match="no frames"):
        film.save(tmp_path / "b.gif", [])
