"""Several processes that train together, and arrays that are spread over their devices."""

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
    """Join the processes that train together, before JAX is used: `jax.devices` is of all of them.

    coordinator: "host:port" of process 0. All three may be left out where JAX can find them, under
    Slurm, Open MPI or Kubernetes for example. Every process then makes the same calls.
    """
    jax.distributed.initialize(coordinator, processes, process)


def place(tree: Any, sharding: Sharding) -> Any:
    """Host arrays, the same in every process, on the devices of `sharding`."""
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
    """Arrays of all processes as numpy, whole in each of them.

    Typed keys stay on their devices, and what is numpy already as it is.
    """
    if jax.process_count() == 1:
        return jax.device_get(tree)

    def whole(x: Any) -> Any:
        if is_key(x) or isinstance(x, np.ndarray):
            return x
        return multihost_utils.process_allgather(x, tiled=True)

    return jax.tree.map(whole, tree)
