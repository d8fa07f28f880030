"""The core that every recurrent Q-learner shares: acting at random, targets, clipping."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dream_jax.agents import recurrent_q
from dream_jax.config import ActingConfig, Config, OptimizerConfig, TdConfig
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
    allowed = recurrent_q.random_action_set(ActingConfig(excluded_random_actions=excluded), 4)
    assert allowed.tolist() == [a for a in range(4) if a not in excluded]
    q = jnp.zeros(4).at[best].set(1.0)
    keys = jax.random.split(jax.random.key(7), draws)
    drawn = quick_jit(jax.vmap(lambda k: recurrent_q.epsilon_greedy(k, q, epsilon, allowed)))(keys)
    frequency = np.bincount(drawn, minlength=4) / draws
    p = np.array(expected)
    assert (np.abs(frequency - p) <= 4 * np.sqrt(p * (1 - p) / draws)).all(), frequency


@pytest.mark.parametrize(
    ("counts", "excluded", "urn"),
    [
        ((), (), [0, 1, 2, 3]),
        ((1, 1, 4, 0), (), [0, 1, 2, 2, 2, 2]),
        ((1, 1, 2, 5), (0, 3), [1, 2, 2]),
    ],
)
def test_random_actions_are_drawn_as_often_as_they_count(counts, excluded, urn):
    acting = ActingConfig(random_action_counts=counts, excluded_random_actions=excluded)
    assert recurrent_q.random_action_set(acting, 4).tolist() == urn


def test_a_ladder_gives_every_actor_its_own_epsilon():
    acting = ActingConfig(epsilon="ladder", epsilon_min=0.1, epsilon_max=0.9)
    for steps in (0, 10**6):
        rates = recurrent_q.epsilons(acting, jnp.int32(steps), 5)
        np.testing.assert_allclose(rates, [0.1, 0.3, 0.5, 0.7, 0.9], rtol=1e-6)


@pytest.mark.parametrize(
    ("steps", "expected"), [(0, 1.0), (250, 0.775), (500, 0.55), (1_000, 0.1), (9_999, 0.1)]
)
def test_a_linear_schedule_is_a_function_of_the_step_count(steps, expected):
    acting = ActingConfig(epsilon="linear", epsilon_min=0.1, epsilon_decay_steps=1_000)
    rates = recurrent_q.epsilons(acting, jnp.int32(steps), 3)
    np.testing.assert_allclose(rates, np.full(3, expected), rtol=1e-6)


def test_discounts_are_zero_at_the_end():
    terminated = jnp.array([False, True, False])
    truncated = jnp.array([False, False, True])
    config = Config(td=TdConfig(discount=0.5))
    assert recurrent_q.discounts(config, terminated, truncated).tolist() == [0.5, 0.0, 0.0]
    config = Config(td=TdConfig(discount=0.5, bootstrap_on_truncation=True))
    assert recurrent_q.discounts(config, terminated, truncated).tolist() == [0.5, 0.0, 0.5]


def test_targets_start_as_a_copy_and_are_copied_every_period():
    optimizer = recurrent_q.make_optimizer(OptimizerConfig(learning_rate=0.1), 10)
    learner = recurrent_q.init_learner({"w": jnp.zeros(2)}, optimizer)
    assert learner.target_params["w"].tolist() == [0.0, 0.0]
    update = quick_jit(
        lambda learner, enabled: recurrent_q.update_learner(
            learner, {"w": jnp.array([1.0, -2.0])}, optimizer, 3, enabled
        )
    )
    for updates in range(1, 7):
        learner = update(learner, True)
        # Adam with a constant gradient moves by the learning rate against its sign.
        moved = 0.1 * updates * np.array([-1.0, 1.0])
        np.testing.assert_allclose(learner.params["w"], moved, rtol=1e-3)
        copied = 0.1 * (updates // 3 * 3) * np.array([-1.0, 1.0])
        np.testing.assert_allclose(learner.target_params["w"], copied, rtol=1e-3)
        assert learner.updates == updates
        unchanged = update(learner, False)
        for x, y in zip(jax.tree.leaves(unchanged), jax.tree.leaves(learner), strict=True):
            np.testing.assert_array_equal(x, y)


def test_gradients_are_clipped_by_their_global_norm():
    def is_adam(x):
        return isinstance(x, optax.ScaleByAdamState)

    def moments(gradient):
        """Adam's first moment after one update, which is linear in what Adam was given."""
        optimizer = recurrent_q.make_optimizer(OptimizerConfig(max_gradient_norm=1.0), 10)
        params = {"a": jnp.zeros(1), "b": jnp.zeros(1)}
        state = optimizer.update(gradient, optimizer.init(params), params)[1]
        (adam,) = (x for x in jax.tree.leaves(state, is_leaf=is_adam) if is_adam(x))
        return adam.mu / 0.1  # 1 - b1

    long = {"a": jnp.array([3.0]), "b": jnp.array([4.0])}
    np.testing.assert_allclose(moments(long), [0.6, 0.8], rtol=1e-5)  # of length 5
    short = {"a": jnp.array([0.3]), "b": jnp.array([0.4])}
    np.testing.assert_allclose(moments(short), [0.3, 0.4], rtol=1e-5)
