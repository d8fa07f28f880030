"""The fast renderer: one sample per pixel, own textures and letters, keys as boxes.

`raycast_columns` computes the geometry of each column. Then each pixel compares slopes, and nearer
things are painted over farther ones. Colours are packed as red + 256 green + 65536 blue until the
last step.

  C = 80 columns, from left to right;  R = 30 rows of the upper or lower half
"""

import jax
import jax.numpy as jnp
import numpy as np

from dream_jax.envs.sign3d import letters as sign_letters
from dream_jax.envs.sign3d import raycast_columns
from dream_jax.envs.sign3d import world as sign_world
from dream_jax.envs.sign3d.raycast_columns import PIXEL, Rays, Sign, Walls
from dream_jax.envs.sign3d.world import OBJECTS, Objects, Pose, Scene
from dream_jax.types import Array

COLUMNS, ROWS = sign_world.FRAME_WIDTH, sign_world.FRAME_HEIGHT // 2
SIDEWAYS = (np.arange(COLUMNS) + 0.5) * (2 / COLUMNS) - 1
SIDEWAYS = (SIDEWAYS * sign_world.TAN_HALF_FOV_X).astype(np.float32)
DOWN = ((np.arange(ROWS) + 0.5) / ROWS * sign_world.TAN_HALF_FOV_Y).astype(np.float32)[:, None]
UP = DOWN[::-1]

GREY = 0x010101
SIGN_GREY = 255 * sign_world.AMBIENT
# Own textures: a concrete wall, a marble check, a plastered ceiling.
WALL, CEILING, CHECK_LIGHT, CHECK_DARK = 155.5, 162.6, 222.5, 52.5
CHECK_SIDE = 0.25  # metres
COURSE = 0.3  # height of a course of the wall, metres
BLUR = 1.1  # width of the letters' blur, pixels
SLICES = (-0.45, -0.15, 0.15, 0.45)  # offsets, in blur widths, at which letters are sampled
# Distance to the floor; then metres of floor between adjacent pixels, which limit how sharply the
# check can be drawn.
TO_FLOOR = sign_world.CAMERA_HEIGHT / DOWN
_FOOTPRINT = TO_FLOOR**2 * np.sqrt(1 + SIDEWAYS**2) * (PIXEL / sign_world.CAMERA_HEIGHT)
STEEPNESS = np.maximum(2 * CHECK_SIDE / _FOOTPRINT, 2.0).astype(np.float32)  # [R, C]
CONTRAST = np.clip(1 - np.log2(_FOOTPRINT / CHECK_SIDE), 0, 1).astype(np.float32)


def render(
    scene: Scene, pose: Pose, textured_rooms: bool = True, objects: Objects = OBJECTS
) -> Array:
    """The picture [60, 80, 3] uint8 of a scene from a pose; see `raycast.make_renderer`."""
    position = pose.position
    ray = raycast_columns.rays(pose, SIDEWAYS)
    walls = raycast_columns.walls(position, ray)
    sign = raycast_columns.sign(scene.colour, position, ray, walls)
    letters = _letters(scene.colour, sign)

    to_ceiling = (sign_world.HEIGHT - sign_world.CAMERA_HEIGHT) / UP
    light = jnp.where(raycast_columns.lit(walls.face), *raycast_columns.LIT_AND_UNLIT)
    if textured_rooms:
        grain = light * _grain(position, ray, walls)
        wall_up, wall_down = (_tinted(grain + _courses(walls, s)) for s in (UP, -DOWN))
        floor = _tinted(_check(position, ray))
        ceiling = jnp.int32(round(CEILING * sign_world.AMBIENT) * GREY)
    else:
        wall_up = wall_down = jnp.round(255 * light).astype(jnp.int32) * GREY
        floor, ceiling = jnp.int32(255 * GREY), jnp.int32(round(SIGN_GREY) * GREY)

    upper = jnp.where(to_ceiling < walls.distance, ceiling, wall_up)
    upper = _paint_sign(upper, sign, letters, UP)
    lower = jnp.where(walls.distance > TO_FLOOR, floor, wall_down)
    lower = _paint_sign(lower, sign, letters, -DOWN)
    for parts in raycast_columns.objects(scene.object_yaw, position, ray, walls, objects):
        lower = raycast_columns.paint(lower, parts, DOWN)
    # Without the barrier XLA would compute the whole colour anew for each byte of a pixel.
    return _unpack(jax.lax.optimization_barrier(jnp.concatenate([upper, lower])))


