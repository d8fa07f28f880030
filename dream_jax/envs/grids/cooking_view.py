"""A kitchen for people: fridges that open when they are used, a pot, a cook."""

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

INGREDIENTS = ("tomato", "onion", "lettuce", "cheese", "plum", "carrot", "fish", "mushroom")
_ROUND = {4: "#7c4d9e", 5: "#e6823c", 6: "#46a5b4", 7: "#a8866a"}  # those without a drawing
_THREE_FRIDGES = ("lower", "middle", "upper")  # by y
_LISTED = 1_000  # problems; more are not put into groups
_CELL, _WALL, _FRIDGE = 30.0, 6.0, 34.0  # of the floor, around it, and the width for fridges
_FLOOR, _TILE, _COUNTER, _INK, _STEEL = "#f6efe2", "#efe5d3", "#c9b79c", "#3b3833", "#5f6670"


class CookingView:
    """`drawing.view.WorldView` of `Cooking` and its variants."""

    action_names = tuple(name.replace("ride bus", "ride bus (no bus)") for name in grid.ACTIONS)

    def __init__(self, env: Any, words: Sequence[str] = ()):
        """
        Args:
          env: the kitchen: `size`, `pot`, `empty`, `num_problems` and `held`.
          words: of instructions that are sentences; none: instructions are recipes.
        """
        self._env, self._words = env, words
        self.cells = Cells(env.size, env.size)

    def draw(self, state: Any, before: Sequence[Any], told: bool) -> Drawing:
        env = self._env
        contents = env.held(int(state.problem))
        opened = _opened([*before, state], contents)
        shapes = _room(env.size)
        for y in range(env.size):
            shapes += _fridge(env.size, y, contents[y] if y in opened else None)
        place = self.cell(state)
        column, row = env.pot[0], env.size - 1 - env.pot[1]
        shapes += _pot(column, row, [int(i) for i in state.pot if int(i) != env.empty])
        shapes += _cook(*place, int(state.inventory) if int(state.inventory) != env.empty else None)
        if told:
            shapes += _card([int(i) for i in state.recipe])
        held = self._name(int(state.inventory))
        where = (
            "the pot" if place == (column, row) else f"column {place[0] + 1}, row {place[1] + 1}"
        )
        words = f"The cook is at {where} and holds {held}. Fridges opened: {len(opened)}."
        width, height = _extent(env.size)
        return Drawing(width, height, tuple(shapes), words)

    def cell(self, state: Any) -> tuple[int, int]:
        x, y = (int(v) for v in state.position)
        return x, self._env.size - 1 - y

    def instruction(self, instruction: np.ndarray) -> str:
        if self._words:
            return " ".join(self._words[int(i)] for i in instruction if int(i))
        first, second = (self._name(int(i)) for i in instruction)
        return f"cook: {first}, then {second}"

    def problem(self, problem: int) -> str:
        return "fridges: " + ", ".join(INGREDIENTS[i] for i in self._env.held(problem)[::-1])

    def groups(self) -> Mapping[str, Sequence[str]]:
        env = self._env
        if env.num_problems > _LISTED:
            return {}
        contents = [env.held(problem) for problem in range(env.num_problems)]
        names = _THREE_FRIDGES if env.size == 3 else [str(y + 1) for y in range(env.size)]
        return {
            f"{name} fridge": [INGREDIENTS[held[y]] for held in contents]
            for y, name in enumerate(names)
        }

    def _name(self, ingredient: int) -> str:
        return INGREDIENTS[ingredient] if 0 <= ingredient < self._env.empty else "nothing"


def _extent(size: int) -> tuple[float, float]:
    """Width and height of a kitchen."""
    return size * _CELL + _FRIDGE + 2 * _WALL, size * _CELL + 2 * _WALL


def _opened(states: Sequence[Any], contents: Sequence[int]) -> set[int]:
    """Fridges that the cook took something from: it stood there, and held their content after."""
    opened = set()
    for old, new in itertools.pairwise(states):
        x, y = (int(v) for v in old.position)
        stayed = int(new.step) == int(old.step) + 1 and (old.position == new.position).all()
        if stayed and x == len(contents) - 1 and int(new.inventory) == contents[y]:
            opened.add(y)
    return opened


def _corner(column: float, row: float) -> tuple[float, float]:
    return _WALL + column * _CELL, _WALL + row * _CELL


def _room(size: int) -> list[Shape]:
    width, height = _extent(size)
    shapes: list[Shape] = [
        Rectangle(0, 0, width, height, _COUNTER, radius=5),
        Rectangle(_WALL, _WALL, width - 2 * _WALL, height - 2 * _WALL, _FLOOR, radius=2),
    ]
    for column in range(size):
        for row in range(size):
            if (column + row) % 2:
                shapes.append(Rectangle(*_corner(column, row), _CELL, _CELL, _TILE))
    return shapes


