"""Geometry of the sign world for renderers, one column of pixels at a time.

The camera is level and all sides of all objects are upright. So a column of pixels lies in one
vertical plane, which cuts the floor plan in a line. On that line a wall is one distance, and a box
is an interval from `enter` to `leave`. A box covers the slopes from the far edge of its top to the
near edge of its bottom, so a pixel compares its own slope with only three numbers. Distances are
along the camera's axis. Slopes are metres up or down per metre of distance.

  C  columns of pixels, or of samples;  P  boxes that make up the objects
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dream_jax.envs.sign3d import world as sign_world
from dream_jax.envs.sign3d.world import OBJECTS, Objects, Pose
from dream_jax.types import Array

PIXEL = 2 * sign_world.TAN_HALF_FOV_Y / sign_world.FRAME_HEIGHT  # slope between adjacent pixels

# Faces of the walls, and the coordinate of each along its normal.
FACE_NAMES = ("x0", "x10", "z0", "z13", "barrier_front", "barrier_back", "barrier_end")
FACE_PLACE = np.array([0, 10, 0, 13, 6.5, 6.75, 6], np.float32)
# The light has equal x and z components, so a wall has one of two shades.
LIT_AND_UNLIT = (
    np.float32(sign_world.AMBIENT + sign_world.DIFFUSE * sign_world.LIGHT[0]),
    np.float32(sign_world.AMBIENT),
)

# Boxes that make up an object: (x0, x1, z0, z1, y0, y1), local coordinates in metres.
_HALF = sign_world.BOX_SIDE / 2
BOX_PARTS = np.array([(-_HALF, _HALF, -_HALF, _HALF, 0.0, sign_world.BOX_SIDE)], np.float32)
KEY_PARTS = np.array(  # ordered along local z, so this order or its reverse is far to near
    [
        (-0.12, 0.12, -0.7256, -0.62, 0.03, 0.57),  # the ring: its far, lower, upper, near bar
        (-0.12, 0.12, -0.66, -0.20, 0.0, 0.10),
        (-0.12, 0.12, -0.66, -0.20, 0.50, 0.60),
        (-0.12, 0.12, -0.23, -0.13, 0.03, 0.57),
        (-0.08, 0.08, -0.17, 0.7256, 0.215, 0.385),  # the shaft
        (-0.036, 0.036, 0.337, 0.469, 0.03, 0.25),  # the teeth
        (-0.036, 0.036, 0.541, 0.676, 0.015, 0.25),
    ],
    np.float32,
)
NOTHING = (0.0,) * 6
BOX_ABOVE = np.array([NOTHING], np.float32)
KEY_ABOVE = np.array(  # the part directly above each part
    [NOTHING, KEY_PARTS[2], NOTHING, NOTHING, NOTHING, KEY_PARTS[4], KEY_PARTS[4]], np.float32
)


class Rays(NamedTuple):
    """Directions of the columns on the floor plan."""

    x: Array  # [C] float32, metres of x per metre along the camera's axis
    z: Array  # [C] float32, metres of z per metre along the camera's axis


class Walls(NamedTuple):
    """The wall in each column, behind everything else."""

    distance: Array  # [C] float32, metres
    face: Array  # [C] int32, index into FACE_NAMES


class Sign(NamedTuple):
    """The sign's box in each column."""

    distance: Array  # [C] float32, metres; infinite where it is not seen
    front: Array  # [C] bool, true on its front, false on its black sides
    across: Array  # [C] float32, metres from the start of the text
    per_pixel: Array  # [C] float32, change of `across` between adjacent pixels, metres


class Parts(NamedTuple):
    """Boxes of objects in each column.

    A box shows its top at the slopes from `first` to `edge`, and a side from there to `last`.
    """

    enter: Array  # [P, C] float32, distance to the box, metres
    first: Array  # [P, C] float32, slope downwards
    edge: Array  # [P, C] float32, slope downwards
    last: Array  # [P, C] float32, slope downwards; 0 where the box is not seen
    side: Array  # [P, C] int32, packed colour
    top: Array  # [P, 1] int32, packed colour


def rays(pose: Pose, sideways: np.ndarray | Array) -> Rays:
    """Directions of columns that have the slopes `sideways` [C] to the right of the camera."""
    sideways = jnp.asarray(sideways)
    cos, sin = jnp.cos(pose.heading), jnp.sin(pose.heading)
    return Rays(cos + sideways * sin, sideways * cos - sin)


