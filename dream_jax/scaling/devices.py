"""Batches of trials split over devices, inside one mapped program; arrays of several processes.

Random draws are made for the whole batch on every device and sliced, and sums run over all
devices, so that the result is that of one device up to the order of summation.
"""

import functools
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Sharding

from dream_jax.types import Array, is_key

TRIAL_AXIS = "trial"


class Shards(NamedTuple):
    """How many devices share a batch; 1 needs no mesh. Else: within a mesh axis "trial"."""

    devices: int = 1

    def mine(self, batch: Any) -> Any:
        """This device's part of leaves [B, ...]: [B / devices, ...]. `devices` must divide B."""
        if self.devices == 1:
            return batch
        index = jax.lax.axis_index(TRIAL_AXIS)

        def part(x: Array) -> Array:
            if x.shape[0] % self.devices:
                raise ValueError(f"{x.shape[0]} trials do not split evenly over {self.devices}")
            size = x.shape[0] // self.devices
            return jax.lax.dynamic_slice_in_dim(x, index * size, size)

        return jax.tree.map(part, batch)

    def gather(self, part: Any) -> Any:
        """The whole batch on every device, from the parts: inverse of `mine`."""
        if self.devices == 1:
            return part
        return jax.lax.all_gather(part, TRIAL_AXIS, tiled=True)

    def total(self, part: Any) -> Any:
        """Sum over devices, of every leaf. Not to be differentiated through."""
        return part if self.devices == 1 else jax.lax.psum(part, TRIAL_AXIS)


ONE = Shards()


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
