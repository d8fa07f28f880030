"""Policies: a step at a time equals the whole sequence, and what reaches which output."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dream_jax.networks.policies import Dueling, ExplorationPolicy
from dream_jax.networks.policies import ExploitationPolicy as Exploitation
from tests.networks.sequences import (
    INSTRUCTION_SIZES,
    SIZES,
    A,
    T,
    exploration_inputs,
    make,
    rows_that_differ,
    sequence,
    small,
    unrolled,
)
from tests.probes import quick_jit


@pytest.mark.parametrize("kind", ["lstm", "mingru"])
def test_exploration_policy_step_by_step_equals_the_sequence(kind):
    net = ExplorationPolicy(small(exploration_memory=kind), SIZES, A, sees_rewards=True)
    inputs = exploration_inputs()
    apply, params = make(net, *inputs)
    q = apply(params, *inputs)
    assert q.shape == (T + 1, A)
    np.testing.assert_allclose(unrolled(net, params, inputs), q, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "embedding"), [("lstm", "mlp"), ("mingru", "sum"), ("none", "sum")]
)
def test_exploitation_policy_step_by_step_equals_the_sequence(kind, embedding):
    config = small(exploitation_memory=kind, embedding=embedding)
    net = Exploitation(config, SIZES, INSTRUCTION_SIZES, A)
    observation, time = sequence()[0], jnp.arange(T + 1) / T
    instruction, z = jnp.array([3, 1]), jnp.array([0.3, -1.0, 2.0])
    apply, params = make(net, observation, instruction, z, time)
    q = apply(params, observation, instruction, z, time)
    assert q.shape == (T + 1, A)
    stepped = unrolled(net, params, (observation, time), fixed=(instruction, z))
    np.testing.assert_allclose(stepped, q, atol=1e-5)


@pytest.mark.parametrize("kind", ["lstm", "mingru"])
def test_exploration_policy_reads_all_that_came_before(kind):
    net = ExplorationPolicy(small(exploration_memory=kind), SIZES, A, sees_rewards=True)
    inputs = exploration_inputs()
    apply, params = make(net, *inputs)
    q = apply(params, *inputs)
    observation, action, reward, time = inputs
    others = {
        "observation": (observation.at[2, 1].set((observation[2, 1] + 1) % SIZES[1]), *inputs[1:]),
        "action": (observation, action.at[2].set((action[2] + 1) % A), reward, time),
        "reward": (observation, action, reward.at[2].set(2.0), time),
        "time": (observation, action, reward, time.at[2].add(0.3)),
    }
    for name, changed in others.items():
        assert rows_that_differ(q, apply(params, *changed)) == list(range(2, T + 1)), name


@pytest.mark.parametrize("embedding", ["sum", "mlp"])
def test_the_exploration_policy_tells_negative_rewards_apart(embedding):
    net = ExplorationPolicy(small(embedding=embedding), SIZES, A, sees_rewards=True)
    observation, action, reward, time = exploration_inputs()
    apply, params = make(net, observation, action, reward, time)
    q = [apply(params, observation, action, reward.at[2].set(r), time) for r in (-0.1, -1.0)]
    assert rows_that_differ(*q) == list(range(2, T + 1))


def test_hidden_rewards_and_time_are_not_read():
    net = ExplorationPolicy(small(time_input=False), SIZES, A, sees_rewards=False)
    inputs = exploration_inputs()
    apply, params = make(net, *inputs)
    blind = apply(params, *inputs[:2], jnp.full(T + 1, jnp.nan), jnp.full(T + 1, jnp.nan))
    np.testing.assert_array_equal(blind, apply(params, *inputs))


def test_without_memory_a_value_depends_on_its_own_state_only():
    net = Exploitation(small(exploitation_memory="none"), SIZES, INSTRUCTION_SIZES, A)
    observation, time = sequence()[0], jnp.arange(T + 1) / T
    instruction, z = jnp.array([3, 1]), jnp.ones(3)
    apply, params = make(net, observation, instruction, z, time)
    q = apply(params, observation, instruction, z, time)
    changed = observation.at[2, 0].set((observation[2, 0] + 1) % SIZES[0])
    assert rows_that_differ(q, apply(params, changed, instruction, z, time)) == [2]


@pytest.mark.parametrize("film", [False, True])
def test_exploitation_policy_is_conditioned_on_instruction_z_and_time(film):
    net = Exploitation(small(film=film), SIZES, INSTRUCTION_SIZES, A)
    observation, time = sequence()[0], jnp.arange(T + 1) / T
    instruction, z = jnp.array([3, 1]), jnp.array([0.3, -1.0, 2.0])
    apply, params = make(net, observation, instruction, z, time)
    q = apply(params, observation, instruction, z, time)
    everywhere = list(range(T + 1))
    for i, other in enumerate((jnp.array([2, 1]), jnp.array([3, 0]))):
        assert rows_that_differ(q, apply(params, observation, other, z, time)) == everywhere, i
    for k in range(3):
        other = apply(params, observation, instruction, z.at[k].add(1.0), time)
        assert rows_that_differ(q, other) == everywhere, k
    assert rows_that_differ(q, apply(params, observation, instruction, z, time + 0.1)) == (
        everywhere
    )


def test_an_empty_instruction_is_legal():
    net = Exploitation(small(), SIZES, (), A)
    observation, z, time = sequence()[0], jnp.ones(3), jnp.arange(T + 1) / T
    nothing = jnp.zeros(0, jnp.int32)
    _, params = make(net, observation, nothing, z, time)

    @quick_jit
    @jax.value_and_grad
    def total(params):
        return jnp.sum(jnp.square(net.apply(params, observation, nothing, z, time)))

    value, gradient = total(params)
    assert np.isfinite(value) and value > 0
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(gradient))


def test_advantages_are_centred_per_state():
    net = Dueling(A)
    h = 3.0 * jax.random.normal(jax.random.key(0), (5, T, 8))
    apply, params = make(net, h)
    q = apply(params, h)
    value = params["params"]["Dense_0"]
    assert value["kernel"].shape == (8, 1)
    mean = (h @ value["kernel"] + value["bias"])[..., 0]
    np.testing.assert_allclose(q.mean(-1), mean, atol=1e-5)  # advantages add nothing on average
    assert np.ptp(np.asarray(mean)) > 1.0


def test_a_value_does_not_depend_on_other_states_of_the_batch():
    net = Dueling(A)
    h = jax.random.normal(jax.random.key(2), (5, T, 8))
    apply, params = make(net, h)
    for index in ((0, 0), (3, 4)):
        np.testing.assert_allclose(apply(params, h)[index], apply(params, h[index]), atol=1e-5)
