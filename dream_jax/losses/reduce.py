"""Masked means: padding never changes a value."""

import chex
import jax.numpy as jnp

from dream_jax.types import Array


def masked_mean(values: Array, mask: Array, count: Array | None = None) -> Array:
    """Mean of `values` where `mask` is 1; 0 if nowhere. Any one shape, the same for both.

    `count`: what to divide by, [], if not the sum of `mask`: that of a larger batch of which this
    is a part gives the part's share of its mean.
    """
    chex.assert_equal_shape([values, mask])
    mask = mask.astype(values.dtype)
    # A padded entry may hold anything, NaN included: select, do not multiply.
    total = jnp.sum(jnp.where(mask > 0, values, 0.0))
    count = jnp.sum(mask) if count is None else count
    return total / jnp.maximum(count, 1.0)
