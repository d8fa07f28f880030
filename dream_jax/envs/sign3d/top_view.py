"""The sign world from above, as text and as a picture. x points right, z points down."""

import math

import numpy as np
from PIL import Image, ImageDraw

from dream_jax.envs.sign3d import world as sign_world
from dream_jax.envs.sign3d.world import Pose, Scene

ZOOM = 4  # screen pixels per pixel of the agent's view
_GAP = 8  # screen pixels between the two pictures
_MARGIN = 0.5  # metres around the room
_SHARPNESS = 3  # factor by which the picture is drawn larger, then shrunk
_COLOURS = ((63, 127, 191), (214, 69, 65), (76, 165, 80))
_WALL, _FLOOR, _AGENT = (60, 60, 60), (245, 243, 238), (40, 40, 40)


def as_text(scene: Scene, pose: Pose) -> str:
    """One character per square metre: # barrier, S sign, B R G boxes, b r g keys, > ^ < v agent.

    The last line gives the sign's text and the agent's position and heading.
    """
    board = np.full((math.ceil(sign_world.SIZE_Z), math.ceil(sign_world.SIZE_X)), ".")
    board[int(sign_world.BARRIER_Z[0]), int(sign_world.BARRIER_X[0]) :] = "#"
    board[int(sign_world.SIGN_Z), int(sign_world.SIGN_X)] = "S"
    for (x, z), colour, shape in _objects():
        letter = sign_world.COLOURS[colour][0]
        board[int(z), int(x)] = letter if shape else letter.upper()
    x, z = (float(v) for v in pose.position)
    heading = float(pose.heading)
    board[int(z), int(x)] = ">^<v"[round(heading / (np.pi / 2)) % 4]
    says = sign_world.SIGN_TEXTS[int(scene.colour)]
    degrees = round(math.degrees(heading)) % 360
    rows = [" ".join(row) for row in board]
    return "\n".join([*rows, f"sign {says}, at x {x:.2f}, z {z:.2f}, heading {degrees} degrees"])


def beside(view: np.ndarray, scene: Scene, pose: Pose) -> np.ndarray:
    """[240, W, 3] uint8: `view` [60, 80, 3] enlarged, and the room from above to its right."""
    large = np.asarray(view, np.uint8).repeat(ZOOM, 0).repeat(ZOOM, 1)
    gap = np.full((len(large), _GAP, 3), 255, np.uint8)
    return np.concatenate([large, gap, picture(scene, pose, len(large))], axis=1)


def picture(scene: Scene, pose: Pose, height: int) -> np.ndarray:
    """[height, W, 3] uint8: boxes and keys at their yaws, the sign in its colour, the agent as an
    arrow."""
    scale = _SHARPNESS * height / (sign_world.SIZE_Z + 2 * _MARGIN)
    width = round((sign_world.SIZE_X + 2 * _MARGIN) * scale / _SHARPNESS)
    image = Image.new("RGB", (width * _SHARPNESS, height * _SHARPNESS), (255, 255, 255))
    draw = ImageDraw.Draw(image)

    def polygon(points: np.ndarray, colour: tuple[int, int, int]) -> None:
        draw.polygon([tuple(p) for p in ((points + _MARGIN) * scale).tolist()], fill=colour)

    def rectangle(x: tuple[float, float], z: tuple[float, float], colour: tuple) -> None:
        polygon(np.array([(x[0], z[0]), (x[1], z[0]), (x[1], z[1]), (x[0], z[1])]), colour)

    rectangle((-0.15, sign_world.SIZE_X + 0.15), (-0.15, sign_world.SIZE_Z + 0.15), _WALL)
    rectangle((0, sign_world.SIZE_X), (0, sign_world.SIZE_Z), _FLOOR)
    rectangle(sign_world.BARRIER_X, sign_world.BARRIER_Z, _WALL)
    says = int(scene.colour)
    half = len(sign_world.SIGN_TEXTS[says]) / 2
    sign_z = (sign_world.SIGN_Z - half, sign_world.SIGN_Z + half)
    rectangle((sign_world.SIZE_X - 0.2, sign_world.SIZE_X + 0.15), sign_z, _COLOURS[says])
    for ((x, z), colour, shape), yaw in zip(_objects(), np.asarray(scene.object_yaw), strict=True):
        for outline in _KEY if shape else _BOX:
            polygon(_turned(outline, float(yaw)) + (x, z), _COLOURS[colour])
    # The arrow lies along local x, which turns as the agent's forward direction does.
    polygon(_turned(_ARROW, float(pose.heading)) + np.asarray(pose.position), _AGENT)
    return np.asarray(image.resize((width, height), Image.Resampling.LANCZOS))


def _objects() -> list[tuple[tuple[float, float], int, int]]:
    positions = [(float(x), float(z)) for x, z in sign_world.OBJECT_POSITION]
    colours, shapes = sign_world.OBJECT_COLOUR.tolist(), sign_world.OBJECT_SHAPE.tolist()
    return list(zip(positions, colours, shapes, strict=True))


def _outline(x0: float, x1: float, z0: float, z1: float) -> np.ndarray:
    return np.array([(x0, z0), (x1, z0), (x1, z1), (x0, z1)])


def _turned(points: np.ndarray, yaw: float) -> np.ndarray:
    x, z = points.T
    cos, sin = math.cos(yaw), math.sin(yaw)
    return np.stack([x * cos + z * sin, z * cos - x * sin], axis=1)


_HALF = sign_world.BOX_SIDE / 2
_BOX = [_outline(-_HALF, _HALF, -_HALF, _HALF)]
_KEY = [_outline(-0.12, 0.12, -0.73, -0.13), _outline(-0.09, 0.09, -0.13, 0.73)]
_RADIUS = sign_world.AGENT_RADIUS
_ARROW = np.array(
    [(_RADIUS, 0), (-0.7 * _RADIUS, 0.65 * _RADIUS), (-0.7 * _RADIUS, -0.65 * _RADIUS)]
)