def _fridge(size: int, y: int, content: int | None) -> list[Shape]:
    """A fridge at the right wall. content: None while it is closed."""
    left, top = _corner(size, size - 1 - y)
    left, top, width, height = left + 6, top + 2, 22.0, 26.0
    if content is None:
        return [
            Rectangle(left, top, width, height, "#dfe5ea", "#8b96a1", 1, 2.5),
            Line(((left, top + 9), (left + width, top + 9)), "#8b96a1", 0.8),
            Line(((left + 3.5, top + 12), (left + 3.5, top + 18)), "#6b7681", 1.4),
            Text(left + width / 2 + 1, top + 17, "?", 9, "#8b96a1", bold=True),
        ]
    door = ((left, top), (left - 6, top + 3), (left - 6, top + height + 2), (left, top + height))
    return [
        Rectangle(left, top, width, height, "#fffdf5", "#8b96a1", 1, 2.5),
        Line(((left + 2, top + height - 5), (left + width - 2, top + height - 5)), "#c5ccd3", 0.8),
        Polygon(door, "#c9d2da", "#8b96a1", 1),
        *ingredient(content, left + width / 2, top + height / 2 - 1, 7),
    ]


def _pot(column: int, row: int, contents: Sequence[int]) -> list[Shape]:
    left, top = _corner(column, row)
    x, y = left + 15, top + 8
    shapes: list[Shape] = [
        Rectangle(x - 11, y - 6, 22, 16, "#d9d4ca", "#a9a294", 0.8, 2),
        Rectangle(x - 9, y - 2, 18, 10, _STEEL, radius=3),
        Line(((x - 11, y + 1), (x + 11, y + 1)), _STEEL, 1.6),
    ]
    for k, content in enumerate(contents):
        shapes += ingredient(content, x - 5.6 + 5.6 * k, y - 3, 3)
    return shapes


def _cook(column: int, row: int, held: int | None) -> list[Shape]:
    left, top = _corner(column, row)
    x, y = left + 11, top + 19
    shapes: list[Shape] = [
        Polygon(((x - 6, y + 9), (x - 4, y + 1), (x + 4, y + 1), (x + 6, y + 9)), "#3f6fa8"),
        Circle(x, y - 1.5, 4.2, "#f0c9a0", _INK, 0.6),
        Rectangle(x - 3.6, y - 7.2, 7.2, 3, "#ffffff", _INK, 0.6, 0.6),
        Circle(x - 2.4, y - 8.4, 2.3, "#ffffff", _INK, 0.6),
        Circle(x + 2.4, y - 8.4, 2.3, "#ffffff", _INK, 0.6),
        Rectangle(x - 3.2, y - 8, 6.4, 3, "#ffffff"),
        Circle(x - 1.5, y - 1.5, 0.6, _INK),
        Circle(x + 1.5, y - 1.5, 0.6, _INK),
    ]
    if held is not None:
        shapes += [
            Line(((x + 4, y + 3.5), (x + 8.5, y + 3)), "#3f6fa8", 2.2),
            Circle(x + 12, y + 1.5, 6, "#ffffff", _INK, 0.6),
            *ingredient(held, x + 12, y + 1.5, 4.2),
        ]
    return shapes


def _card(recipe: Sequence[int]) -> list[Shape]:
    """The recipe, on a card in the upper left corner."""
    x, y = 3.0, 3.0
    shapes: list[Shape] = [
        Rectangle(x, y, 28, 13, "#ffffff", "#a9a294", 0.7, 2),
        Polygon(((x + 12.6, y + 4.5), (x + 15.4, y + 6.5), (x + 12.6, y + 8.5)), "#8a8377"),
    ]
    shapes += ingredient(recipe[0], x + 6.8, y + 6.5, 4.2)
    return shapes + ingredient(recipe[1], x + 21.2, y + 6.5, 4.2)


def ingredient(kind: int, x: float, y: float, r: float) -> list[Shape]:
    """One of `INGREDIENTS` with its centre at (x, y), about r around it."""
    if kind == 0:  # a tomato with a leaf
        leaf = ((x - 0.5 * r, y - 0.95 * r), (x, y - 0.5 * r), (x + 0.5 * r, y - 0.95 * r))
        return [Circle(x, y + 0.1 * r, 0.9 * r, "#d64541"), Polygon(leaf, "#4f9d57")]
    if kind == 1:  # an onion with its shoot
        tip = ((x - 0.4 * r, y - 0.5 * r), (x, y - 1.15 * r), (x + 0.4 * r, y - 0.5 * r))
        return [
            Circle(x, y + 0.15 * r, 0.8 * r, "#9a6bb5"),
            Polygon(tip, "#9a6bb5"),
            Line(((x, y - 0.4 * r), (x, y + 0.7 * r)), "#c7a6da", 0.14 * r),
        ]
    if kind == 2:  # a head of lettuce
        places = ((-0.45, 0.15), (0.45, 0.15), (0, -0.4), (0, 0.4))
        leaves = [Circle(x + dx * r, y + dy * r, 0.55 * r, "#5aa85f") for dx, dy in places]
        return [*leaves, Circle(x, y, 0.45 * r, "#9bd08f")]
    if kind in _ROUND:
        letter = INGREDIENTS[kind][0].upper()
        return [Circle(x, y, 0.9 * r, _ROUND[kind]), Text(x, y, letter, 1.2 * r, "#ffffff")]
    # a wedge of cheese
    wedge = ((x - r, y + 0.55 * r), (x + 0.7 * r, y - 0.7 * r), (x + r, y + 0.55 * r))
    return [
        Polygon(wedge, "#f0b429", "#c98f12", 0.12 * r),
        Circle(x + 0.1 * r, y + 0.15 * r, 0.17 * r, "#c98f12"),
        Circle(x + 0.55 * r, y + 0.1 * r, 0.13 * r, "#c98f12"),
    ]
