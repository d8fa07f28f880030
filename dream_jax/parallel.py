"""Batches of trials split over devices, inside one mapped program.

Random draws are made for the whole batch on every device and sliced, and sums run over all
devices, so that the result is that of one device up to the order of summation.
"""

from typing import Any, NamedTuple

import jax

from dream_jax.types import Array

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
