"""The bus worlds for people: numbered stops, a dotted line once a bus was ridden, map and goal."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dream_jax.drawing.shapes import (
    Circle,
    Drawing,
    Line,
    Polygon,
    Rectangle,
    Shape,
    Text,
)
from dream_jax.drawing.view import Cells
from dream_jax.envs.grids import grid

Stops = Sequence[tuple[tuple[int, int], tuple[int, int]]]  # near the start, and the other one

_SIZE, _CELL, _EDGE = 9, 12.0, 4.0
_SIDE = _SIZE * _CELL + 2 * _EDGE
_PAPER, _GRID, _INK = "#f7f6f2", "#e7e4dc", "#2f3437"
COLOURS = ("#d64541", "#3f7fbf", "#3f9a55", "#d9930d", "#6f7378", "#83878c", "#979ba0", "#abafb4")
_CORNERS = {True: ("lower", "upper"), False: ("left", "right")}


class BusView:
    """`drawing.view.WorldView` of `Bus` and of the worlds made from it."""

    action_names = grid.ACTIONS
    cells = Cells(_SIZE, _SIZE)

    def __init__(
        self, stops: Sequence[Stops], bus_at: np.ndarray, map_cell: tuple[int, int] | None
    ):
        """
        Args:
          stops: of each problem, the two stops of each bus.
          bus_at: [problems, cells] the bus at each cell, -1 for none.
          map_cell: (x, y) of the map, or None.
        """
        self._stops, self._bus_at, self._map_cell = stops, bus_at, map_cell

    def draw(self, state: Any, before: Sequence[Any], told: bool) -> Drawing:
        stops = self._stops[int(state.problem)]
        path = [*before, state]
        ridden = self._ridden(path)
        shapes = [*_BACKGROUND]
        if self._map_cell is not None:
            shapes += _map(self._map_cell)
        for index in sorted(ridden):
            near, far = (_centre(*cell) for cell in stops[index])
            shapes.append(Line((near, far), COLOURS[index], 0.9, (0.1, 2.2)))
        shapes += _trail(path)
        for index, (near, far) in enumerate(stops):
            shapes += _stop(near, COLOURS[index], str(index + 1))
            seen = index in ridden
            shapes += _stop(far, COLOURS[index] if seen else None, str(index + 1) if seen else "?")
        if told:
            shapes += _goal(tuple(int(v) for v in state.goal))
        x, y = _centre(*(int(v) for v in state.position))
        shapes += [Circle(x, y, 4.1, "#ffffff"), Circle(x, y, 3.3, _INK)]
        words = f"The traveller is at {place(state.position)}. Buses ridden: {len(ridden)}."
        return Drawing(_SIDE, _SIDE, tuple(shapes), words)

    def cell(self, state: Any) -> tuple[int, int]:
        x, y = (int(v) for v in state.position)
        return x, _SIZE - 1 - y

    def instruction(self, instruction: np.ndarray) -> str:
        return f"go to the {place(instruction)} corner"

    def problem(self, problem: int) -> str:
        ends = [place(far) for _, far in self._stops[problem][:4]]
        return ", ".join(f"bus {k + 1} to {end}" for k, end in enumerate(ends))

    def groups(self) -> Mapping[str, Sequence[str]]:
        buses = range(len(self._stops[0]))
        groups = {f"bus {k + 1} goes": [place(stops[k][1]) for stops in self._stops] for k in buses}
        kinds = {"coloured buses": buses[:4], "grey buses": buses[4:]}
        orders = {
            name: ["; ".join(place(stops[k][1]) for k in some) for stops in self._stops]
            for name, some in kinds.items()
            if some
        }
        return {**orders, **groups}

    def _ridden(self, states: Sequence[Any]) -> set[int]:
        """Buses that were ridden: the traveller was at a stop, and then far away."""
        ridden = set()
        for old, new in itertools.pairwise(states):
            far = np.abs(np.subtract(old.position, new.position)).sum() > 1
            if far and int(new.step) == int(old.step) + 1:
                x, y = (int(v) for v in old.position)
                ridden.add(int(self._bus_at[int(old.problem), x * _SIZE + y]))
        return ridden - {-1}


def place(cell: Any) -> str:
    """The direction of a cell from the centre, in words."""
    x, y = (int(v) - _SIZE // 2 for v in cell)
    # A destination that is one step beside a corner is named after it.
    vertical = "" if not y else _CORNERS[True][y > 0]
    horizontal = "" if not x else _CORNERS[False][x > 0]
    return " ".join(word for word in (vertical, horizontal) if word) or "centre"


def _centre(x: float, y: float) -> tuple[float, float]:
    return _EDGE + (x + 0.5) * _CELL, _EDGE + (_SIZE - 0.5 - y) * _CELL


def _background() -> list[Shape]:
    shapes: list[Shape] = [Rectangle(0, 0, _SIDE, _SIDE, _PAPER, radius=4)]
    for k in range(_SIZE + 1):
        at = _EDGE + k * _CELL
        shapes.append(Line(((_EDGE, at), (_SIDE - _EDGE, at)), _GRID, 0.6))
        shapes.append(Line(((at, _EDGE), (at, _SIDE - _EDGE)), _GRID, 0.6))
    return shapes


_BACKGROUND = _background()


def _stop(cell: tuple[int, int], colour: str | None, label: str) -> list[Shape]:
    """A bus stop. colour: None while nobody knows which bus it belongs to."""
    x, y = _centre(*cell)
    if colour is None:
        sign = Rectangle(x - 4.4, y - 4.4, 8.8, 8.8, "#ffffff", "#a7adb2", 0.8, 2)
        return [sign, Text(x, y + 0.2, label, 6.5, "#a7adb2", bold=True)]
    sign = Rectangle(x - 4.8, y - 4.8, 9.6, 9.6, colour, radius=2)
    return [sign, Text(x, y + 0.2, label, 6.5, "#ffffff", bold=True)]


def _map(cell: tuple[int, int]) -> list[Shape]:
    x, y = _centre(*cell)
    fold = [Line(((x + dx, y - 4), (x + dx, y + 4)), "#b79ad6", 0.6) for dx in (-1.6, 1.6)]
    return [
        Rectangle(x - 4.8, y - 4, 9.6, 8, "#efe6fa", "#8e63c4", 0.9, 1),
        *fold,
        Line(
            ((x - 3.4, y + 2), (x - 1, y - 1.5), (x + 1, y + 1), (x + 3.4, y - 2)), "#8e63c4", 0.9
        ),
    ]


def _goal(cell: tuple[int, ...]) -> list[Shape]:
    x, y = _centre(*cell)
    return [
        Rectangle(x - _CELL / 2, y - _CELL / 2, _CELL, _CELL, "#d8f0d5"),
        Line(((x - 2.4, y + 4.4), (x - 2.4, y - 4.2)), _INK, 0.9),
        Polygon(((x - 2, y - 4.4), (x + 4.2, y - 2), (x - 2, y + 0.4)), "#2f9e44"),
    ]


def _trail(states: Sequence[Any]) -> list[Shape]:
    """The way walked in the newest episode; rides are left out."""
    start = max((i for i, state in enumerate(states) if int(state.step) == 0), default=0)
    cells = [tuple(int(v) for v in state.position) for state in states[start:]]
    return [
        Line((_centre(*a), _centre(*b)), "#7d8388", 0.9)
        for a, b in itertools.pairwise(cells)
        if abs(a[0] - b[0]) + abs(a[1] - b[1]) == 1
    ]
