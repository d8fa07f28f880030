"""Drawings as pixels, for GIFs and notebooks, with pillow."""

import functools
import io
import itertools
import math

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dream_jax.drawing.shapes import (
    NONE,
    Circle,
    Drawing,
    Line,
    Picture,
    Point,
    Polygon,
    Rectangle,
    Shape,
    Text,
)

_SHARPNESS = 2  # the picture is drawn this much larger, then shrunk, so that edges are smooth


def pixels(drawing: Drawing, width: int, background: str = "#ffffff") -> np.ndarray:
    """[H, width, 3] uint8. H follows from the proportions of the drawing."""
    scale = width * _SHARPNESS / drawing.width
    size = width * _SHARPNESS, round(drawing.height * scale / _SHARPNESS) * _SHARPNESS
    canvas = _Canvas(Image.new("RGB", size, background), scale)
    for shape in drawing.shapes:
        canvas.draw(shape)
    small = (size[0] // _SHARPNESS, size[1] // _SHARPNESS)
    return np.asarray(canvas.image.resize(small, Image.Resampling.BOX))


def png(image: np.ndarray, colours: int = 64) -> bytes:
    """A small PNG of [H, W, 3] uint8, with a palette of at most `colours` colours."""
    buffer = io.BytesIO()
    # Median cut, without dithering: flat surfaces stay flat and compress well.
    palette = Image.fromarray(image).quantize(colours, dither=Image.Dither.NONE)
    palette.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


class _Canvas:
    def __init__(self, image: Image.Image, scale: float):
        self.image, self._scale = image, scale
        self._draw = ImageDraw.Draw(image)

    def draw(self, shape: Shape) -> None:
        if isinstance(shape, Rectangle):
            self._rectangle(shape)
        elif isinstance(shape, Circle):
            x, y, r = (v * self._scale for v in (shape.x, shape.y, shape.radius))
            box = (x - r, y - r, x + r, y + r)
            self._draw.ellipse(box, **self._paint(shape))
        elif isinstance(shape, Polygon):
            self._polygon(shape)
        elif isinstance(shape, Line):
            for part in _dashes(shape):
                self._line(part, shape.stroke, shape.stroke_width)
        elif isinstance(shape, Text):
            self._text(shape)
        elif isinstance(shape, Picture):
            self._picture(shape)
        else:
            raise TypeError(f"a drawing has no {type(shape).__name__}")

    def _paint(self, shape: Rectangle | Circle) -> dict:
        paint: dict = {"fill": None if shape.fill == NONE else shape.fill}
        if shape.stroke != NONE:
            width = max(1, round(shape.stroke_width * self._scale))
            paint |= {"outline": shape.stroke, "width": width}
        return paint

    def _rectangle(self, shape: Rectangle) -> None:
        x, y, w, h = (v * self._scale for v in shape[:4])
        radius = min(shape.radius * self._scale, w / 2, h / 2)
        self._draw.rounded_rectangle((x, y, x + w, y + h), radius, **self._paint(shape))

    def _polygon(self, shape: Polygon) -> None:
        points = self._scaled(shape.points)
        if shape.opacity < 1:
            layer = Image.new("L", self.image.size, 0)
            ImageDraw.Draw(layer).polygon(points, fill=round(255 * shape.opacity))
            self.image.paste(Image.new("RGB", self.image.size, shape.fill), mask=layer)
        elif shape.fill != NONE:
            self._draw.polygon(points, fill=shape.fill)
        if shape.stroke != NONE:
            self._line((*shape.points, shape.points[0]), shape.stroke, shape.stroke_width)

    def _line(self, points: tuple[Point, ...], stroke: str, stroke_width: float) -> None:
        scaled, width = self._scaled(points), max(1, round(stroke_width * self._scale))
        self._draw.line(scaled, fill=stroke, width=width, joint="curve")
        radius = width / 2
        for x, y in (scaled[0], scaled[-1]):
            self._draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=stroke)

    def _text(self, shape: Text) -> None:
        # pillow's own font has letters of different widths: each gets a place of the same width.
        font = _font(max(1.0, shape.size * self._scale))
        x, y = shape.x * self._scale, shape.y * self._scale
        bold = round(0.03 * shape.size * self._scale) if shape.bold else 0
        if shape.fixed_width:
            step = 0.62 * shape.size * self._scale
            start = {"start": 0.0, "middle": 0.5, "end": 1.0}[shape.anchor]
            x -= start * step * len(shape.text)
            for i, letter in enumerate(shape.text):
                self._draw.text((x + (i + 0.5) * step, y), letter, shape.fill, font, "mm")
            return
        anchor = {"start": "lm", "middle": "mm", "end": "rm"}[shape.anchor]
        self._draw.text((x, y), shape.text, shape.fill, font, anchor, stroke_width=bold)

    def _picture(self, shape: Picture) -> None:
        x, y, w, h = (round(v * self._scale) for v in shape[:4])
        with Image.open(io.BytesIO(shape.png)) as image:
            enlarged = image.convert("RGB").resize((w, h), Image.Resampling.NEAREST)
        self.image.paste(enlarged, (x, y))

    def _scaled(self, points: tuple[Point, ...]) -> list[Point]:
        return [(x * self._scale, y * self._scale) for x, y in points]


@functools.lru_cache(maxsize=64)
def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _dashes(line: Line) -> list[tuple[Point, ...]]:
    """The parts of a line that are drawn."""
    if line.dash is None:
        return [line.points]
    dash, gap = line.dash
    parts: list[tuple[Point, ...]] = []
    for (x0, y0), (x1, y1) in itertools.pairwise(line.points):
        length = math.hypot(x1 - x0, y1 - y0)
        for k in range(math.ceil(length / (dash + gap))):
            a = k * (dash + gap) / length
            b = min(1.0, a + dash / length)
            parts.append(
                (
                    (x0 + a * (x1 - x0), y0 + a * (y1 - y0)),
                    (x0 + b * (x1 - x0), y0 + b * (y1 - y0)),
                )
            )
    return parts
