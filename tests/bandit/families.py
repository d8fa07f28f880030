"""Bandits for tests."""

import jax.numpy as jnp

from dream_jax.bandit import learners as agents
from dream_jax.bandit.problem import Bandit, Sizes

DEFAULT = agents.Options()


def family(actions, horizon=1, arms=None):
    arms = arms or actions
    return Sizes(actions, horizon, arms), Bandit(jnp.int32(actions), jnp.int32(arms))
