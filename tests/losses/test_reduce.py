"""Means over the steps that count."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dream_jax.losses.reduce import masked_mean


def test_masked_mean_golden():
    values = jnp.array([[1.0, 2.0, 50.0], [6.0, 50.0, 50.0]])
    mask = jnp.array([[True, True, False], [True, False, False]])
    assert masked_mean(values, mask) == 3.0  # (1 + 2 + 6) / 3: steps count alike, not rows
    assert masked_mean(values, mask.astype(jnp.float32)) == 3.0


def test_masked_mean_of_nothing_is_zero():
    assert masked_mean(jnp.array([1.0, jnp.nan]), jnp.zeros(2, bool)) == 0.0


@pytest.mark.parametrize("padding", [np.nan, np.inf, 1e30])
def test_masked_mean_ignores_padding_and_so_does_its_gradient(padding):
    values = jnp.array([1.0, padding, 5.0, padding])
    mask = jnp.array([True, False, True, False])
    value, gradient = jax.value_and_grad(masked_mean)(values, mask)
    assert value == 3.0
    np.testing.assert_array_equal(gradient, [0.5, 0.0, 0.5, 0.0])
