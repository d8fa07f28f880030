"""Renderers with Miniworld's textures; the one with its key and 4 samples is the reference.

They follow OpenGL's multisampling. Each sample has its own ray, which decides what surface it sees.
The colour of that surface is computed at the centre of the pixel: the texture is read where the ray
through the centre meets the plane of the surface.

  S  samples per pixel;  H = 60 rows;  C = 80 columns
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dream_jax.envs.sign3d import miniworld_assets, raycast_columns, raycast_key
from dream_jax.envs.sign3d import world as sign_world
from dream_jax.envs.sign3d.miniworld_assets import Textures
from dream_jax.envs.sign3d.raycast_columns import PIXEL, Rays, Sign, Walls
from dream_jax.envs.sign3d.world import Pose, Scene
from dream_jax.types import Array

# Positions of samples, in pixels from the bottom left of a pixel: one, or the four of llvmpipe.
CENTRE = np.array([(0.5, 0.5)])
FOUR = np.array([(0.375, 0.125), (0.875, 0.375), (0.125, 0.625), (0.625, 0.875)])
LETTER_DENSITY, ROOM_DENSITY = 128, 512  # texels per metre
CEILING_TILE = 1.5  # metres that the ceiling's texture covers; the other textures cover 1
# u = sense * (coordinate along the wall) + shift, by face of `raycast_columns.FACE_NAMES`.
U_SENSE = np.array([1, -1, -1, 1, 1, -1, -1], np.float32)
# The planes x = 0 and x = 10 consist of several walls, split at these z. Each has its own shift.
SPLIT_X0, SHIFT_X0 = (6.5, 6.75), (0.0, 0.5, 0.25)
SHIFT_X10 = (0.5, 0.0)  # in front of and behind the barrier
SHIFT_END = 0.75


class _Pixels(NamedTuple):
    """Slopes of the rays through a picture: to the right, and upwards."""

    sideways: np.ndarray  # [S, C] float32, of the samples
    upwards: np.ndarray  # [S, H] float32
    centre_sideways: np.ndarray  # [C] float32, of the centres of the pixels
    centre_upwards: np.ndarray  # [H, 1] float32


class _Seen(NamedTuple):
    """The surfaces that one sample of every pixel sees."""

    ray: Rays
    walls: Walls
    sign: Sign
    on_floor: Array  # [H, C] bool
    on_ceiling: Array  # [H, C] bool
    on_sign: Array  # [H, C] bool


class _Patch(NamedTuple):
    """Where a pixel's centre lies on a texture."""

    u: Array  # [H, C] or [C] float32, in repetitions of the texture
    v: Array  # [H, C] float32
    footprint: Array  # [H, C] float32, size of the pixel on the surface, metres


class _Upright(NamedTuple):
    """Where rays meet a vertical plane."""

    distance: Array  # [C] float32, metres
    along: Array  # [C] float32, coordinate along the plane, metres
    footprint: Array  # [H, C] float32, size of a pixel on the plane, metres


