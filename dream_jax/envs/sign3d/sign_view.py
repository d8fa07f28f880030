"""The sign world for people: what the agent sees, beside a plan of the room with its path."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from dream_jax.drawing import raster
from dream_jax.drawing.shapes import (
    Drawing,
    Line,
    Picture,
    Point,
    Polygon,
    Rectangle,
    Shape,
    Text,
)
from dream_jax.drawing.view import Cells
from dream_jax.envs.sign3d import world as sign_world
from dream_jax.envs.sign3d.world import OBJECTS, Objects, Pose, Scene

_SCALE = 9.0  # units of the drawing per metre
_PLAN_WIDTH = (sign_world.SIZE_X + 1) * _SCALE
_HEIGHT = (sign_world.SIZE_Z + 1) * _SCALE
_VIEW_WIDTH = _HEIGHT * sign_world.FRAME_WIDTH / sign_world.FRAME_HEIGHT
_GAP = 5.0
_WALL, _FLOOR, _AGENT = "#4a4d50", "#f5f3ee", "#2f3437"
_COLOURS = ("#3f7fbf", "#d64541", "#3f9a55")  # blue, red, green
_SIGHT = 4.0  # metres that the field of view is drawn

_ACTION_NAMES = ("turn left", "turn right", "forward", "end episode")


class SignView:
    """`drawing.view.WorldView` of `Sign`."""

    cells = Cells(math.ceil(sign_world.SIZE_X), math.ceil(sign_world.SIZE_Z))  # square metres

    def __init__(
        self,
        observe: Callable[[Any], np.ndarray],
        objects: Objects = OBJECTS,
        num_actions: int = len(_ACTION_NAMES),
    ):
        """observe: the picture of a state, [60, 80, 3] uint8. num_actions: the first so many."""
        self._observe, self._objects = observe, objects
        self.action_names = _ACTION_NAMES[:num_actions]

    def draw(self, state: Any, before: Sequence[Any], told: bool) -> Drawing:
        scene = Scene(state.problem, state.object_yaw)
        pose = Pose(state.position, state.heading)
        path = _path([*before, state])[:-1]
        return beside(np.asarray(self._observe(state)), scene, pose, path, self._objects)

    def cell(self, state: Any) -> tuple[int, int]:
        x, z = (float(v) for v in state.position)
        return int(x), int(z)

    def instruction(self, instruction: np.ndarray) -> str:
        return f"fetch the {self._objects.shapes[int(instruction[0])]} of the colour on the sign"

    def problem(self, problem: int) -> str:
        return f"the sign reads {sign_world.SIGN_TEXTS[problem]}"

    def groups(self) -> Mapping[str, Sequence[str]]:
        return {"sign": list(sign_world.SIGN_TEXTS[: self._objects.colours])}


def beside(
    view: np.ndarray, scene: Scene, pose: Pose, path: Sequence[Point], objects: Objects = OBJECTS
) -> Drawing:
    """`view` [60, 80, 3] uint8, and the room from above to its right.

    path: the positions of the agent so far, (x, z) in metres.
    """
    picture = Picture(0, 0, _VIEW_WIDTH, _HEIGHT, raster.png(view))
    plan = _Plan(_VIEW_WIDTH + _GAP)
    plan.room(int(scene.colour))
    plan.objects(objects, np.asarray(scene.object_yaw))
    x, z = (float(v) for v in pose.position)
    plan.agent([*path, (x, z)], float(pose.heading))
    words = (
        f"Left: what the agent sees. Right: the room from above; the agent is at {x:.1f} m, "
        f"{z:.1f} m. The sign reads {sign_world.SIGN_TEXTS[int(scene.colour)]}."
    )
    shapes = (picture, *plan.shapes)
    return Drawing(_VIEW_WIDTH + _GAP + _PLAN_WIDTH, _HEIGHT, shapes, words)


def _path(states: Sequence[Any]) -> list[Point]:
    """The positions of the newest episode, in metres."""
    start = max((i for i, s in enumerate(states) if int(s.step) == 0), default=0)
    return [(float(s.position[0]), float(s.position[1])) for s in states[start:]]


class _Plan:
    """Collects the shapes of the room from above: x points right, z points down."""

    def __init__(self, left: float):
        self._left = left
        self.shapes: list[Shape] = []

    def room(self, colour: int) -> None:
        self._rectangle((-0.15, sign_world.SIZE_X + 0.15), (-0.15, sign_world.SIZE_Z + 0.15), _WALL)
        self._rectangle((0, sign_world.SIZE_X), (0, sign_world.SIZE_Z), _FLOOR)
        self._rectangle(sign_world.BARRIER_X, sign_world.BARRIER_Z, _WALL)
        text = sign_world.SIGN_TEXTS[colour]
        half = len(text) / 2
        front, centre = sign_world.SIZE_X, sign_world.SIGN_Z
        self._rectangle(
            (front - 0.25, front + 0.15), (centre - half, centre + half), _COLOURS[colour]
        )
        x, y = self._at((front - 0.5, centre))
        self.shapes.append(Text(x, y, text, 7, _COLOURS[colour], "end", bold=True))

    def objects(self, there: Objects, yaws: np.ndarray) -> None:
        columns = (there.position, there.colour, there.shape, yaws)
        for place, colour, shape, yaw in zip(*(c.tolist() for c in columns), strict=True):
            for outline in (_BOX, _KEY, _BALL)[shape]:
                points = _turned(outline, yaw) + place
                self.shapes.append(Polygon(self._all(points), _COLOURS[colour]))

    def agent(self, path: Sequence[Point], heading: float) -> None:
        here = np.array(path[-1])
        half = math.atan(sign_world.TAN_HALF_FOV_X)
        angles = np.linspace(heading - half, heading + half, 9)
        edge = np.stack([np.cos(angles), -np.sin(angles)], axis=1) * _SIGHT + here
        edge = np.clip(edge, 0, (sign_world.SIZE_X, sign_world.SIZE_Z))
        self.shapes.append(Polygon(self._all([here, *edge]), "#e8b93c", opacity=0.35))
        if len(path) > 1:
            self.shapes.append(Line(self._all(np.array(path)), _AGENT, 0.9, (0.1, 2.0)))
        arrow = _turned(_ARROW, heading) + here
        self.shapes.append(Polygon(self._all(arrow), _AGENT))

    def _rectangle(self, x: tuple[float, float], z: tuple[float, float], colour: str) -> None:
        left, top = self._at((x[0], z[0]))
        size = (x[1] - x[0]) * _SCALE, (z[1] - z[0]) * _SCALE
        self.shapes.append(Rectangle(left, top, *size, colour))

    def _at(self, point: Sequence[float]) -> Point:
        return self._left + (point[0] + 0.5) * _SCALE, (point[1] + 0.5) * _SCALE

    def _all(self, points: Any) -> tuple[Point, ...]:
        return tuple(self._at((float(x), float(z))) for x, z in points)


def _outline(x0: float, x1: float, z0: float, z1: float) -> np.ndarray:
    return np.array([(x0, z0), (x1, z0), (x1, z1), (x0, z1)])


def _turned(points: np.ndarray, yaw: float) -> np.ndarray:
    x, z = points.T
    cos, sin = math.cos(yaw), math.sin(yaw)
    return np.stack([x * cos + z * sin, z * cos - x * sin], axis=1)


_HALF = sign_world.BOX_SIDE / 2
_BOX = [_outline(-_HALF, _HALF, -_HALF, _HALF)]
_KEY = [_outline(-0.12, 0.12, -0.73, -0.13), _outline(-0.09, 0.09, -0.13, 0.73)]
_ROUND = np.linspace(0, 2 * np.pi, 24, endpoint=False)
_BALL = [sign_world.BALL_RADIUS * np.stack([np.cos(_ROUND), np.sin(_ROUND)], axis=1)]
_RADIUS = sign_world.AGENT_RADIUS
# It lies along local x, which turns as the agent's forward direction does.
_ARROW = np.array(
    [(1.3 * _RADIUS, 0), (-0.7 * _RADIUS, 0.75 * _RADIUS), (-0.7 * _RADIUS, -0.75 * _RADIUS)]
)
