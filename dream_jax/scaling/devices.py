"""Several processes that train together: connecting them, and arrays spread over their devices."""

import functools
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Sharding

from dream_jax.types import Array, is_key


def connect(
    coordinator: str | None = None, processes: int | None = None, process: int | None = None
) -> None:
    """Connect this process to the others, so that `jax.devices()` lists the devices of all.

    Call it before any other use of JAX. From then on, every process must make the same calls.

    coordinator: "host:port" of process 0. processes: how many there are. process: the number of
    this one. Leave out all three where JAX finds them itself, for example under Slurm, Open MPI or
    Kubernetes.
    """
    jax.distributed.initialize(coordinator, processes, process)
    if jax.process_count() > 1:
        # CPU processes connect to each other at their first common operation, and give up after 30
        # s. Later one of them may still be compiling.
        multihost_utils.sync_global_devices("dream_jax: connected")


def place(tree: Any, sharding: Sharding) -> Any:
    """Copy host arrays to the devices of `sharding`. Every process must give the same arrays."""
    if jax.process_count() == 1:
        return jax.device_put(tree, sharding)

    def part(x: Any) -> Array:
        if is_key(x):
            wrap = jax.jit(functools.partial(jax.random.wrap_key_data, impl=jax.random.key_impl(x)))
            return wrap(part(jax.random.key_data(x)))
        host = np.asarray(x)
        return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])

    return jax.tree.map(part, tree)


def fetch(tree: Any) -> Any:
    """Arrays that are spread over all processes, as numpy arrays that are whole in each process.

    Numpy arrays stay as they are. With several processes, typed PRNG keys stay on their devices.
    """
    if jax.process_count() == 1:
        return jax.device_get(tree)

    def whole(x: Any) -> Any:
        if is_key(x) or isinstance(x, np.ndarray):
            return x
        return multihost_utils.process_allgather(x, tiled=True)

    return jax.tree.map(whole, tree)
