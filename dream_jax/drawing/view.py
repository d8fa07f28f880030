"""How people see an environment: its states as drawings, its numbers in words.

An environment may have a method `view()` that returns a `WorldView`. Others are shown plainly.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from dream_jax.drawing import raster
from dream_jax.drawing.shapes import Drawing, Picture, Rectangle, Text


class Cells(NamedTuple):
    """The grid in which places are counted. Row 0 is at the top."""

    columns: int
    rows: int


class WorldView(Protocol):
    """An environment in pictures and words."""

    action_names: Sequence[str]  # one for each action
    cells: Cells | None  # None: the states have no place in a grid

    def draw(self, state: Any, before: Sequence[Any], told: bool) -> Drawing:
        """A state.

        Args:
          state: of the environment, numpy arrays.
          before: the earlier states of the trial, which tell what has been seen.
          told: the agent knows the instruction: false while it explores.
        """

    def cell(self, state: Any) -> tuple[int, int]:
        """(column, row) of the agent, where there are `cells`."""

    def instruction(self, instruction: Any) -> str:
        """An instruction, [I] or a tree of arrays, in words."""

    def problem(self, problem: int) -> str:
        """A problem in words."""

    def groups(self) -> Mapping[str, Sequence[str]]:
        """What problems have in common: by the name of a property, its value for each problem."""


def view_of(env: Any) -> WorldView:
    """The view of an environment: its own, or a plain one."""
    own = getattr(env, "view", None)
    return own() if callable(own) else PlainView(env)


class PlainView:
    """An environment of which nothing is known but the protocol `types.Env`.

    States are drawn by its `render_image`, or else by its `render_text`.
    """

    cells: Cells | None = None

    def __init__(self, env: Any):
        self._env = env
        self.action_names: Sequence[str] = _action_names(env)

    def draw(self, state: Any, before: Sequence[Any], told: bool) -> Drawing:
        image = self._image(state)
        if image is not None:
            height, width = image.shape[:2]
            shown = Picture(0, 0, 100.0, 100.0 * height / width, raster.png(image, 256))
            return Drawing(shown.width, shown.height, (shown,), "a picture of the world")
        try:
            lines = str(self._env.render_text(state)).splitlines() or [""]
        except (AttributeError, NotImplementedError):
            lines = ["this world has no picture"]
        return text_drawing(lines)

    def cell(self, state: Any) -> tuple[int, int]:
        raise ValueError("the states of this environment have no place in a grid")

    def instruction(self, instruction: Any) -> str:
        words = _numbers(instruction)
        return f"instruction {words}" if words else "no instruction"

    def problem(self, problem: int) -> str:
        return f"problem {problem}"

    def groups(self) -> Mapping[str, Sequence[str]]:
        return {}

    def _image(self, state: Any) -> np.ndarray | None:
        try:
            image = np.asarray(self._env.render_image(state))
        except (AttributeError, NotImplementedError):
            return None
        right = image.ndim == 3 and image.shape[2] == 3 and image.dtype == np.uint8
        return image if right and image.size else None


def text_drawing(lines: Sequence[str]) -> Drawing:
    """Lines of text in letters of one width."""
    size, pad = 4.0, 4.0
    width = max(60.0, 0.62 * size * max(map(len, lines)) + 2 * pad)
    height = 1.5 * size * len(lines) + 2 * pad
    texts = tuple(
        Text(pad, pad + 1.5 * size * (i + 0.5), line, size, "#222222", "start", True)
        for i, line in enumerate(lines)
    )
    paper = Rectangle(0, 0, width, height, "#faf8f4", radius=2)
    return Drawing(width, height, (paper, *texts), "\n".join(lines))


def _numbers(value: Any) -> str:
    """Numbers in a row; parts of a dict by their names."""
    if isinstance(value, Mapping):
        return "; ".join(f"{name} {_numbers(part)}" for name, part in value.items())
    flat = np.asarray(value).reshape(-1)
    shown = ", ".join(f"{x:g}" for x in flat[:8].tolist())
    return shown + (", ..." if len(flat) > 8 else "")


def _action_names(env: Any) -> list[str]:
    end = getattr(env, "end_episode_action", None)
    return [f"action {a}" if a != end else "end episode" for a in range(env.num_actions)]
