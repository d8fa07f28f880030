"""Exploration noise: random actions and their schedules."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dream_jax.agents import exploration_noise
from dream_jax.config import ActingConfig
from tests.probes import quick_jit


@pytest.mark.parametrize(
    ("epsilon", "excluded", "best", "expected"),
    [
        (0.0, (), 1, [0.0, 1.0, 0.0, 0.0]),
        (1.0, (), 1, [0.25, 0.25, 0.25, 0.25]),
        (0.4, (), 1, [0.1, 0.7, 0.1, 0.1]),  # 0.6 + 0.4 / 4
        (0.3, (3,), 1, [0.1, 0.8, 0.1, 0.0]),  # 0.7 + 0.3 / 3
        (0.3, (0, 3), 3, [0.0, 0.15, 0.15, 0.7]),  # excluded at random, still chosen greedily
    ],
)
def test_epsilon_greedy_probabilities(epsilon, excluded, best, expected):
    draws = 20_000
    allowed = exploration_noise.random_action_set(ActingConfig(excluded_random_actions=excluded), 4)
    assert allowed.tolist() == [a for a in range(4) if a not in excluded]
    q = jnp.zeros(4).at[best].set(1.0)
    keys = jax.random.split(jax.random.key(7), draws)
    drawn = quick_jit(jax.vmap(lambda k: exploration_noise.epsilon_greedy(k, q, epsilon, allowed)))(
        keys
    )
    frequency = np.bincount(drawn, minlength=4) / draws
    p = np.array(expected)
    assert (np.abs(frequency - p) <= 4 * np.sqrt(p * (1 - p) / draws)).all(), frequency


@pytest.mark.parametrize(
    ("counts", "excluded", "expected"),
    [
        ((), (), [0, 1, 2, 3]),
        ((1, 1, 4, 0), (), [0, 1, 2, 2, 2, 2]),
        ((1, 1, 2, 5), (0, 3), [1, 2, 2]),
    ],
)
def test_random_actions_are_drawn_as_often_as_they_count(counts, excluded, expected):
    acting = ActingConfig(random_action_counts=counts, excluded_random_actions=excluded)
    assert exploration_noise.random_action_set(acting, 4).tolist() == expected


def test_a_ladder_gives_every_actor_its_own_epsilon():
    acting = ActingConfig(epsilon="ladder", epsilon_min=0.1, epsilon_max=0.9)
    for steps in (0, 10**6):
        rates = exploration_noise.epsilons(acting, jnp.int32(steps), 5)
        np.testing.assert_allclose(rates, [0.1, 0.3, 0.5, 0.7, 0.9], rtol=1e-6)


@pytest.mark.parametrize(
    ("steps", "expected"), [(0, 1.0), (250, 0.775), (500, 0.55), (1_000, 0.1), (9_999, 0.1)]
)
def test_a_linear_schedule_is_a_function_of_the_step_count(steps, expected):
    acting = ActingConfig(epsilon="linear", epsilon_min=0.1, epsilon_decay_steps=1_000)
    rates = exploration_noise.epsilons(acting, jnp.int32(steps), 3)
    np.testing.assert_allclose(rates, np.full(3, expected), rtol=1e-6)
