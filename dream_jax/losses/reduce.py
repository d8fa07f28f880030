"""Masked means: padding never changes a value."""

import chex
import jax.numpy as jnp

from dream_jax.types import Array


def masked_mean(values: Array, mask: Array) -> Array:
    """Mean of `values` where `mask` is 1; 0 if nowhere. Any one shape, the same for both."""
    chex.assert_equal_shape([values, mask])
    mask = mask.astype(values.dtype)
    # A padded entry may hold anything, NaN included: select, do not multiply.
    total = jnp.sum(jnp.where(mask > 0, values, 0.0))
    return total / jnp.maximum(jnp.sum(mask), 1.0)
