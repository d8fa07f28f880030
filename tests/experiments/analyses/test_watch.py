"""Trials in the terminal."""

import io
import re

import numpy as np
import pytest

from dream_jax.drawing.shapes import Drawing, Rectangle
from dream_jax.viz import film
from experiments.analyses import watch


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


def test_two_pixels_share_a_letter():
    image = np.array([[[1, 2, 3]], [[4, 5, 6]], [[7, 8, 9]]], np.uint8)
    first, second = watch.blocks(image)
    assert first == "\x1b[38;2;1;2;3m\x1b[48;2;4;5;6m▀\x1b[0m"
    assert "38;2;7;8;9" in second and "48;2;7;8;9" in second  # a last odd row is repeated


def test_frames_are_drawn_in_place_and_episodes_end_with_a_rest():
    world = Drawing(4, 2, (Rectangle(0, 0, 4, 2, "#ff0000"),))
    frames = [
        film.Frame(world, exploring, "cook", "left" if step else "", step, 1 - step, "gain", 0.5)
        for exploring in (True, False)
        for step in (0, 1)
    ]
    out, rests = Terminal(), []
    watch.play(frames, out, rests.append)
    text = out.getvalue()
    assert text.count("\x1b[2J") == 4
    assert re.findall("EXPLORE|EXPLOIT", text) == ["EXPLORE"] * 2 + ["EXPLOIT"] * 2
    assert "38;2;255;0;0" in text and "step 1  left  gain +0.50  0 steps left" in text
    assert rests == [pytest.approx(watch.SECONDS_PER_STEP * k) for k in (1, 4, 1, 4)]


@pytest.mark.parametrize(
    "settings, colours",
    [({"TERM": "xterm"}, True), ({"TERM": "dumb"}, False), ({"TERM": "xterm", "NO_COLOR": ""}, 0)],
)
def test_colours_only_where_a_terminal_has_them(monkeypatch, settings, colours):
    for name in ("TERM", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    assert watch.has_colours(Terminal()) == bool(colours)
    assert not watch.has_colours(io.StringIO())
    ascii_only = Terminal()
    ascii_only.encoding = "ascii"
    assert not watch.has_colours(ascii_only)