def _grain(position: Array, ray: Rays, walls: Walls) -> Array:
    """[C] float32: shade of the walls, before lighting."""
    faces_x = raycast_columns.faces_x(walls.face)
    across = jnp.where(faces_x, ray.z, ray.x)
    along = jnp.where(faces_x, position[1], position[0]) + walls.distance * across
    # Zigzags are cheaper than sines, and XLA computes this anew in every row.
    coarse, fine = along * 1.1, along * 2.9 + 0.16
    zigzags = jnp.abs(coarse - jnp.round(coarse)) + jnp.abs(fine - jnp.round(fine))
    return WALL + 10 * zigzags - 5


def _courses(walls: Walls, slope: np.ndarray) -> Array:
    """[R, C] float32: what horizontal courses add to the shade of a wall."""
    height = (walls.distance * slope) * (1 / COURSE)
    return 6.0 * jnp.abs(height - jnp.round(height)) - 1.5


def _check(position: Array, ray: Rays) -> Array:
    """[R, C] float32: shade of the floor, a check smoothed over each pixel's footprint."""

    def wave(start: Array, ray: Array) -> Array:
        """-1 .. 1, positive on even squares."""
        phase = (start + TO_FLOOR * ray) * (0.5 / CHECK_SIDE) - 0.25
        to_edge = 0.5 - 2 * jnp.abs(phase - jnp.round(phase))  # in squares
        return jnp.clip(to_edge * STEEPNESS, -1, 1)

    both = wave(position[0], ray.x) * wave(position[1], ray.z) * CONTRAST
    return (CHECK_LIGHT + CHECK_DARK) / 2 + (CHECK_LIGHT - CHECK_DARK) / 2 * both


def _letters(colour: Array, sign: Sign) -> list[Array]:
    """Ink at each offset of `SLICES`: [C] uint32, bits from bottom to top. Sides are all ink."""
    table = jnp.asarray(sign_letters.INK_COLUMNS)[colour]
    slices = []
    for offset in SLICES:
        cell = (sign.across + offset * _blur(sign)) * sign_letters.RESOLUTION
        ink = table[jnp.clip(cell, 0, len(table) - 1).astype(jnp.int32)]
        slices.append(jnp.where(sign.front, ink, np.uint32(0xFFFFFFFF)))
    return slices


def _blur(sign: Sign) -> Array:
    """[C] float32: size of a pixel on the sign, metres. Like OpenGL's filters, it takes the larger
    of width and height for both directions."""
    return BLUR * jnp.maximum(sign.per_pixel, sign.distance * PIXEL)


def _paint_sign(colour: Array, sign: Sign, letters: list[Array], slope: np.ndarray) -> Array:
    """Paints the sign over `colour` [R, C] int32 packed, at the slopes `slope` [R, 1]."""
    cells = sign_letters.RESOLUTION
    bottom, top = sign_world.SIGN_Y
    middle = (sign_world.CAMERA_HEIGHT - bottom + sign.distance * slope) * cells
    on_sign = (middle > 0) & (middle < (top - bottom) * cells)
    # Counts bits to find the share of ink within half a blur above and below.
    half = jnp.minimum(_blur(sign) * (cells / 2), cells / 2)
    low = jnp.clip(middle - half, 0, cells - 1).astype(jnp.int32)
    high = jnp.clip(middle + half, 0, cells - 1).astype(jnp.int32)
    count = high - low + 1
    window = np.uint32(0xFFFFFFFF) >> (cells - count).astype(jnp.uint32)
    window = window << low.astype(jnp.uint32)
    ink = jnp.zeros_like(count)
    for one in letters:
        ink += jax.lax.population_count(one & window).astype(jnp.int32)
    paper = SIGN_GREY * (1 - ink.astype(jnp.float32) / (len(letters) * count).astype(jnp.float32))
    return jnp.where(on_sign, jnp.round(paper).astype(jnp.int32) * GREY, colour)


def _tinted(shade: Array) -> Array:
    """Packed colour of a warm grey, whose blue is a thirty-second lower than red and green."""
    level = shade.astype(jnp.int32)
    return level * GREY - ((level >> 5) << 16)


def _unpack(colour: Array) -> Array:
    """[H, W, 3] uint8 of packed colours [H, W] int32."""
    shifts = np.array([0, 8, 16], np.int32)
    return ((colour[:, :, None] >> shifts) & 255).astype(jnp.uint8)
