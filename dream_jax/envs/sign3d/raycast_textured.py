"""Renderers with Miniworld's textures; with its key and 4 samples a pixel, the reference.

As OpenGL's multisampling does it: each sample finds out what it sees; the colour of what it sees is
computed once, at the centre of the pixel. So a sample has rays of its own to find a surface, and a
texture is read where the ray through the pixel's centre meets the plane of that surface.

  S samples a pixel, H = 60 rows, C = 80 columns
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from dream_jax.envs.sign3d import miniworld_assets, raycast_columns, raycast_key
from dream_jax.envs.sign3d import world as sign_world
from dream_jax.envs.sign3d.raycast_columns import PIXEL, Rays, Walls
from dream_jax.envs.sign3d.world import Pose, Scene
from dream_jax.types import Array

# Samples from the bottom left of a pixel, in pixels: one, or llvmpipe's four.
CENTRE = np.array([(0.5, 0.5)])
FOUR = np.array([(0.375, 0.125), (0.875, 0.375), (0.125, 0.625), (0.625, 0.875)])
LETTER_DENSITY, ROOM_DENSITY = 128, 512  # texels per metre
CEILING_TILE = 1.5  # metres that the ceiling's texture covers; the others cover 1
# u = sense * (coordinate along the wall) + shift, by face of `raycast_columns.FACE_NAMES`.
U_SENSE = np.array([1, -1, -1, 1, 1, -1, -1], np.float32)
# x = 0 and x = 10 are several walls; each counts from an end of its own, behind these z.
SPLIT_X0, SHIFT_X0 = (6.5, 6.75), (0.0, 0.5, 0.25)
SHIFT_X10 = (0.5, 0.0)  # in front of and behind the barrier
SHIFT_END = 0.75


def make_renderer(
    samples: np.ndarray, mesh_keys: bool, textured_rooms: bool
) -> Callable[[Scene, Pose], Array]:
    """Raises ImportError when miniworld is not installed."""
    textures = miniworld_assets.textures()
    mesh = miniworld_assets.key_mesh() if mesh_keys else None
    letters = miniworld_assets.letter_textures()
    columns, rows = np.arange(sign_world.FRAME_WIDTH), np.arange(sign_world.FRAME_HEIGHT)[::-1]
    middle_x, middle_y = sign_world.FRAME_WIDTH / 2, sign_world.FRAME_HEIGHT / 2
    sideways = ((columns + samples[:, :1] - middle_x) * PIXEL).astype(np.float32)  # [S, C]
    upwards = ((rows + samples[:, 1:] - middle_y) * PIXEL).astype(np.float32)  # [S, H]
    centre_sideways = ((columns + 0.5 - middle_x) * PIXEL).astype(np.float32)
    centre_upwards = ((rows + 0.5 - middle_y) * PIXEL).astype(np.float32)[:, None]
    lower = len(rows) // 2

    def texel_colour(texture: Array, u: Array, v: Array, footprint: Array) -> Array:
        """[..., 3] float32, 0 .. 255: repeated, trilinear. `footprint` in texels of level 0."""
        last = jnp.asarray(textures.levels)[texture] - 1
        lod = jnp.clip(jnp.log2(jnp.maximum(footprint, 1e-6)), 0, last)
        fine = jnp.floor(lod).astype(jnp.int32)
        coarse = jnp.minimum(fine + 1, last)
        near, far = (bilinear(texture, level, u, v) for level in (fine, coarse))
        return near + (far - near) * (lod - fine)[..., None]

    def bilinear(texture: Array, level: Array, u: Array, v: Array) -> Array:
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

    def sample_colour(scene: Scene, pose: Pose, sideways: Array, upwards: Array) -> Array:
        """[H, C, 3] float32: one sample of every pixel; `sideways` [C], `upwards` [H]."""
        position = pose.position
        ray, centre = (
            raycast_columns.rays(pose, sideways),
            raycast_columns.rays(pose, centre_sideways),
        )
        step = Rays(PIXEL * jnp.sin(pose.heading), PIXEL * jnp.cos(pose.heading))
        walls = raycast_columns.walls(position, ray)
        sign = raycast_columns.sign(scene.colour, position, ray, walls)
        height = sign_world.CAMERA_HEIGHT + walls.distance * upwards[:, None]
        on_floor, on_ceiling = height < 0, height > sign_world.HEIGHT
        sign_height = sign_world.CAMERA_HEIGHT + sign.distance * upwards[:, None]
        on_sign = (sign_height > sign_world.SIGN_Y[0]) & (sign_height < sign_world.SIGN_Y[1])

        # Upright surfaces, at the centre's ray: the wall that the sample sees, and the sign.
        faces_x = raycast_columns.faces_x(walls.face)
        place = jnp.asarray(raycast_columns.FACE_PLACE)[walls.face]
        distance, along, footprint = upright(position, centre, step, faces_x, place)
        u = jnp.asarray(U_SENSE)[walls.face] * along + wall_shift(position, ray, walls)
        v = sign_world.CAMERA_HEIGHT + distance * centre_upwards
        sign_distance, sign_along, sign_footprint = upright(
            position, centre, step, jnp.ones_like(faces_x), jnp.float32(sign_world.SIGN_X)
        )
        word = jnp.asarray(letters)[scene.colour]
        letter = jnp.clip(sign.across, 0, 4).astype(jnp.int32)
        sign_u = sign_along - raycast_columns.sign_start(scene.colour) - letter
        sign_v = sign_world.CAMERA_HEIGHT + sign_distance * centre_upwards - sign_world.SIGN_Y[0]

        # Floor and ceiling.
        drop = jnp.where(
            on_ceiling, sign_world.HEIGHT - sign_world.CAMERA_HEIGHT, -sign_world.CAMERA_HEIGHT
        )
        level_distance = drop / centre_upwards
        scale = jnp.where(on_ceiling, 1 / CEILING_TILE, 1.0)
        level_u = (position[0] + level_distance * centre.x) * scale
        level_v = (position[1] + level_distance * centre.z) * scale
        per_row = jnp.abs(level_distance / centre_upwards) * PIXEL
        level_footprint = jnp.maximum(
            jnp.abs(level_distance) * PIXEL, per_row * jnp.sqrt(centre.x**2 + centre.z**2)
        )

        level = on_floor | on_ceiling
        texture = jnp.where(on_floor, miniworld_assets.FLOOR, miniworld_assets.CEILING)
        texture = jnp.where(level, texture, miniworld_assets.WALL)
        texture = jnp.where(on_sign, word[letter], texture)
        texels = jnp.where(level, level_footprint, footprint(centre_upwards)) * ROOM_DENSITY
        texels = jnp.where(on_sign, sign_footprint(centre_upwards) * LETTER_DENSITY, texels)
        u = jnp.where(on_sign, sign_u, jnp.where(level, level_u, u))
        v = jnp.where(on_sign, sign_v, jnp.where(level, level_v, v))
        light = jnp.where(raycast_columns.lit(walls.face), *raycast_columns.LIT_AND_UNLIT)
        light = jnp.where(on_floor, 1.0, jnp.where(on_ceiling | on_sign, sign_world.AMBIENT, light))
        colour = texel_colour(texture, u, v, texels)
        if not textured_rooms:
            colour = jnp.where(on_sign[..., None], colour, 255.0)
        colour = colour * light[..., None]
        colour = jnp.where((on_sign & ~sign.front)[..., None], 0.0, jnp.round(colour))

        boxes, keys = raycast_columns.objects(scene.object_yaw, position, ray, walls)
        down = -upwards[lower:, None]
        painted = jnp.full((lower, len(columns)), -1)
        painted = raycast_columns.paint(painted, boxes, down)
        if mesh is None:
            painted = raycast_columns.paint(painted, keys, down)
        else:
            nearest = jnp.minimum(raycast_columns.box_distance(boxes, down), walls.distance)
            shown = raycast_key.look(mesh, scene.object_yaw, pose, sideways, -down, 1 / nearest)
            painted = jnp.where(shown >= 0, shown, painted)
        painted = jnp.concatenate([jnp.full_like(painted, -1), painted])[..., None]
        return jnp.where(painted >= 0, _channels(painted[..., 0]), colour)

    def render(scene: Scene, pose: Pose) -> Array:
        """[60, 80, 3] uint8."""
        each = jax.vmap(sample_colour, (None, None, 0, 0))(scene, pose, sideways, upwards)
        return jnp.round(jnp.mean(each, axis=0)).astype(jnp.uint8)

    return render


def upright(
    position: Array, centre: Rays, step: Rays, faces_x: Array, place: Array
) -> tuple[Array, Array, Callable[[np.ndarray], Array]]:
    """Where rays [C] meet the plane x = place (or z = place): distance, coordinate along it.

    Also how large a pixel is there, in metres, as a function of the rays' slopes [H, 1]. `step` is
    what a ray changes by from pixel to pixel.
    """
    towards, aside = jnp.where(faces_x, centre.x, centre.z), jnp.where(faces_x, centre.z, centre.x)
    step_towards, step_aside = (
        jnp.where(faces_x, step.x, step.z),
        jnp.where(faces_x, step.z, step.x),
    )
    x, z = position
    start, start_aside = jnp.where(faces_x, x, z), jnp.where(faces_x, z, x)
    towards = raycast_columns.nonzero(towards)
    distance = (place - start) / towards
    per_column = -distance * step_towards / towards
    aside_per_column = per_column * aside + distance * step_aside

    def footprint(slope: np.ndarray) -> Array:
        across = jnp.sqrt(aside_per_column**2 + (per_column * slope) ** 2)
        return jnp.maximum(across, jnp.abs(distance) * PIXEL)

    return distance, start_aside + distance * aside, footprint


def wall_shift(position: Array, ray: Rays, walls: Walls) -> Array:
    """[C] where u of each wall begins; textures repeat every metre."""
    z = position[1] + walls.distance * ray.z
    first, second, third = SHIFT_X0
    on_x0 = jnp.where(z < SPLIT_X0[0], first, jnp.where(z < SPLIT_X0[1], second, third))
    on_x10 = jnp.where(z < SPLIT_X0[0], *SHIFT_X10)
    shift = jnp.where(walls.face == 0, on_x0, jnp.where(walls.face == 1, on_x10, 0.0))
    return jnp.where(walls.face == 6, SHIFT_END, shift)


def _channels(packed: Array) -> Array:
    """[...] red + 256 green + 65536 blue as [..., 3] float32."""
    shifts = jnp.arange(0, 24, 8, dtype=packed.dtype)
    return ((packed[..., None] >> shifts) & 255).astype(jnp.float32)
