"""Draws the keys' meshes by testing every triangle against every sample."""

import jax
import jax.numpy as jnp
import numpy as np

from dream_jax.envs.sign3d import world as sign_world
from dream_jax.envs.sign3d.miniworld_assets import KeyMesh
from dream_jax.envs.sign3d.world import Pose
from dream_jax.types import Array


def look(
    mesh: KeyMesh, yaw: Array, pose: Pose, sideways: Array, upwards: Array, nearness: Array
) -> Array:
    """[R, C] int32: packed colour (red + 256 green + 65536 blue) of the visible key, or -1.

    Args:
      mesh: of a key.
      yaw: [6], radians, of all objects.
      pose: of the camera.
      sideways: [C], slopes of the rays to the right.
      upwards: [R, 1], slopes of the rays upwards.
      nearness: [R, C], 1 / distance of the nearest thing that can hide a key, 1 / metres.
    """
    keys = np.flatnonzero(sign_world.OBJECT_SHAPE == 1)
    cameras, colours = zip(*(_place(mesh, int(k), yaw[k], pose) for k in keys), strict=True)
    edges, colour = jnp.concatenate(cameras), jnp.concatenate(colours)

    def triangle(best: tuple[Array, Array], one: tuple[Array, Array]) -> tuple:
        (nearest, seen), (edges, colour) = best, one
        a, b, c = (e[0] * sideways + e[2] + e[1] * upwards for e in edges)
        # Barycentric coordinates divided by the distance. They sum to 1 / distance.
        near = a + b + c
        hit = (jnp.minimum(jnp.minimum(a, b), c) >= 0) & (near > nearest)
        return (jnp.where(hit, near, nearest), jnp.where(hit, colour, seen)), None

    start = (nearness, jnp.full_like(nearness, -1, jnp.int32))
    return jax.lax.scan(triangle, start, (edges, colour), unroll=4)[0][1]


def _place(mesh: KeyMesh, index: int, yaw: Array, pose: Pose) -> tuple[Array, Array]:
    """(edges [F, 3, 3] of the triangles as the camera sees them, their packed colours [F])."""
    cos, sin = jnp.cos(yaw), jnp.sin(yaw)
    x, y, z = jnp.moveaxis(jnp.asarray(mesh.corners), -1, 0)  # [F, 3] each
    offset = sign_world.OBJECT_POSITION[index] - pose.position
    world_x, world_z = x * cos + z * sin + offset[0], z * cos - x * sin + offset[1]
    cos_h, sin_h = jnp.cos(pose.heading), jnp.sin(pose.heading)
    right, ahead = world_x * sin_h + world_z * cos_h, world_x * cos_h - world_z * sin_h
    corners = jnp.stack([right, y - sign_world.CAMERA_HEIGHT, ahead], axis=-1)  # [F, 3, 3]
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    edges = jnp.stack([jnp.cross(b, c), jnp.cross(c, a), jnp.cross(a, b)], axis=1)
    volume = jnp.sum(a * edges[:, 0], axis=-1)
    # Leaves out triangles seen from behind or edge on.
    front = volume > 1e-9
    shares = edges / jnp.where(front, volume, 1.0)[:, None, None]
    edges = jnp.where(front[:, None, None], shares, jnp.array([0.0, 0.0, -1.0]))

    nx, ny, nz = jnp.moveaxis(jnp.asarray(mesh.normals), -1, 0)
    light_x, light_y, light_z = sign_world.LIGHT.astype(np.float32)
    facing = (nx * cos + nz * sin) * light_x + ny * light_y + (nz * cos - nx * sin) * light_z
    lit = sign_world.DIFFUSE * sign_world.KEY_NORMAL_SCALE * jnp.maximum(0.0, facing)
    level = jnp.mean(jnp.minimum(1.0, sign_world.AMBIENT + lit), axis=1)
    rgb = sign_world.RGB[sign_world.OBJECT_COLOUR[index]] @ np.array([1, 256, 65536])
    return edges, (jnp.round(255 * level) * np.float32(rgb)).astype(jnp.int32)
