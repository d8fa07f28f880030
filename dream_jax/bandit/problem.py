"""The bandit of Liu et al. 2021, Section 5.2: one sequence of actions reveals the problem."""

from typing import NamedTuple

import jax.numpy as jnp

from dream_jax.types import Array


class Sizes(NamedTuple):
    """What shapes depend on; action counts below the most share one compiled program."""

    max_actions: int
    horizon: int = 1  # H, steps of exploration
    max_arms: int | None = None  # arms of exploitation; None: as many as actions

    @property
    def arms(self) -> int:
        return self.max_arms or self.max_actions

    @property
    def prefixes(self) -> int:
        """Histories in which an exploration action is chosen."""
        return sum(self.max_actions**depth for depth in range(self.horizon))

    @property
    def trajectories(self) -> int:
        """Whole explorations: every sequence of actions, and one for each problem revealed."""
        return self.max_actions**self.horizon + self.max_actions


class Bandit(NamedTuple):
    """Explore for H steps, then pull one arm.

    Problem: mu, uniform over 0 .. A - 1.
    Exploration: H actions out of A. Only `star`, the last action, taken at every step, reveals mu
      at the end; anything else shows nothing but the actions themselves. It pays nothing.
    Exploitation: one pull; arm mu pays 1, the others 0. There are A arms as in the paper's example,
      or more: A^H stand for exploitation by a sequence of H actions.
    Optimal expected return: 1. Without having explored: 1 / A.

    Every field may differ from seed to seed in one compiled program.
    """

    num_actions: Array  # [] int32, A
    num_arms: Array  # [] int32, at least A

    @property
    def star(self) -> Array:
        return self.num_actions - 1


def prefix_row(sizes: Sizes, actions: tuple[Array, ...]) -> Array:
    """[] int32 row of the tables for the history of these actions, fewer than H."""
    first = sum(sizes.max_actions**depth for depth in range(len(actions)))
    return first + _code(sizes, actions)


def trajectory_row(
    sizes: Sizes, bandit: Bandit, problem: Array, actions: tuple[Array, ...]
) -> Array:
    """[] int32 row of the tables for what H actions have shown of a problem."""
    revealed = jnp.array(True)
    for action in actions:
        revealed &= action == bandit.star
    hidden = _code(sizes, actions)
    return jnp.where(revealed, sizes.max_actions**sizes.horizon + problem, hidden)


def pays(problem: Array, arm: Array) -> Array:
    """[] float32 reward of pulling an arm."""
    return (arm == problem).astype(jnp.float32)


def _code(sizes: Sizes, actions: tuple[Array, ...]) -> Array:
    code = jnp.zeros((), jnp.int32)
    for action in actions:
        code = code * sizes.max_actions + action
    return code
