"""The two lines that a meta-learner lies between, where no oracle reaches: both are trained.

`told` exploits with z = f(mu), the true problem's encoding. `never_explores` exploits with z = 0.
All the rest is DREAM's, so that budgets and networks are alike.
"""

from typing import ClassVar

import jax
import jax.numpy as jnp

from dream_jax.agents.dream import Dream
from dream_jax.agents.dream_networks import DreamParams
from dream_jax.data import rollout
from dream_jax.types import Array, Key, MetaTest, Trial


class Told(Dream):
    """DREAM that is told the problem, also at meta-test."""

    name: ClassVar[str] = "told"

    def collect(
        self,
        params: DreamParams,
        key: Key,
        exploration_epsilon: Array,
        exploitation_epsilon: Array,
        acts_on_exploration: Array,
    ) -> Trial:
        """As DREAM's; every trial acts on z = f(mu) + noise."""
        told = jnp.zeros_like(acts_on_exploration)
        return super().collect(params, key, exploration_epsilon, exploitation_epsilon, told)

    def meta_test(
        self, params: DreamParams, key: Key, problem: Array, instructions: Array
    ) -> MetaTest:
        """One greedy trial whose exploitation is told the problem."""
        explore_key, exploit_key = jax.random.split(key)
        explored = self.explore(params, explore_key, problem, jnp.float32(self.test_epsilon))
        z = self.encode(params, problem)
        exploited = self.exploit_all(params, exploit_key, problem, instructions, z)
        return rollout.as_meta_test(explored, exploited, z)


class NeverExplores(Told):
    """The best that one exploitation episode can do without knowing the problem."""

    name: ClassVar[str] = "never_explores"

    def encode(self, params: DreamParams, problem: Array) -> Array:
        """Nothing is known of the problem: zeros [Z]."""
        return jnp.zeros_like(super().encode(params, problem))
