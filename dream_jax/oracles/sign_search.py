"""What sign navigation returns without an exploration episode, by search.

The sign can be read within the exploitation episode: walk to where it can be seen, then fetch the
object. The world moves deterministically, so from a start the reachable poses are a lattice. The
search draws each of them under each sign. Poses whose pictures all differ tell the
colour. From such a pose the fewest steps to each object are searched in the same way.

The agent of this search knows its pose and the yaw of the objects, which pictures show in part, so
the result bounds the Bayes-optimal return from above. It reads the whole sign or nothing, so that
for this agent it is a bound from below: a sign that is read in part could be enough.
"""

import functools
import itertools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dream_jax.envs.sign3d import sign, world
from dream_jax.envs.sign3d.sign import Sign, SignState
from dream_jax.envs.sign3d.world import Objects

_HEADINGS = 8  # turns are by 45 degrees
_BATCH = 64  # pictures that are drawn at once
_MOVES = (sign.LEFT, sign.RIGHT, sign.FORWARD)


class Poses(NamedTuple):
    """Poses of one search: leaves [n]."""

    position: np.ndarray  # [n, 2] float64
    turns: np.ndarray  # [n] int, of 45 degrees to the left since the start, 0 to 7


class Read(NamedTuple):
    """What one start is worth without exploration."""

    steps: int  # taken before the sign is read; -1: it cannot be read in time
    value: np.ndarray  # [shapes]: the share of colours whose object is reached in time


def search(env: Sign, start: SignState) -> Read:
    """The return from one start: the best of all poses that tell the colour.

    Args:
      env: the world; pictures are drawn in its quality.
      start: the state after `reset`, without batch axes. Its problem and instruction do not matter.
    """
    best, heading = Read(-1, np.zeros(len(env.objects.shapes))), float(start.heading)
    place = np.asarray(start.position, np.float64)
    layers = _layers(env.objects, place, heading, env.horizon)
    for steps, (poses, near) in enumerate(layers):
        free = _take(poses, near < 0)  # the episode ends near an object
        telling = _take(free, _tells(env, start, free, heading))
        for k in range(len(telling.turns)):
            turned = heading + telling.turns[k] * world.TURN
            left = env.horizon - steps
            fewest = fewest_steps(telling.position[k], turned, left, env.objects)
            value = (fewest <= left).reshape(len(env.objects.shapes), -1).mean(axis=1)
            if value.sum() > best.value.sum():
                best = Read(steps, value)
            if best.value.min() == 1.0:
                return best
    return best


def fewest_steps(
    position: np.ndarray, heading: float, horizon: int, objects: Objects = world.OBJECTS
) -> np.ndarray:
    """[6] the fewest steps to each object, past no other; horizon + 1 if they are not enough."""
    found = np.full(len(objects.colour), horizon + 1)
    for steps, (_, near) in enumerate(_layers(objects, position, heading, horizon)):
        for index in np.unique(near[near >= 0]):
            found[index] = min(found[index], steps)
        if (found <= horizon).all():
            break
    return found


def _layers(
    objects: Objects, position: np.ndarray, heading: float, horizon: int
) -> Iterator[tuple[Poses, np.ndarray]]:
    """The poses that are first reached after 0, 1, ... steps, each with the object that it is near.

    Yields (Poses, near [n] int: the object's index, or -1). No pose is left once an object is near.
    """
    poses = Poses(position[None], np.zeros(1, int))
    near = np.full(1, -1)
    seen = set(_keys(poses))
    yield poses, near
    for _ in range(horizon):
        poses = _after(objects, _take(poses, near < 0), heading)
        keys = _keys(poses)
        first = {key: k for k, key in enumerate(keys) if key not in seen}  # one of equal ones
        seen.update(first)
        poses = _take(poses, sorted(first.values()))
        near = _near(objects, poses.position)
        yield poses, near


def _after(objects: Objects, poses: Poses, heading: float) -> Poses:
    """All poses one step later: turned left, turned right, and a step forward."""
    angle = heading + poses.turns * world.TURN
    forward = np.stack([np.cos(angle), -np.sin(angle)], axis=-1)
    target = poses.position + world.STRIDE * forward
    ahead = np.where(_blocked(objects, target)[:, None], poses.position, target)
    left, right = (poses.turns + 1) % _HEADINGS, (poses.turns - 1) % _HEADINGS
    return Poses(
        np.concatenate([poses.position, poses.position, ahead]),
        np.concatenate([left, right, poses.turns]),
    )


def _tells(env: Sign, start: SignState, poses: Poses, heading: float) -> np.ndarray:
    """[n] bool: whether the pictures under the signs all differ."""
    found, differ = [], _make_differ(env)  # hashed by identity
    for i in range(0, len(poses.turns), _BATCH):
        index = np.minimum(np.arange(i, i + _BATCH), len(poses.turns) - 1)
        angle = (heading + poses.turns[index] * world.TURN).astype(np.float32)
        position = poses.position[index].astype(np.float32)
        found.append(np.asarray(differ(start.object_yaw, position, angle)))
    return np.concatenate(found)[: len(poses.turns)] if found else np.zeros(0, bool)


@functools.lru_cache(maxsize=4)
def _make_differ(env: Any) -> Callable:
    """(yaws [6], positions [n, 2], headings [n]) -> [n] bool, see `_tells`."""
    colours = jnp.arange(env.num_problems, dtype=jnp.int32)

    def one(yaw: jax.Array, position: jax.Array, heading: jax.Array) -> jax.Array:
        def picture(colour: jax.Array) -> jax.Array:
            zero = jnp.zeros((), jnp.int32)
            state = SignState(colour, zero[None], position, heading, yaw, zero)
            return env.observe(state).reshape(-1)

        drawn = jax.vmap(picture)(colours)
        pairs = itertools.combinations(range(env.num_problems), 2)
        return jnp.all(jnp.array([jnp.any(drawn[i] != drawn[j]) for i, j in pairs]))

    return jax.jit(jax.vmap(one, (None, 0, 0)))


def _blocked(objects: Objects, position: np.ndarray) -> np.ndarray:
    """[n] bool, whether an agent at each position [n, 2] would overlap a wall or an object."""
    low, high = world.WALL_SEGMENTS[:, 0], world.WALL_SEGMENTS[:, 1]
    to_wall = np.linalg.norm(position[:, None] - np.clip(position[:, None], low, high), axis=-1)
    to_object = np.linalg.norm(position[:, None] - objects.position, axis=-1)
    hits_object = to_object < world.AGENT_RADIUS + objects.radius
    return (to_wall < world.AGENT_RADIUS).any(axis=1) | hits_object.any(axis=1)


def _near(objects: Objects, position: np.ndarray) -> np.ndarray:
    """[n] the index of the object that each position [n, 2] is near, or -1."""
    distance = np.linalg.norm(position[:, None] - objects.position, axis=-1)
    margin = distance - objects.near_distance
    return np.where((margin < 0).any(axis=1), margin.argmin(axis=1), -1)


def _keys(poses: Poses) -> list[tuple[int, int, int]]:
    """Equal for equal poses. Positions are compared to a tenth of a millimetre."""
    cells = np.rint(poses.position * 1e4).astype(int)
    return list(zip(*cells.T.tolist(), poses.turns.tolist(), strict=True))


def _take(poses: Poses, which: Any) -> Poses:
    return Poses(*(x[which] for x in poses))
