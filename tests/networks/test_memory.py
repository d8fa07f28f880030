"""Memories: a step at a time equals the whole sequence, and follows the equations."""

import jax
import numpy as np
import pytest

from dream_jax.networks.memory import make_memory
from tests.networks.sequences import MEMORIES, T, make, rows_that_differ, unrolled
from tests.probes import quick_jit


@pytest.mark.parametrize("kind", MEMORIES)
def test_a_memory_step_by_step_equals_the_sequence(kind):
    memory = make_memory(kind, 5)
    xs = jax.random.normal(jax.random.key(0), (T, 3))
    apply, params = make(memory, xs)
    hs = apply(params, xs)
    assert hs.shape == (T, 5)
    np.testing.assert_allclose(unrolled(memory, params, (xs,)), hs, atol=1e-6)


@pytest.mark.parametrize("kind", MEMORIES)
def test_a_memory_knows_the_past_and_not_the_future(kind):
    memory = make_memory(kind, 5)
    xs = jax.random.normal(jax.random.key(2), (T, 3))
    apply, params = make(memory, xs)
    changed = rows_that_differ(apply(params, xs), apply(params, xs.at[2].add(1.0)))
    assert changed == ([2] if kind == "none" else list(range(2, T)))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_lstm_follows_its_equations():
    lstm = make_memory("lstm", 4)
    xs = jax.random.normal(jax.random.key(4), (T, 3))
    apply, params = make(lstm, xs)
    weights = jax.tree.map(lambda x: np.asarray(x, np.float64), params["params"])
    h = c = np.zeros(4)
    expected = []
    for x in np.asarray(xs, np.float64):
        i, f, g, o = np.split(
            x @ weights["inputs"]["kernel"] + weights["inputs"]["bias"] + h @ weights["recurrent"],
            4,
        )
        c = sigmoid(f + 1) * c + sigmoid(i) * np.tanh(g)  # the forget gate biased to 1
        h = sigmoid(o) * np.tanh(c)
        expected.append(h)
    np.testing.assert_allclose(apply(params, xs), expected, atol=1e-5)


def test_min_gru_is_a_moving_average_with_a_gate_from_the_input():
    gru = make_memory("mingru", 4)
    xs = jax.random.normal(jax.random.key(6), (T, 3))
    apply, params = make(gru, xs)
    weights = jax.tree.map(lambda x: np.asarray(x, np.float64), params["params"]["inputs"])
    h, expected = np.zeros(4), []
    for x in np.asarray(xs, np.float64):
        gate, candidate = np.split(x @ weights["kernel"] + weights["bias"], 2)
        u = sigmoid(gate - 1)  # biased towards keeping
        h = (1 - u) * h + u * np.tanh(candidate)
        expected.append(h)
    np.testing.assert_allclose(apply(params, xs), expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["lstm", "mingru"])
def test_a_masked_step_does_not_change_the_memory(kind):
    net = make_memory(kind, 4)
    xs = jax.random.normal(jax.random.key(0), (6, 3))
    params = quick_jit(net.init)(jax.random.key(1), xs)
    apply = quick_jit(net.apply)
    mask = np.array([1, 0, 0, 1, 1, 0], bool)
    found = np.asarray(apply(params, xs, mask))
    dense = apply(params, xs[mask])
    np.testing.assert_allclose(found[mask], dense, atol=1e-6)
    np.testing.assert_array_equal(found[1:3], found[[0, 0]])
    np.testing.assert_array_equal(found[5], found[4])
    whole = apply(params, xs, np.ones(6, bool))
    np.testing.assert_allclose(whole, apply(params, xs), rtol=1e-5, atol=1e-7)
