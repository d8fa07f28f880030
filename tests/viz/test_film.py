"""A trial as a GIF or an MP4."""

import os
import stat

import numpy as np
import pytest
from PIL import Image

from dream_jax.drawing.shapes import Circle, Drawing, Rectangle, Text
from dream_jax.viz import film, movie


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


STAND_IN = """#!/usr/bin/env python3
import pathlib, sys
words = sys.argv[1:]
assert words[words.index("-s") + 1] == "200x188", words
data = sys.stdin.buffer.read()
frames, rest = divmod(len(data), 3 * 200 * 188)
assert rest == 0
pathlib.Path(words[-1]).write_text(str(frames))
"""


def test_ffmpeg_gets_every_picture_for_its_time(tmp_path, monkeypatch):
    program = tmp_path / "ffmpeg"
    program.write_text(STAND_IN)
    os.chmod(program, stat.S_IRWXU)
    monkeypatch.setattr(movie, "ffmpeg", lambda: str(program))
    film.save(tmp_path / "a.mp4", [frame(0), frame(1), frame(0, False)], width=200)
    assert (tmp_path / "a.mp4").read_text() == str(11 + 51 + 51)  # at 20 a second
    program.write_text("#!/bin/sh\necho first >&2\necho no such codec >&2\nexit 1\n")
    with pytest.raises(OSError, match=r"^ffmpeg cannot write .*b.mp4: no such codec$"):
        film.save(tmp_path / "b.mp4", [frame(0)], width=200)
    monkeypatch.setattr(movie, "ffmpeg", lambda: None)
    with pytest.raises(OSError, match="pip install imageio-ffmpeg, or write a GIF"):
        film.save(tmp_path / "b.mp4", [frame(0)])


def test_an_mp4_by_ffmpeg_itself(tmp_path):
    if movie.ffmpeg() is None:
        pytest.skip("no ffmpeg here: pip install imageio-ffmpeg")
    film.save(tmp_path / "a.mp4", [frame(0), frame(1)], width=201)  # an odd size
    assert (tmp_path / "a.mp4").read_bytes()[4:8] == b"ftyp"
