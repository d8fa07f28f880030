"""The bandit of Liu et al. 2021, Section 5.2, where one sequence of actions reveals the problem."""

from typing import NamedTuple

import jax.numpy as jnp

from dream_jax.types import Array


class Sizes(NamedTuple):
    """Sizes of the tables. Bandits with fewer actions or arms share the same compiled program."""

    max_actions: int
    horizon: int = 1  # H, steps of exploration
    max_arms: int | None = None  # arms of exploitation; None: as many as actions

    @property
    def arms(self) -> int:
        """Arms of exploitation."""
        return self.max_arms or self.max_actions

    @property
    def prefixes(self) -> int:
        """Number of histories in which an exploration action is chosen."""
        return sum(self.max_actions**depth for depth in range(self.horizon))

    @property
    def trajectories(self) -> int:
        """Number of whole explorations: every sequence of actions, and each problem revealed."""
        return self.max_actions**self.horizon + self.max_actions


class Bandit(NamedTuple):
    """Explore for H steps, then pull one arm.

    Problem: mu, uniform over 0 .. A - 1.
    Exploration: H of the A actions, with reward 0. If every action is `star`, the last one, mu is
      revealed at the end. Otherwise only the actions themselves are seen.
    Exploitation: one pull. Arm mu pays 1, the others 0. There are A arms, as in the paper's
      example, or more: A^H arms stand for exploitation by a sequence of H actions.
    Optimal expected return: 1. Without exploration: 1 / A.

    Fields may differ between seeds of one compiled program.
    """

    num_actions: Array  # [] int32, A
    num_arms: Array  # [] int32, at least A

    @property
    def star(self) -> Array:
        """[] int32, the action that reveals the problem if it is taken at every step."""
        return self.num_actions - 1


def prefix_row(sizes: Sizes, actions: tuple[Array, ...]) -> Array:
    """[] int32: row of the tables for a history of fewer than H actions, each []."""
    first = sum(sizes.max_actions**depth for depth in range(len(actions)))
    return first + _code(sizes, actions)


def trajectory_row(
    sizes: Sizes, bandit: Bandit, problem: Array, actions: tuple[Array, ...]
) -> Array:
    """[] int32: row of the tables for tau, what H actions [] have revealed about a problem []."""
    revealed = jnp.array(True)
    for action in actions:
        revealed &= action == bandit.star
    hidden = _code(sizes, actions)
    return jnp.where(revealed, sizes.max_actions**sizes.horizon + problem, hidden)


def pays(problem: Array, arm: Array) -> Array:
    """[] float32: reward of pulling an arm []."""
    return (arm == problem).astype(jnp.float32)


def _code(sizes: Sizes, actions: tuple[Array, ...]) -> Array:
    """[] int32: the actions as digits of a number, the first one leading."""
    code = jnp.zeros((), jnp.int32)
    for action in actions:
        code = code * sizes.max_actions + action
    return code
