"""The world of sign navigation as tables, in metres: y points up, x and z span the floor.

The numbers are those of Farama Miniworld 2.1.0 (`MiniWorld-Sign-v0`). A heading or yaw d turns
about y: forward is (cos d, 0, -sin d) and right is (sin d, 0, cos d). An object's local point
(x, z) is at (x cos d + z sin d, z cos d - x sin d) from its centre.
"""

from typing import NamedTuple

import numpy as np

from dream_jax.types import Array

# The room: a rectangle with a barrier from x = 6 to the wall at x = 10.
SIZE_X, SIZE_Z, HEIGHT = 10.0, 13.0, 2.74
BARRIER_X, BARRIER_Z = (6.0, 10.0), (6.5, 6.75)
WALL_SEGMENTS = np.array(  # [S, 2, 2]: two ends (x, z), the smaller first
    [
        [[0, 0], [0, 13]],
        [[10, 0], [10, 6.5]],
        [[10, 6.75], [10, 13]],
        [[0, 0], [10, 0]],
        [[0, 13], [10, 13]],
        [[6, 6.5], [10, 6.5]],
        [[6, 6.75], [10, 6.75]],
        [[6, 6.5], [6, 6.75]],
    ],
    np.float32,
)

# Objects: three boxes, then three keys.
COLOURS = ("blue", "red", "green")
RGB = np.array([(0, 0, 1), (1, 0, 0), (0, 1, 0)], np.float32)
SHAPES = ("box", "key")
OBJECT_COLOUR = np.array([0, 1, 2, 0, 1, 2], np.int32)
OBJECT_SHAPE = np.array([0, 0, 0, 1, 1, 1], np.int32)
OBJECT_POSITION = np.array([(1, 1), (9, 1), (9, 5), (5, 1), (1, 5), (1, 9)], np.float32)
BOX_SIDE = 0.8
KEY_HALF_LENGTH, KEY_HEIGHT = 0.7256, 0.6  # of a key on the floor, its long axis along local z
KEY_NORMAL_SCALE = 1 / 0.3  # Miniworld scales the key but not its normals
BALL_RADIUS = 0.4
_RADIUS = (0.565685, 0.7355467, BALL_RADIUS)  # of box, key and ball
OBJECT_RADIUS = np.array(_RADIUS, np.float32)[OBJECT_SHAPE]

# The sign: its front, at x = SIGN_X, faces -x. A letter is a metre wide; the text runs towards +z.
SIGN_X, SIGN_Z, SIGN_DEPTH = 9.95, 10.25, 0.05
SIGN_Y = (0.85, 1.85)
SIGN_TEXTS = ("BLUE", "RED", "GREEN")

# The agent and its camera.
AGENT_RADIUS = 0.4
STRIDE, TURN = 0.7, np.pi / 4
CAMERA_HEIGHT = 1.5
FRAME_HEIGHT, FRAME_WIDTH = 60, 80
FRAME_SHAPE = (FRAME_HEIGHT, FRAME_WIDTH, 3)
TAN_HALF_FOV_Y = np.tan(np.pi / 6)  # half of 60 degrees
TAN_HALF_FOV_X = TAN_HALF_FOV_Y * FRAME_WIDTH / FRAME_HEIGHT

# Light: a surface has its colour times `AMBIENT + DIFFUSE * max(0, normal . LIGHT)`, at most 1.
AMBIENT, DIFFUSE = 0.65, 0.7
LIGHT = np.array([1, 3.5, 1]) / np.sqrt(1 + 3.5**2 + 1)

# Start positions, uniform over ((x0, x1), (z0, z1)).
START_REGIONS = {
    "authors": ((4.4, 4.6), (4.4, 5.6)),
    "farama": ((3.6, 5.4), (3.6, 6.4)),
}


class Objects(NamedTuple):
    """What stands in the room: first the boxes, then the keys, then the balls."""

    shapes: tuple[str, ...]  # their names; an instruction is an index
    colours: int  # how many of COLOURS the sign may name: the problems
    colour: np.ndarray  # [N] int32, index into COLOURS
    shape: np.ndarray  # [N] int32, index into `shapes`
    position: np.ndarray  # [N, 2] float32, (x, z) in metres
    radius: np.ndarray  # [N] float32, metres

    @property
    def near_distance(self) -> np.ndarray:
        """[N] float32: closer than this, an object counts as reached, in metres."""
        return self.radius + AGENT_RADIUS + 1.1 * STRIDE


OBJECTS = Objects(SHAPES, 3, OBJECT_COLOUR, OBJECT_SHAPE, OBJECT_POSITION, OBJECT_RADIUS)
# A box, a key and a ball of each of two colours, at the same places.
_SHAPE_OF_SIX = np.array([0, 0, 1, 1, 2, 2], np.int32)
OBJECTS_WITH_BALLS = Objects(
    (*SHAPES, "ball"),
    2,
    np.array([0, 1, 0, 1, 0, 1], np.int32),
    _SHAPE_OF_SIX,
    OBJECT_POSITION,
    np.array(_RADIUS, np.float32)[_SHAPE_OF_SIX],
)


class Scene(NamedTuple):
    """Whatever can differ between two pictures from the same pose."""

    colour: Array  # [] int32, index into COLOURS of the colour that the sign names
    object_yaw: Array  # [6] float32, radians


class Pose(NamedTuple):
    """Position and direction of the camera."""

    position: Array  # [2] float32, (x, z) in metres
    heading: Array  # [] float32, radians
