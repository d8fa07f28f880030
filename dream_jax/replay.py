"""A ring of whole padded trials on device: free functions on a frozen state."""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from dream_jax.types import Array, Key, Trial


class ReplayState(NamedTuple):
    storage: Trial  # leaves [capacity, ...]
    inserted: Array  # [] int32, trials ever added


def size_bytes(example: Trial, capacity: int) -> int:
    """Bytes a replay of `capacity` trials takes; `example`: one trial, or its shapes."""
    leaves = jax.tree.leaves(example)
    per_trial = sum(int(np.prod(x.shape)) * np.dtype(x.dtype).itemsize for x in leaves)
    return capacity * per_trial


def init(example: Trial, capacity: int) -> ReplayState:
    """An empty replay for trials shaped like `example` (arrays or shapes)."""
    storage = jax.tree.map(lambda x: jnp.zeros((capacity, *x.shape), x.dtype), example)
    return ReplayState(storage, jnp.zeros((), jnp.int32))


def add(state: ReplayState, trials: Trial) -> ReplayState:
    """Add trials (leaves [B, ...]) over the oldest ones. B must divide the capacity."""
    capacity, count = state.storage.problem.shape[0], trials.problem.shape[0]
    if capacity % count:
        raise ValueError(f"adding {count} trials: must divide the capacity, {capacity}")
    chex.assert_trees_all_equal_dtypes(state.storage, trials)
    start = state.inserted % capacity
    storage = jax.tree.map(
        lambda ring, new: jax.lax.dynamic_update_slice_in_dim(ring, new, start, axis=0),
        state.storage,
        trials,
    )
    return ReplayState(storage, state.inserted + count)


def sample(state: ReplayState, key: Key, count: int) -> Trial:
    """`count` trials, uniformly with replacement, leaves [count, ...]. The ring must not be empty."""
    capacity = state.storage.problem.shape[0]
    filled = jnp.minimum(state.inserted, capacity)
    index = jax.random.randint(key, (count,), 0, filled)
    return jax.tree.map(lambda x: x[index], state.storage)
