"""A trial as a film: each frame is a drawing of the world between two strips of text."""

from collections.abc import Sequence
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from PIL import Image

from dream_jax.drawing import raster
from dream_jax.drawing.shapes import Drawing, Rectangle, Shape, Text, moved
from dream_jax.viz import movie

_INK, _FAINT, _PAPER = "#222222", "#666666", "#ffffff"
_EXPLORE, _EXPLOIT = "#8e63c4", "#2f7d4f"
_SECONDS_PER_FRAME, _AT_THE_END_S = 0.55, 2.0


class Frame(NamedTuple):
    """A step of a trial, in pictures and words."""

    world: Drawing
    exploring: bool
    goal: str  # what the agent is to do, for example "cook: tomato, then onion"
    action: str  # that led here, "" at the start of an episode
    step: int  # taken in this episode
    left: int  # steps left in this episode
    # A short name and a value: of exploration what the step told, of exploitation the return.
    value_name: str
    value: float


def caption(frame: Frame) -> str:
    """A frame in one line of text."""
    phase = "exploration" if frame.exploring else f"exploitation, {frame.goal}"
    action = f", {frame.action}" if frame.action else ""
    value = f": {frame.value_name} {frame.value:+.3f}" if frame.step else ""
    return f"{phase}, step {frame.step}{action}{value}"


def drawing(frame: Frame) -> Drawing:
    """The world, with the phase and the goal above it, the action and the value below."""
    world = frame.world
    unit = world.width / 40  # so that letters have the same size in worlds of any size
    top, bottom, pad = 5.4 * unit, 3.6 * unit, 0.8 * unit
    phase, colour = ("EXPLORE", _EXPLORE) if frame.exploring else ("EXPLOIT", _EXPLOIT)
    width, height = world.width + 2 * pad, world.height + top + bottom
    below = top + world.height + bottom / 2
    done = frame.step / max(1, frame.step + frame.left)
    shapes: list[Shape] = [
        Rectangle(0, 0, width, height, _PAPER),
        Rectangle(pad, 0.6 * unit, 8 * unit, 2.2 * unit, colour, radius=0.5 * unit),
        Text(pad + 4 * unit, 1.7 * unit, phase, 1.4 * unit, _PAPER, bold=True),
        Text(width - pad, 1.7 * unit, f"step {frame.step}", 1.4 * unit, _FAINT, "end"),
        Text(pad, 3.9 * unit, frame.goal, 1.5 * unit, _INK, "start"),
        Rectangle(pad, top - 0.5 * unit, world.width, 0.25 * unit, "#e6e6e6"),
        Rectangle(pad, top - 0.5 * unit, world.width * done, 0.25 * unit, colour),
        *moved(world.shapes, pad, top),
        Text(pad, below, frame.action or "start", 1.6 * unit, _INK, "start", bold=True),
        Text(
            width - pad,
            below,
            f"{frame.value_name} {frame.value:+.2f}",
            1.5 * unit,
            _INK,
            "end",
        ),
    ]
    return Drawing(width, height, tuple(shapes), f"{phase}: {frame.goal}. {world.description}")


def save(file: str | Path | IO[bytes], frames: Sequence[Frame], width: int = 360) -> None:
    """Write a GIF that repeats, or an MP4. The last frame of each episode stays longer.

    Args:
      file: the path of the film, an MP4 if it ends in .mp4; or a file to write a GIF to.
      frames: of a trial, in order.
      width: in pixels.

    Raises:
      OSError: the file cannot be written, or there is no ffmpeg for an MP4.
    """
    if not frames:
        raise ValueError("no frames: a trial has at least one")
    images = [raster.pixels(drawing(frame), width) for frame in frames]
    images = _same_size(images)
    ends = [i + 1 == len(frames) or frames[i + 1].step == 0 for i in range(len(frames))]
    durations = [round(1000 * (_SECONDS_PER_FRAME + end * _AT_THE_END_S)) for end in ends]
    if isinstance(file, str | Path) and Path(file).suffix == ".mp4":
        movie.save(file, images, durations)
        return
    pages = [Image.fromarray(image).quantize(128, dither=Image.Dither.NONE) for image in images]
    pages[0].save(
        file,
        format="GIF",
        save_all=True,
        append_images=pages[1:],
        duration=durations,
        loop=0,
    )


def _same_size(images: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Pictures on a canvas of the largest size, white around them."""
    height, width = (max(image.shape[axis] for image in images) for axis in (0, 1))
    canvases = []
    for image in images:
        canvas = np.full((height, width, 3), 255, np.uint8)
        canvas[: image.shape[0], : image.shape[1]] = image
        canvases.append(canvas)
    return canvases
