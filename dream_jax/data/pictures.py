"""Pictures of a `PixelEnv`: replay keeps states, and draws them when networks look."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from dream_jax import problems
from dream_jax.types import Env, Episode, Key, is_key, is_pixel_env


def draw(look: Callable[[Any], Any], states: Any) -> Any:
    """`look` at each state of an episode: leaves [n, ...] -> pictures [n, ...].

    The loop has two halves because XLA would otherwise draw inside the networks that look at the
    pictures, byte by byte. On a CPU that is seven times slower. An optimization barrier does not
    prevent it.
    """
    count = jax.tree.leaves(states)[0].shape[0]
    half = (count + 1) // 2
    halves = jax.tree.map(lambda x: jnp.stack([x[:half], x[count - half :]]), states)
    drawn = jax.lax.map(jax.vmap(look), halves)
    return jax.tree.map(lambda x: jnp.concatenate([x[0], x[1, 2 * half - count :]]), drawn)


def as_seen(env: Env, episode: Episode) -> Episode:
    """The episode with observations as networks take them: states are drawn now.

    Observations that are arrays already stay as they are.
    """
    if not is_pixel_env(env) or isinstance(episode.observation, jax.Array):
        return episode
    return episode._replace(observation=draw(look_at(env), episode.observation))


def look_at(env: Any) -> Callable[[Any], Any]:
    """`env.observe` for a state as an episode keeps it."""
    return lambda state: env.observe(with_keys(env, state))


def without_keys(state: Any) -> Any:
    """A state in which typed keys are plain numbers, which replay and checkpoints can keep."""
    return jax.tree.map(lambda x: jax.random.key_data(x) if is_key(x) else x, state)


def with_keys(env: Env, state: Any) -> Any:
    """The inverse of `without_keys`."""
    leaves, tree = jax.tree.flatten(state)
    pairs = zip(leaves, _key_kinds(env), strict=True)  # type: ignore[arg-type]
    return jax.tree.unflatten(
        tree, [x if kind is None else jax.random.wrap_key_data(x, impl=kind) for x, kind in pairs]
    )


@functools.lru_cache(maxsize=16)
def _key_kinds(env: Any) -> tuple[Any, ...]:
    """For each leaf of a state: the kind of key that it is, or None."""

    kinds: list[Any] = []

    def first(key: Key) -> None:
        problem = problems.sample(env, key, "train")
        state, _ = env.reset(key, problem, env.sample_instruction(key, problem))
        for leaf in map(jnp.asarray, jax.tree.leaves(state)):
            kinds.append(jax.random.key_impl(leaf) if is_key(leaf) else None)

    jax.eval_shape(first, jax.random.key(0))
    return tuple(kinds)
