"""Pictures of a `PixelEnv`: replay keeps states, and draws them when networks look."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from dream_jax.types import Array, Env, Episode, is_pixel_env


def draw(look: Callable[[Any], Array], states: Any) -> Array:
    """`look` at each state of an episode: leaves [n, ...] -> pictures [n, ...].

    The loop has two halves because XLA would otherwise draw inside the networks that look at the
    pictures, byte by byte. On a CPU that is seven times slower. An optimization barrier does not
    prevent it.
    """
    count = jax.tree.leaves(states)[0].shape[0]
    half = (count + 1) // 2
    halves = jax.tree.map(lambda x: jnp.stack([x[:half], x[count - half :]]), states)
    first, second = jax.lax.map(jax.vmap(look), halves)
    return jnp.concatenate([first, second[2 * half - count :]])


def as_seen(env: Env, episode: Episode) -> Episode:
    """The episode with observations as networks take them: states are drawn now.

    Observations that are arrays already stay as they are.
    """
    if not is_pixel_env(env) or isinstance(episode.observation, jax.Array):
        return episode
    return episode._replace(observation=draw(env.observe, episode.observation))
