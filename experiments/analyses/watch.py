"""A trial in the terminal, step by step: as a picture in a terminal with colours, else as text."""

import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import TextIO

import numpy as np

from dream_jax.drawing import raster
from dream_jax.runs.trial_record import TrialRecord
from dream_jax.viz import film

SECONDS_PER_STEP = 0.45
_CLEAR, _RESET = "\x1b[H\x1b[2J", "\x1b[0m"
_COLUMNS = 72


def watch(record: TrialRecord, words: str, out: TextIO | None = None) -> None:
    """Show exploration and every exploitation episode.

    Args:
      record: the trial.
      words: about the problem; shown after the trial, since the agent does not know it either.
      out: where to; by default standard output.
    """
    out = out or sys.stdout
    if not has_colours(out):
        out.write(f"{record.text()}\n\n{words}\n")
        return
    frames = record.frames(*range(len(record.exploitation)))
    play(frames, out, time.sleep)
    out.write(f"{words}\n")


def play(frames: Sequence[film.Frame], out: TextIO, sleep: Callable[[float], object]) -> None:
    """Draw frame after frame in place."""
    for i, frame in enumerate(frames):
        ends = i + 1 == len(frames) or frames[i + 1].step == 0
        phase = "EXPLORE" if frame.exploring else "EXPLOIT"
        lines = [
            f"{phase}  {frame.goal}",
            *blocks(raster.pixels(frame.world, _COLUMNS)),
            f"step {frame.step}  {frame.action or 'start'}  "
            f"{frame.value_name} {frame.value:+.2f}  {frame.left} steps left",
        ]
        out.write(_CLEAR + "\n".join(lines) + "\n")
        out.flush()
        sleep(SECONDS_PER_STEP * (4 if ends else 1))


def blocks(image: np.ndarray) -> list[str]:
    """Lines of half blocks for [H, W, 3] uint8: two pixels above each other in one letter."""
    if len(image) % 2:
        image = np.concatenate([image, image[-1:]])
    lines = []
    for upper, lower in zip(image[::2].tolist(), image[1::2].tolist(), strict=True):
        letters = [
            f"\x1b[38;2;{a[0]};{a[1]};{a[2]}m\x1b[48;2;{b[0]};{b[1]};{b[2]}m▀"
            for a, b in zip(upper, lower, strict=True)
        ]
        lines.append("".join(letters) + _RESET)
    return lines


def has_colours(out: TextIO) -> bool:
    """Whether a stream is a terminal that shows colours and half blocks."""
    plain = os.environ.get("TERM", "dumb") == "dumb" or "NO_COLOR" in os.environ
    if plain or not out.isatty():
        return False
    try:
        "▀".encode(out.encoding or "ascii")
    except (LookupError, UnicodeEncodeError):
        return False
    return True