def walls(position: Array, ray: Rays) -> Walls:
    """The nearest wall or barrier of each column, seen from `position` [2]."""
    x, z = position
    by_x, by_z = 1 / nonzero(ray.x), 1 / nonzero(ray.z)
    to_x = jnp.where(ray.x > 0, sign_world.SIZE_X - x, -x) * by_x
    to_z = jnp.where(ray.z > 0, sign_world.SIZE_Z - z, -z) * by_z
    # The barrier may be extended through the wall at x = 10: only its end at x = 6 is visible.
    (x0, _), (z0, z1) = sign_world.BARRIER_X, sign_world.BARRIER_Z
    to_end = (x0 - x) * by_x
    enter_x = jnp.where(ray.x > 0, to_end, -jnp.inf)
    leave_x = jnp.where(ray.x > 0, jnp.inf, to_end)
    enter_z = jnp.where(ray.z > 0, z0 - z, z1 - z) * by_z
    leave_z = jnp.where(ray.z > 0, z1 - z, z0 - z) * by_z
    enter = jnp.maximum(enter_x, enter_z)
    hits = (enter < jnp.minimum(leave_x, leave_z)) & (enter > 0)
    outer = jnp.minimum(to_x, to_z)
    face = jnp.where(to_x < to_z, jnp.where(ray.x > 0, 1, 0), jnp.where(ray.z > 0, 3, 2))
    barrier = jnp.where(enter_x > enter_z, 6, jnp.where(ray.z > 0, 4, 5))
    hits &= enter < outer
    return Walls(jnp.where(hits, enter, outer), jnp.where(hits, barrier, face))


def sign(colour: Array, position: Array, ray: Rays, walls: Walls) -> Sign:
    """The sign that names `colour` [], seen from `position` [2]; the barrier may hide it."""
    x, z = position
    by_x, by_z = 1 / nonzero(ray.x), 1 / nonzero(ray.z)
    start = sign_start(colour)
    end = 2 * sign_world.SIGN_Z - start
    enter_x = (sign_world.SIGN_X - x) * by_x
    leave_x = (sign_world.SIZE_X - x) * by_x
    enter_z = jnp.where(ray.z > 0, start - z, end - z) * by_z
    leave_z = jnp.where(ray.z > 0, end - z, start - z) * by_z
    enter = jnp.maximum(enter_x, enter_z)
    seen = (ray.x > 0) & (enter > 0) & (enter < jnp.minimum(leave_x, leave_z))
    seen &= enter < walls.distance  # the barrier hides it
    per_pixel = enter_x * PIXEL * (jnp.abs(ray.z * by_x) + 1)
    across = z + enter_x * ray.z - start
    return Sign(jnp.where(seen, enter, jnp.inf), enter_x >= enter_z, across, per_pixel)


def sign_start(colour: Array) -> Array:
    """[] float32: z at which the text for `colour` [] begins, metres."""
    lengths = np.array([len(text) for text in sign_world.SIGN_TEXTS], np.float32)
    return sign_world.SIGN_Z - jnp.asarray(lengths / 2)[colour]


def objects(
    yaw: Array, position: Array, ray: Rays, walls: Walls, there: Objects = OBJECTS
) -> tuple[Parts, ...]:
    """What to paint, in this order: boxes [B, C], then keys [K * P, C] from far to near.

    With balls: boxes, balls [N, C], keys, and those balls again that are nearer than the keys. So
    only a ball between two keys, one right behind the other, would be painted wrongly.
    """
    units = (sign_world.RGB @ np.array([1, 256, 65536])).astype(np.float32)
    units = units[there.colour]
    # [6, 5]: what tells one object from another.
    offset = position - there.position
    table = jnp.stack([jnp.cos(yaw), jnp.sin(yaw), offset[:, 0], offset[:, 1], units], axis=1)
    boxes, keys, balls = (table[there.shape == shape] for shape in range(3))

    def parts(key: bool, rows: Array) -> Parts:
        return jax.vmap(lambda row: _boxes_of(key, row, ray, walls))(rows)

    seen_boxes = jax.tree.map(lambda p: p[:, 0], parts(False, boxes))
    seen_keys = parts(True, _from_far_to_near(keys))
    seen_keys = jax.tree.map(lambda p: p.reshape(-1, p.shape[-1]), seen_keys)
    seen_keys, in_order = _behind(seen_keys, seen_boxes), _behind(seen_boxes, seen_boxes)
    if not len(balls):
        return in_order, seen_keys
    rows = _from_far_to_near(balls)
    seen_balls = _behind(jax.vmap(lambda row: _ball_of(row, ray, walls))(rows), seen_boxes)
    to_key = jnp.min(jnp.where(seen_keys.last > 0, seen_keys.enter, jnp.inf), axis=0)
    nearer = jnp.where(seen_balls.enter < to_key, seen_balls.last, 0.0)
    return in_order, seen_balls, seen_keys, seen_balls._replace(last=nearer)


