"""Drawings as SVG and as pixels, and environments without a drawing of their own."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from dream_jax.drawing import raster, svg
from dream_jax.drawing.shapes import (
    Circle,
    Drawing,
    Line,
    Picture,
    Polygon,
    Rectangle,
    Text,
    moved,
)
from dream_jax.drawing.view import view_of

RED, BLUE = "#d64541", "#3f7fbf"
ALL = (
    Rectangle(0, 0, 40, 30, "#ffffff"),
    Rectangle(2, 2, 10, 8, RED, radius=2),
    Circle(30, 10, 5, BLUE, RED, 1),
    Line(((2, 25), (20, 25)), RED, 1, (1, 2)),
    Polygon(((25, 20), (38, 20), (38, 28)), BLUE, opacity=0.5),
    Text(20, 15, "a<b>&c", 4, bold=True),
    Text(20, 20, "ii", 4, fixed_width=True),
    Picture(34, 0, 6, 6, raster.png(np.full((2, 2, 3), 60, np.uint8))),
)
DRAWING = Drawing(40, 30, ALL, 'shows "<all>"')


def test_svg_has_every_shape_and_escapes_text():
    root = ET.fromstring(svg.document(DRAWING))
    kinds = [child.tag.split("}")[1] for child in root]
    assert kinds == [
        "title", "rect", "rect", "circle", "polyline", "polygon", "text", "text", "image",
    ]  # fmt: skip
    assert root[0].text == 'shows "<all>"' and root[6].text == "a<b>&c"
    assert root.get("viewBox") == "0 0 40 30"
    assert root[8].get("href").startswith("data:image/png;base64,")


@pytest.mark.parametrize("colour", ("red", '#fff" onload="x', "url(#a)", "#12345"))
def test_a_colour_cannot_carry_markup(colour):
    with pytest.raises(ValueError, match="is no colour"):
        svg.element(Circle(0, 0, 1, colour))


def test_pixels_are_those_of_the_shapes():
    image = raster.pixels(DRAWING, 400)
    assert image.shape == (300, 400, 3) and image.dtype == np.uint8
    at = {(60, 60): RED, (100, 300): BLUE, (30, 370): "#3c3c3c", (290, 10): "#ffffff"}
    for (row, column), colour in at.items():
        assert "#" + bytes(image[row, column].tolist()).hex() == colour
    dashes = (image[250, 20:200] == (214, 69, 65)).all(-1)
    assert 0.2 < dashes.mean() < 0.8
    assert (image[130:170, 150:250] < 128).any()  # the text


def test_shapes_move_together():
    shifted = moved(ALL, 3, 4)
    assert shifted[1][:2] == (5, 6) and shifted[3].points == ((5, 29), (23, 29))


class Bare:
    num_actions, end_episode_action = 3, 2


class Texted(Bare):
    def render_text(self, state):
        return f"<state {state}>\nsecond line"

    def render_image(self, state):
        raise NotImplementedError


class Pictured(Bare):
    def render_image(self, state):
        return np.full((10, 20, 3), 7, np.uint8)


class Viewed(Bare):
    def view(self):
        return "its own"


def test_an_environment_without_a_drawing_is_shown_plainly():
    view = view_of(Texted())
    drawing = view.draw(5, [], told=False)
    assert [s.text for s in drawing.shapes if isinstance(s, Text)] == ["<state 5>", "second line"]
    assert "&lt;state 5&gt;" in svg.document(drawing)
    assert list(view.action_names) == ["action 0", "action 1", "end episode"]
    assert view.instruction(np.array([4, 1])) == "instruction 4, 1"
    assert view.instruction(np.array([])) == "no instruction"
    assert view.groups() == {} and view.cells is None
    (picture,) = view_of(Pictured()).draw(0, [], told=True).shapes
    assert isinstance(picture, Picture) and picture.height == picture.width / 2
    (_, text) = view_of(Bare()).draw(0, [], told=True).shapes
    assert text.text == "this world has no picture"
    assert view_of(Viewed()) == "its own"
