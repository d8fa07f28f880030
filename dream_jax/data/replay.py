"""A ring of whole padded trials on device: free functions on a frozen state."""

from collections.abc import Callable
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from dream_jax.config import ConfigError
from dream_jax.types import Array, Key, Trial


class ReplayState(NamedTuple):
    # Leaves [capacity, all of a trial's entries]: with an axis of size 1 in it, the compiler would
    # lay an array out in two ways, and copy it.
    storage: Trial
    inserted: Array  # [] int32, trials ever added


def size_bytes(example: Trial, capacity: int) -> int:
    """Bytes a replay of `capacity` trials takes; `example`: one trial, or its shapes."""
    leaves = jax.tree.leaves(example)
    per_trial = sum(int(np.prod(x.shape)) * np.dtype(x.dtype).itemsize for x in leaves)
    return capacity * per_trial


def check_fits(
    bytes_each: int,
    copies: int,
    capacity_trials: int,
    log: Callable[[str], None] = print,
) -> None:
    """Log the size of the replays, one per seed and device. ConfigError if they do not fit."""
    total = bytes_each * copies
    log(
        f"replay: {total:,} bytes ({copies} x {capacity_trials:,} trials of "
        f"{bytes_each // capacity_trials:,} bytes)"
    )
    available = _available_bytes()
    if available is not None and total > 0.9 * available:
        fits = int(0.9 * available / copies / (bytes_each / capacity_trials))
        raise ConfigError(
            f"replay.capacity_trials={capacity_trials:,} needs {total:,} bytes, {available:,} are "
            f"free; at most about {fits:,} trials fit"
        )


def init(example: Trial, capacity: int) -> ReplayState:
    """An empty replay for trials shaped like `example` (arrays or shapes)."""
    storage = jax.tree.map(lambda x: jnp.zeros((capacity, *_entries(x.shape)), x.dtype), example)
    return ReplayState(storage, jnp.zeros((), jnp.int32))


def add(state: ReplayState, trials: Trial) -> ReplayState:
    """Add trials (leaves [B, ...]), shaped like the example, over the oldest ones.

    B must divide the capacity.
    """
    capacity, count = state.storage.problem.shape[0], trials.problem.shape[0]
    if capacity % count:
        raise ValueError(f"adding {count} trials: must divide the capacity, {capacity}")
    chex.assert_trees_all_equal_dtypes(state.storage, trials)
    start = state.inserted % capacity
    storage = jax.tree.map(
        lambda ring, new: jax.lax.dynamic_update_slice_in_dim(
            ring, new.reshape(count, *_entries(new.shape[1:])), start, axis=0
        ),
        state.storage,
        trials,
    )
    return ReplayState(storage, state.inserted + count)


def draw(state: ReplayState, key: Key, count: int) -> Array:
    """[count] places in the ring, uniformly with replacement. Not from an empty ring."""
    capacity = state.storage.problem.shape[0]
    return jax.random.randint(key, (count,), 0, jnp.minimum(state.inserted, capacity))


def take(state: ReplayState, index: Array, example: Trial) -> Trial:
    """The trials at `index` [B]: leaves [B, ...], shaped like `example` as in `init`."""
    return jax.tree.map(
        lambda ring, x: ring[index].reshape(*index.shape, *x.shape), state.storage, example
    )


def _entries(shape: tuple[int, ...]) -> tuple[int, ...]:
    """`shape` as one axis; none for a single entry."""
    size = int(np.prod(shape))
    return () if size == 1 else (size,)


def _available_bytes() -> int | None:
    """Bytes free for arrays: of the accelerator, or of this machine; None if unknown."""
    stats = jax.devices()[0].memory_stats() if jax.default_backend() != "cpu" else None
    if stats and "bytes_limit" in stats:
        return int(stats["bytes_limit"]) - int(stats.get("bytes_in_use", 0))
    try:
        with open("/proc/meminfo") as file:
            fields = dict(line.split(":", 1) for line in file)
        return int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None
