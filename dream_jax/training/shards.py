"""A batch of trials shared by several devices: each device works on its part of the batch.

The functions run inside `jax.shard_map`, over a mesh axis named `TRIAL_AXIS`. Every device draws
the random numbers of the whole batch and takes its part of them, and sums run over all devices.
The result therefore equals that of one device, up to the order of summation.
"""

from typing import Any, NamedTuple

import jax

from dream_jax.types import Array

TRIAL_AXIS = "trial"


class Shards(NamedTuple):
    """The number of devices that share a batch. One device needs no mesh."""

    devices: int = 1

    def mine(self, batch: Any) -> Any:
        """This device's part of a batch.

        batch: a pytree with leaves [B, ...]. Returns leaves [B / devices, ...]. Raises ValueError
        while tracing if `devices` does not divide B.
        """
        if self.devices == 1:
            return batch
        index = jax.lax.axis_index(TRIAL_AXIS)

        def part(x: Array) -> Array:
            if x.shape[0] % self.devices:
                raise ValueError(
                    f"{x.shape[0]} trials do not split evenly over {self.devices} devices"
                )
            size = x.shape[0] // self.devices
            return jax.lax.dynamic_slice_in_dim(x, index * size, size)

        return jax.tree.map(part, batch)

    def gather(self, part: Any) -> Any:
        """The whole batch, on every device: the inverse of `mine`.

        part: a pytree with leaves [B / devices, ...]. Returns leaves [B, ...].
        """
        if self.devices == 1:
            return part
        return jax.lax.all_gather(part, TRIAL_AXIS, tiled=True)

    def total(self, part: Any) -> Any:
        """The sum of every leaf over the devices. Do not differentiate through it."""
        return part if self.devices == 1 else jax.lax.psum(part, TRIAL_AXIS)


ONE = Shards()
