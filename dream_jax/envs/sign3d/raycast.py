"""Renderers of the sign world: pure functions `render(scene, pose)` to a picture [60, 80, 3] uint8.

A renderer draws one frame; callers vmap. The pose must be inside the room (see `check_pose`);
outside it the picture is undefined.
"""

import functools
from collections.abc import Callable

import numpy as np

from dream_jax.envs.sign3d import raycast_fast, raycast_textured
from dream_jax.envs.sign3d import world as sign_world
from dream_jax.envs.sign3d.world import OBJECTS, Objects, Pose, Scene
from dream_jax.types import Array

Renderer = Callable[[Scene, Pose], Array]
QUALITIES = {
    "fast": "own textures and letters, keys as boxes, 1 sample per pixel",
    "fast_miniworld": "Miniworld's textures and letters, keys as boxes, 1 sample per pixel",
    "reference": "Miniworld's textures, letters and key, 4 samples per pixel",
}


def make_renderer(
    quality: str, textured_rooms: bool = True, objects: Objects = OBJECTS
) -> Renderer:
    """The renderer for a quality. Without `textured_rooms`, walls, floor and ceiling are white.

    Raises ValueError for an unknown quality or one that does not draw the objects, and ImportError
    for a quality that needs the package miniworld if it is not installed.
    """
    if quality == "fast":
        return functools.partial(
            raycast_fast.render, textured_rooms=textured_rooms, objects=objects
        )
    if objects is not OBJECTS and quality in QUALITIES:
        raise ValueError(f"quality {quality!r} draws boxes and keys only; valid: fast")
    if quality == "fast_miniworld":
        return raycast_textured.make_renderer(raycast_textured.CENTRE, False, textured_rooms)
    if quality == "reference":
        return raycast_textured.make_renderer(raycast_textured.FOUR, True, textured_rooms)
    raise ValueError(f"unknown quality {quality!r}; valid: {', '.join(QUALITIES)}")


def check_pose(position: np.ndarray) -> None:
    """Raises ValueError unless every (x, z) of `position` [..., 2] is inside the room."""
    x, z = np.moveaxis(np.asarray(position, np.float64), -1, 0)
    inside = (x > 0) & (x < sign_world.SIZE_X) & (z > 0) & (z < sign_world.SIZE_Z)
    (x0, _), (z0, z1) = sign_world.BARRIER_X, sign_world.BARRIER_Z
    inside &= ~((x >= x0) & (z >= z0) & (z <= z1))
    if not np.all(inside):
        first = np.argwhere(np.atleast_1d(~inside))[0]
        bad_x, bad_z = np.atleast_2d(position)[tuple(first)]
        raise ValueError(
            f"position {tuple(int(i) for i in first)}: x = {bad_x:g}, z = {bad_z:g} is not inside "
            "the room, 0 < x < 10 and 0 < z < 13 without the barrier at x >= 6, 6.5 <= z <= 6.75"
        )
