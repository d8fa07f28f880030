"""A drawing as a list of shapes. `svg` and `raster` turn the same list into a page or a picture.

x points right and y points down, in units of the drawing. Colours are "#rrggbb", or "none".
"""

import re
from typing import NamedTuple

Point = tuple[float, float]
NONE = "none"
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}\Z")


class Rectangle(NamedTuple):
    x: float  # of the upper left corner
    y: float
    width: float
    height: float
    fill: str = NONE
    stroke: str = NONE
    stroke_width: float = 1.0
    radius: float = 0.0  # of the corners


class Circle(NamedTuple):
    x: float  # of the centre
    y: float
    radius: float
    fill: str = NONE
    stroke: str = NONE
    stroke_width: float = 1.0


class Line(NamedTuple):
    """A line through points, with round ends."""

    points: tuple[Point, ...]
    stroke: str
    stroke_width: float = 1.0
    dash: tuple[float, float] | None = None  # length of a dash, and of the gap after it


class Polygon(NamedTuple):
    points: tuple[Point, ...]
    fill: str = NONE
    stroke: str = NONE
    stroke_width: float = 1.0
    opacity: float = 1.0  # of the fill


class Text(NamedTuple):
    """One line of text, centred at its height."""

    x: float
    y: float
    text: str
    size: float
    fill: str = "#222222"
    anchor: str = "middle"  # which part is at x: "start", "middle" or "end"
    fixed_width: bool = False  # letters of one width, for tables
    bold: bool = False


class Picture(NamedTuple):
    """A raster image, stretched to the rectangle without smoothing."""

    x: float
    y: float
    width: float
    height: float
    png: bytes


Shape = Rectangle | Circle | Line | Polygon | Text | Picture


class Drawing(NamedTuple):
    width: float
    height: float
    shapes: tuple[Shape, ...]  # later ones cover earlier ones
    description: str = ""  # in words, for readers who cannot see it


def moved(shapes: tuple[Shape, ...], dx: float, dy: float) -> tuple[Shape, ...]:
    """The same shapes elsewhere."""
    return tuple(_moved(shape, dx, dy) for shape in shapes)


def colour(red: float, green: float, blue: float) -> str:
    """A colour from numbers of 0 to 255."""
    return "#" + "".join(f"{min(255, max(0, round(x))):02x}" for x in (red, green, blue))


def checked_colour(value: str) -> str:
    """The colour itself. Raises ValueError if it is none."""
    if value != NONE and not _COLOUR.match(value):
        raise ValueError(f"{value!r} is no colour; valid: '#rrggbb' or 'none'")
    return value


def _moved(shape: Shape, dx: float, dy: float) -> Shape:
    if isinstance(shape, Line | Polygon):
        return shape._replace(points=tuple((x + dx, y + dy) for x, y in shape.points))
    return shape._replace(x=shape.x + dx, y=shape.y + dy)