def make_renderer(
    samples: np.ndarray, mesh_keys: bool, textured_rooms: bool
) -> Callable[[Scene, Pose], Array]:
    """A renderer with Miniworld's textures.

    Args:
      samples: [S, 2], positions of samples within a pixel (`CENTRE` or `FOUR`).
      mesh_keys: draws Miniworld's key instead of boxes.
      textured_rooms: if false, walls, floor and ceiling are white.

    Raises ImportError if miniworld is not installed.
    """
    textures = miniworld_assets.textures()
    mesh = miniworld_assets.key_mesh() if mesh_keys else None
    letters = miniworld_assets.letter_textures()
    pixels = _pixels(samples)

    def sample_colour(scene: Scene, pose: Pose, sideways: Any, upwards: Any) -> Array:
        """[H, C, 3] float32: one sample of every pixel; `sideways` [C], `upwards` [H]."""
        seen = _seen(scene, pose, sideways, upwards)
        texture, u, v, texels = _texture(letters, pixels, scene, pose, seen)
        colour = _trilinear(textures, texture, u, v, texels)
        if not textured_rooms:
            colour = jnp.where(seen.on_sign[..., None], colour, 255.0)
        colour = colour * _light(seen)[..., None]
        black = seen.on_sign & ~seen.sign.front
        colour = jnp.where(black[..., None], 0.0, jnp.round(colour))
        painted = _objects(mesh, scene, pose, seen, sideways, upwards)[..., None]
        return jnp.where(painted >= 0, _channels(painted[..., 0]), colour)

    def render(scene: Scene, pose: Pose) -> Array:
        """[60, 80, 3] uint8."""
        each = jax.vmap(sample_colour, (None, None, 0, 0))
        colours = each(scene, pose, pixels.sideways, pixels.upwards)
        return jnp.round(jnp.mean(colours, axis=0)).astype(jnp.uint8)

    return render


def _pixels(samples: np.ndarray) -> _Pixels:
    """The rays of `samples` [S, 2] and of the centres of all pixels."""
    columns, rows = np.arange(sign_world.FRAME_WIDTH), np.arange(sign_world.FRAME_HEIGHT)[::-1]
    middle_x, middle_y = sign_world.FRAME_WIDTH / 2, sign_world.FRAME_HEIGHT / 2
    return _Pixels(
        sideways=((columns + samples[:, :1] - middle_x) * PIXEL).astype(np.float32),
        upwards=((rows + samples[:, 1:] - middle_y) * PIXEL).astype(np.float32),
        centre_sideways=((columns + 0.5 - middle_x) * PIXEL).astype(np.float32),
        centre_upwards=((rows + 0.5 - middle_y) * PIXEL).astype(np.float32)[:, None],
    )


def _seen(scene: Scene, pose: Pose, sideways: Array, upwards: Array) -> _Seen:
    """What one sample of every pixel sees of the room; `sideways` [C], `upwards` [H]."""
    ray = raycast_columns.rays(pose, sideways)
    walls = raycast_columns.walls(pose.position, ray)
    sign = raycast_columns.sign(scene.colour, pose.position, ray, walls)
    height = sign_world.CAMERA_HEIGHT + walls.distance * upwards[:, None]
    sign_height = sign_world.CAMERA_HEIGHT + sign.distance * upwards[:, None]
    bottom, top = sign_world.SIGN_Y
    on_sign = (sign_height > bottom) & (sign_height < top)
    return _Seen(ray, walls, sign, height < 0, height > sign_world.HEIGHT, on_sign)


def _texture(
    letters: np.ndarray, pixels: _Pixels, scene: Scene, pose: Pose, seen: _Seen
) -> tuple[Array, Array, Array, Array]:
    """Texture index, u, v and footprint in texels of level 0, each [H, C]."""
    word = jnp.asarray(letters)[scene.colour]
    letter = jnp.clip(seen.sign.across, 0, 4).astype(jnp.int32)
    wall = _on_wall(pixels, pose, seen)
    sign = _on_sign(pixels, scene, pose, letter)
    flat = _on_floor_or_ceiling(pixels, pose, seen)
    level, on_sign = seen.on_floor | seen.on_ceiling, seen.on_sign
    texture = jnp.where(seen.on_floor, miniworld_assets.FLOOR, miniworld_assets.CEILING)
    texture = jnp.where(level, texture, miniworld_assets.WALL)
    texture = jnp.where(on_sign, word[letter], texture)
    texels = jnp.where(level, flat.footprint, wall.footprint) * ROOM_DENSITY
    texels = jnp.where(on_sign, sign.footprint * LETTER_DENSITY, texels)
    u = jnp.where(on_sign, sign.u, jnp.where(level, flat.u, wall.u))
    v = jnp.where(on_sign, sign.v, jnp.where(level, flat.v, wall.v))
    return texture, u, v, texels


