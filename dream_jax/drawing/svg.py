"""Drawings as SVG. Text is escaped, and nothing outside the file is referred to."""

import base64
import functools
import html

from dream_jax.drawing.shapes import (
    Circle,
    Drawing,
    Line,
    Picture,
    Point,
    Polygon,
    Rectangle,
    Shape,
    Text,
    checked_colour,
)


def document(drawing: Drawing) -> str:
    """A whole SVG, for a file or inside a page."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="{view_box(drawing)}">'
        f"<title>{html.escape(drawing.description)}</title>"
        + "".join(element(shape) for shape in drawing.shapes)
        + "</svg>"
    )


def view_box(drawing: Drawing) -> str:
    return f"0 0 {_number(drawing.width)} {_number(drawing.height)}"


@functools.lru_cache(maxsize=4096)  # most shapes are the same in every step of a trial
def element(shape: Shape) -> str:
    """One shape as an element. Raises ValueError for a colour that is none."""
    if isinstance(shape, Rectangle):
        corner = f' rx="{_number(shape.radius)}"' if shape.radius else ""
        return f"<rect {_box(shape)}{corner}{_paint(shape)}/>"
    if isinstance(shape, Circle):
        place = f'cx="{_number(shape.x)}" cy="{_number(shape.y)}" r="{_number(shape.radius)}"'
        return f"<circle {place}{_paint(shape)}/>"
    if isinstance(shape, Polygon):
        opacity = f' fill-opacity="{_number(shape.opacity)}"' if shape.opacity < 1 else ""
        return f'<polygon points="{_points(shape.points)}"{_paint(shape)}{opacity}/>'
    if isinstance(shape, Line):
        dash = ""
        if shape.dash is not None:
            dash = f' stroke-dasharray="{_number(shape.dash[0])} {_number(shape.dash[1])}"'
        ends = ' stroke-linecap="round" stroke-linejoin="round"'
        stroke = f' fill="none" stroke="{checked_colour(shape.stroke)}"'
        width = f' stroke-width="{_number(shape.stroke_width)}"'
        return f'<polyline points="{_points(shape.points)}"{stroke}{width}{dash}{ends}/>'
    if isinstance(shape, Text):
        return _text(shape)
    if isinstance(shape, Picture):
        source = base64.b64encode(shape.png).decode()
        drawn = 'preserveAspectRatio="none" style="image-rendering:pixelated"'
        return f'<image {_box(shape)} {drawn} href="data:image/png;base64,{source}"/>'
    raise TypeError(f"a drawing has no {type(shape).__name__}")


def _text(shape: Text) -> str:
    if shape.anchor not in ("start", "middle", "end"):
        raise ValueError(f"anchor={shape.anchor!r}; valid: start, middle, end")
    family = "ui-monospace, monospace" if shape.fixed_width else "system-ui, sans-serif"
    weight = ' font-weight="600"' if shape.bold else ""
    return (
        f'<text x="{_number(shape.x)}" y="{_number(shape.y)}" text-anchor="{shape.anchor}" '
        f'dominant-baseline="central" xml:space="preserve" font-size="{_number(shape.size)}" '
        f'font-family="{family}"{weight} fill="{checked_colour(shape.fill)}">'
        f"{html.escape(shape.text)}</text>"
    )


def _box(shape: Rectangle | Picture) -> str:
    return (
        f'x="{_number(shape.x)}" y="{_number(shape.y)}" '
        f'width="{_number(shape.width)}" height="{_number(shape.height)}"'
    )


def _paint(shape: Rectangle | Circle | Polygon) -> str:
    paint = f' fill="{checked_colour(shape.fill)}"'
    if shape.stroke != "none":
        paint += f' stroke="{checked_colour(shape.stroke)}"'
        paint += f' stroke-width="{_number(shape.stroke_width)}" stroke-linejoin="round"'
    return paint


def _points(points: tuple[Point, ...]) -> str:
    return " ".join(f"{_number(x)},{_number(y)}" for x, y in points)


def _number(value: float) -> str:
    return f"{float(value):.2f}".rstrip("0").rstrip(".")