def _from_far_to_near(rows: Array) -> Array:
    """Rows [2 or 3, 5] as `_boxes_of` takes them, the farthest object first.

    Objects are metres apart, so the order of their centres is that of all their points.
    """
    if len(rows) == 2:
        return jnp.stack(_far_first(*rows))
    far, middle, near = rows
    far, middle = _far_first(far, middle)
    middle, near = _far_first(middle, near)
    far, middle = _far_first(far, middle)
    return jnp.stack([far, middle, near])


def _far_first(a: Array, b: Array) -> tuple[Array, Array]:
    """Two rows as `_boxes_of` takes them, the farther object first."""
    _, _, a_x, a_z, _ = a
    _, _, b_x, b_z, _ = b
    swap = a_x**2 + a_z**2 < b_x**2 + b_z**2
    return jnp.where(swap, b, a), jnp.where(swap, a, b)


class _Slopes(NamedTuple):
    """Where rays meet the boxes of one object: the first four as in `Parts`."""

    enter: Array  # [P, C] float32, distance, metres
    first: Array  # [P, C] float32
    edge: Array  # [P, C] float32
    last: Array  # [P, C] float32
    by_side_x: Array  # [P, C] bool, the ray enters through a side whose normal is local x


def _boxes_of(key: bool, row: Array, ray: Rays, walls: Walls) -> Parts:
    """The boxes of one object, from far to near.

    `row` [5]: cosine and sine of the object's yaw, the camera's position (x, z) relative to the
    object, the packed colour of brightness 1.
    """
    shape, above = (KEY_PARTS, KEY_ABOVE) if key else (BOX_PARTS, BOX_ABOVE)
    normal_scale = sign_world.KEY_NORMAL_SCALE if key else 1.0
    cos, sin, x, z, unit = row
    x, z = x * cos - z * sin, x * sin + z * cos
    ray_x, ray_z = ray.x * cos - ray.z * sin, ray.x * sin + ray.z * cos
    by_x, by_z = 1 / nonzero(ray_x), 1 / nonzero(ray_z)

    def colour(normal_dot_light: Array) -> Array:
        lit = sign_world.DIFFUSE * normal_scale * jnp.maximum(0.0, normal_dot_light)
        level = jnp.minimum(1.0, sign_world.AMBIENT + lit)
        return (jnp.round(255 * level) * unit).astype(jnp.int32)

    light_x, light_y, light_z = sign_world.LIGHT.astype(np.float32)
    on_x = cos * light_x - sin * light_z  # light on a side that faces local +x
    on_z = sin * light_x + cos * light_z
    side_x = jnp.where(ray_x > 0, colour(-on_x), colour(on_x))
    side_z = jnp.where(ray_z > 0, colour(-on_z), colour(on_z))

    def slopes(shape: np.ndarray) -> _Slopes:
        rows = list(shape.T[:, :, None])
        if key:
            rows = [jnp.where(ray_z > 0, r[::-1], r) for r in rows]
        x0, x1, z0, z1, y0, y1 = rows
        at_x0, at_x1 = (x0 - x) * by_x, (x1 - x) * by_x
        at_z0, at_z1 = (z0 - z) * by_z, (z1 - z) * by_z
        enter_x, enter_z = jnp.minimum(at_x0, at_x1), jnp.minimum(at_z0, at_z1)
        enter = jnp.maximum(enter_x, enter_z)
        leave = jnp.minimum(jnp.maximum(at_x0, at_x1), jnp.maximum(at_z0, at_z1))
        seen = (enter < leave) & (enter > 0) & (enter < walls.distance)
        to_top, to_bottom = sign_world.CAMERA_HEIGHT - y1, sign_world.CAMERA_HEIGHT - y0
        last = jnp.where(seen, to_bottom / enter, 0.0)
        return _Slopes(enter, to_top / leave, to_top / enter, last, enter_x > enter_z)

    enter, first, edge, last, by_side_x = slopes(shape)
    if key:
        first = jnp.maximum(first, slopes(above).last)  # the upper part hides the lower one
    side = jnp.where(by_side_x, side_x, side_z)
    top = jnp.broadcast_to(colour(light_y), (len(shape), 1))
    return Parts(enter, first, edge, last, side, top)