def _on_wall(pixels: _Pixels, pose: Pose, seen: _Seen) -> _Patch:
    """The pixels' centres on the walls that the samples see."""
    walls = seen.walls
    faces_x = raycast_columns.faces_x(walls.face)
    place = jnp.asarray(raycast_columns.FACE_PLACE)[walls.face]
    plane = _upright(pixels, pose, faces_x, place)
    shift = wall_shift(pose.position, seen.ray, walls)
    u = jnp.asarray(U_SENSE)[walls.face] * plane.along + shift
    v = sign_world.CAMERA_HEIGHT + plane.distance * pixels.centre_upwards
    return _Patch(u, v, plane.footprint)


def _on_sign(pixels: _Pixels, scene: Scene, pose: Pose, letter: Array) -> _Patch:
    """The pixels' centres on the letters; `letter` [C] is each column's place in the text."""
    faces_x = jnp.ones(letter.shape, bool)
    plane = _upright(pixels, pose, faces_x, jnp.float32(sign_world.SIGN_X))
    u = plane.along - raycast_columns.sign_start(scene.colour) - letter
    bottom, _ = sign_world.SIGN_Y
    v = sign_world.CAMERA_HEIGHT + plane.distance * pixels.centre_upwards - bottom
    return _Patch(u, v, plane.footprint)


def _on_floor_or_ceiling(pixels: _Pixels, pose: Pose, seen: _Seen) -> _Patch:
    """The pixels' centres on the floor or the ceiling."""
    upwards, centre = pixels.centre_upwards, raycast_columns.rays(pose, pixels.centre_sideways)
    x, z = pose.position
    to_ceiling = sign_world.HEIGHT - sign_world.CAMERA_HEIGHT
    distance = jnp.where(seen.on_ceiling, to_ceiling, -sign_world.CAMERA_HEIGHT) / upwards
    scale = jnp.where(seen.on_ceiling, 1 / CEILING_TILE, 1.0)
    per_row = jnp.abs(distance / upwards) * PIXEL
    footprint = jnp.maximum(
        jnp.abs(distance) * PIXEL, per_row * jnp.sqrt(centre.x**2 + centre.z**2)
    )
    return _Patch((x + distance * centre.x) * scale, (z + distance * centre.z) * scale, footprint)


def _light(seen: _Seen) -> Array:
    """[H, C] float32: brightness of the surfaces."""
    light = jnp.where(raycast_columns.lit(seen.walls.face), *raycast_columns.LIT_AND_UNLIT)
    ambient = seen.on_ceiling | seen.on_sign
    return jnp.where(seen.on_floor, 1.0, jnp.where(ambient, sign_world.AMBIENT, light))


def _objects(
    mesh: miniworld_assets.KeyMesh | None,
    scene: Scene,
    pose: Pose,
    seen: _Seen,
    sideways: Array,
    upwards: Array,
) -> Array:
    """[H, C] int32: packed colours of boxes and keys, -1 elsewhere.

    They are below the camera, so they appear in the lower half of the picture only.
    """
    lower = sign_world.FRAME_HEIGHT // 2
    boxes, keys = raycast_columns.objects(scene.object_yaw, pose.position, seen.ray, seen.walls)
    down = -upwards[lower:, None]
    painted = jnp.full((lower, sign_world.FRAME_WIDTH), -1)
    painted = raycast_columns.paint(painted, boxes, down)
    if mesh is None:
        painted = raycast_columns.paint(painted, keys, down)
    else:
        nearest = jnp.minimum(raycast_columns.box_distance(boxes, down), seen.walls.distance)
        shown = raycast_key.look(mesh, scene.object_yaw, pose, sideways, -down, 1 / nearest)
        painted = jnp.where(shown >= 0, shown, painted)
    return jnp.concatenate([jnp.full_like(painted, -1), painted])


