"""What agents share."""

import jax.numpy as jnp

from dream_jax.agents import inputs
from dream_jax.config import TdConfig


def test_discounts_are_zero_at_the_end():
    terminated = jnp.array([False, True, False])
    truncated = jnp.array([False, False, True])
    td = TdConfig(discount=0.5)
    assert inputs.discounts(td, terminated, truncated).tolist() == [0.5, 0.0, 0.0]
    td = TdConfig(discount=0.5, bootstrap_on_truncation=True)
    assert inputs.discounts(td, terminated, truncated).tolist() == [0.5, 0.0, 0.5]