def _ball_of(row: Array, ray: Rays, walls: Walls) -> Parts:
    """One ball, `row` as in `_boxes_of`; the leaves of its `Parts` are [C] or [1].

    The plane of a column cuts the ball in a circle. The slopes are those of its two tangents.
    """
    _, _, x, z, unit = row
    per_metre = jnp.sqrt(ray.x**2 + ray.z**2)  # metres on the floor per metre along the axis
    ahead = -(x * ray.x + z * ray.z) / per_metre  # of the circle's centre, metres on the floor
    radius_2 = sign_world.BALL_RADIUS**2 - (x**2 + z**2 - ahead**2)
    below = sign_world.CAMERA_HEIGHT - sign_world.BALL_RADIUS
    enter = ahead / per_metre
    seen = (radius_2 > 0) & (ahead > sign_world.BALL_RADIUS) & (enter < walls.distance)
    radius_2 = jnp.where(seen, radius_2, 0.0)
    spread = jnp.sqrt(radius_2 * (ahead**2 + below**2 - radius_2))
    by_gap = per_metre / nonzero(ahead**2 - radius_2)
    first, last = (ahead * below - spread) * by_gap, (ahead * below + spread) * by_gap
    lit, dark = (
        (np.round(255 * min(1.0, level)) * unit).astype(jnp.int32)
        for level in (sign_world.AMBIENT + sign_world.DIFFUSE, sign_world.AMBIENT)
    )
    side = jnp.broadcast_to(dark, enter.shape)
    return Parts(enter, first, (first + last) / 2, jnp.where(seen, last, 0.0), side, lit[None])


def _behind(parts: Parts, boxes: Parts) -> Parts:
    """`parts` without the slopes that nearer `boxes` hide. Keys are lower than boxes."""
    last = parts.last
    for k in range(len(boxes.enter)):
        hides = (boxes.enter[k] < parts.enter) & (boxes.last[k] > 0)
        last = jnp.minimum(last, jnp.where(hides, boxes.first[k], jnp.inf))
    return parts._replace(last=last)


def paint(colour: Array, parts: Parts, down: Array | np.ndarray) -> Array:
    """Paints objects over `colour` [R, C] int32 packed, at the slopes `down` [R, 1]."""
    for k in range(len(parts.enter)):
        seen = jnp.where(parts.edge[k] < down, parts.side[k], parts.top[k])
        inside = (parts.first[k] < down) & (parts.last[k] > down)
        colour = jnp.where(inside, seen, colour)
    return colour


def box_distance(boxes: Parts, down: Array) -> Array:
    """[R, C] float32: distance to the nearest box at the slopes `down` [R, 1], infinite if none."""
    nearest = jnp.full(down.shape[:1] + boxes.enter.shape[1:], jnp.inf)
    to_top = (sign_world.CAMERA_HEIGHT - sign_world.BOX_SIDE) / down
    for k in range(len(boxes.enter)):
        inside = (boxes.first[k] < down) & (boxes.last[k] > down)
        distance = jnp.where(inside, jnp.maximum(boxes.enter[k], to_top), jnp.inf)
        nearest = jnp.minimum(nearest, distance)
    return nearest


def faces_x(face: Array) -> Array:
    """[...] bool: the normals of these faces are along x, not z."""
    return (face < 2) | (face == 6)


def lit(face: Array) -> Array:
    """[...] bool: these faces look towards +x or +z."""
    return (face == 0) | (face == 2) | (face == 5)


def nonzero(x: Array) -> Array:
    """`x` [...], or 1e-9 where it is so small that dividing by it would overflow."""
    return jnp.where(jnp.abs(x) < 1e-9, 1e-9, x)
