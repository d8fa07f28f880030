"""The sign world from above, as text. x points right, z points down."""

import math

import numpy as np

from dream_jax.envs.sign3d import world as sign_world
from dream_jax.envs.sign3d.world import OBJECTS, Objects, Pose, Scene


def as_text(scene: Scene, pose: Pose, objects: Objects = OBJECTS) -> str:
    """One character per square metre: # barrier, S sign, B R G boxes, b r g keys, > ^ < v agent.

    Balls are digits: 1 blue, 2 red.

    The last line gives the sign's text and the agent's position and heading.
    """
    board = np.full((math.ceil(sign_world.SIZE_Z), math.ceil(sign_world.SIZE_X)), ".")
    board[int(sign_world.BARRIER_Z[0]), int(sign_world.BARRIER_X[0]) :] = "#"
    board[int(sign_world.SIGN_Z), int(sign_world.SIGN_X)] = "S"
    columns = (objects.position, objects.colour, objects.shape)
    for (x, z), colour, shape in zip(*(c.tolist() for c in columns), strict=True):
        letter = sign_world.COLOURS[colour][0]
        board[int(z), int(x)] = (letter.upper(), letter, str(colour + 1))[shape]
    x, z = (float(v) for v in pose.position)
    heading = float(pose.heading)
    board[int(z), int(x)] = ">^<v"[round(heading / (np.pi / 2)) % 4]
    says = sign_world.SIGN_TEXTS[int(scene.colour)]
    degrees = round(math.degrees(heading)) % 360
    rows = [" ".join(row) for row in board]
    return "\n".join([*rows, f"sign {says}, at x {x:.2f}, z {z:.2f}, heading {degrees} degrees"])