def _trilinear(textures: Textures, texture: Array, u: Array, v: Array, footprint: Array) -> Array:
    """[..., 3] float32, 0 to 255: repeated textures, trilinear filter.

    `footprint` is in texels of level 0.
    """
    last = jnp.asarray(textures.levels)[texture] - 1
    lod = jnp.clip(jnp.log2(jnp.maximum(footprint, 1e-6)), 0, last)
    fine = jnp.floor(lod).astype(jnp.int32)
    coarse = jnp.minimum(fine + 1, last)
    near, far = (_bilinear(textures, texture, level, u, v) for level in (fine, coarse))
    return near + (far - near) * (lod - fine)[..., None]


def _bilinear(textures: Textures, texture: Array, level: Array, u: Array, v: Array) -> Array:
    """[..., 3] float32, 0 to 255: one level of a repeated texture, bilinear filter."""
    size = jnp.asarray(textures.size)[texture] >> level
    start = jnp.asarray(textures.start)[texture, level]
    x, y = u * size - 0.5, v * size - 0.5
    x0, y0 = jnp.floor(x), jnp.floor(y)
    share_x, share_y = (x - x0)[..., None], (y - y0)[..., None]
    left, low = (jnp.mod(c.astype(jnp.int32), size) for c in (x0, y0))
    right, high = (jnp.where(c + 1 == size, 0, c + 1) for c in (left, low))

    def texel(row: Array, column: Array) -> Array:
        return _channels(jnp.asarray(textures.texels)[start + row * size + column])

    bottom = texel(low, left) * (1 - share_x) + texel(low, right) * share_x
    top = texel(high, left) * (1 - share_x) + texel(high, right) * share_x
    return bottom * (1 - share_y) + top * share_y


def _upright(pixels: _Pixels, pose: Pose, faces_x: Array, place: Array) -> _Upright:
    """Where the rays of the pixels' centres meet the plane x = place [C] (z = place where not
    `faces_x` [C])."""
    centre = raycast_columns.rays(pose, pixels.centre_sideways)
    # The change of a ray between adjacent pixels.
    step = Rays(PIXEL * jnp.sin(pose.heading), PIXEL * jnp.cos(pose.heading))
    towards, aside = jnp.where(faces_x, centre.x, centre.z), jnp.where(faces_x, centre.z, centre.x)
    step_towards = jnp.where(faces_x, step.x, step.z)
    step_aside = jnp.where(faces_x, step.z, step.x)
    x, z = pose.position
    start, start_aside = jnp.where(faces_x, x, z), jnp.where(faces_x, z, x)
    towards = raycast_columns.nonzero(towards)
    distance = (place - start) / towards
    per_column = -distance * step_towards / towards
    aside_per_column = per_column * aside + distance * step_aside
    across = jnp.sqrt(aside_per_column**2 + (per_column * pixels.centre_upwards) ** 2)
    footprint = jnp.maximum(across, jnp.abs(distance) * PIXEL)
    return _Upright(distance, start_aside + distance * aside, footprint)


def wall_shift(position: Array, ray: Rays, walls: Walls) -> Array:
    """[C] float32: offset of the texture coordinate u on each wall. Textures repeat every metre."""
    z = position[1] + walls.distance * ray.z
    first, second, third = SHIFT_X0
    front, back = SPLIT_X0
    on_x0 = jnp.where(z < front, first, jnp.where(z < back, second, third))
    on_x10 = jnp.where(z < front, *SHIFT_X10)
    shift = jnp.where(walls.face == 0, on_x0, jnp.where(walls.face == 1, on_x10, 0.0))
    return jnp.where(walls.face == 6, SHIFT_END, shift)


def _channels(packed: Array) -> Array:
    """[..., 3] float32 of packed colours [...], red + 256 green + 65536 blue."""
    shifts = jnp.arange(0, 24, 8, dtype=packed.dtype)
    return ((packed[..., None] >> shifts) & 255).astype(jnp.float32)
