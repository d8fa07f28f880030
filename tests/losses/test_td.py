"""Double Q-learning with Watkins's traces against rlax and against explicit n-step returns."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import rlax

from dream_jax.losses.td import double_q_lambda

T, A = 9, 4


def random_sequence(seed, length=T, ends="terminated", greedy=0.6):
    """Arguments of `double_q_lambda` but the trace, as numpy; padding holds random numbers.

    ends: "terminated" (no bootstrap after the last step) or "truncated" (bootstrap).
    greedy: share of greedy actions, so that traces are cut after some steps and not after others.
    """
    rng = np.random.default_rng(seed)
    q, q_target = rng.normal(size=(2, T + 1, A)).astype(np.float32)
    random_action = rng.integers(0, A, T)
    action = np.where(rng.random(T) < greedy, q[:-1].argmax(-1), random_action).astype(np.int32)
    discount = np.full(T, 0.9, np.float32)
    if ends == "terminated":
        discount[length - 1] = 0.0
    return {
        "q": q,
        "q_target": q_target,
        "action": action,
        "reward": rng.normal(size=T).astype(np.float32),
        "discount": discount,
        "mask": np.arange(T) < length,
    }


def errors(sequence, trace_lambda):
    arrays = {name: jnp.asarray(x) for name, x in sequence.items()}
    return jax.jit(double_q_lambda)(**arrays, trace_lambda=trace_lambda)


def watkins(sequence, trace_lambda):
    """The same by the forward view: a mixture of n-step returns, in float64, step by step."""
    q, q_target, action, reward, discount, mask = (
        np.asarray(x, np.float64) if x.dtype.kind == "f" else x for x in sequence.values()
    )
    length, expected = int(mask.sum()), []
    for t in range(length):
        n_step_returns = []
        total, weight, k = 0.0, 1.0, t
        while True:
            total += weight * reward[k]
            weight *= discount[k]
            k += 1
            best = int(np.argmax(q[k]))
            n_step_returns.append(total + weight * q_target[k, best])
            if k == length or weight == 0.0 or action[k] != best:
                break
        last = len(n_step_returns) - 1
        target = sum(
            (1 - trace_lambda) * trace_lambda**n * n_step_return
            for n, n_step_return in enumerate(n_step_returns[:-1])
        )
        target += trace_lambda**last * n_step_returns[-1]
        expected.append(target - q[t, action[t]])
    return np.array(expected)


@pytest.mark.parametrize("ends", ["terminated", "truncated"])
def test_without_traces_it_is_double_q_learning_step_by_step(ends):
    s = random_sequence(0, length=T, ends=ends)
    expected = jax.vmap(rlax.double_q_learning)(
        s["q"][:-1], s["action"], s["reward"], s["discount"], s["q_target"][1:], s["q"][1:]
    )
    np.testing.assert_allclose(errors(s, 0.0), expected, rtol=1e-6)


@pytest.mark.parametrize("trace_lambda", [0.0, 0.5, 0.8, 1.0])
@pytest.mark.parametrize("ends", ["terminated", "truncated"])
@pytest.mark.parametrize("greedy", [0.0, 0.6, 1.0])
def test_traces_mix_the_n_step_returns_up_to_the_next_action_that_is_not_greedy(
    trace_lambda, ends, greedy
):
    for seed, length in enumerate((1, 2, 5, T, T)):
        s = random_sequence(seed, length, ends, greedy)
        expected = watkins(s, trace_lambda)
        np.testing.assert_allclose(errors(s, trace_lambda)[:length], expected, atol=2e-6)


def test_a_golden_with_one_cut():
    # Greedy by q: s1 action 0, s2 action 1, s3 action 0. Taken: s1 greedy, s2 not greedy.
    s = {
        "q": np.array([[0, 0], [1, 0], [0, 1], [1, 0]], np.float32),
        "q_target": np.array([[9, 9], [10, 7], [7, 20], [40, 7]], np.float32),
        "action": np.array([1, 0, 0], np.int32),
        "reward": np.array([1, 2, 4], np.float32),
        "discount": np.array([0.5, 0.5, 0.5], np.float32),
        "mask": np.ones(3, bool),
    }
    # s2: 4 + 0.5 * 40 = 24, less q = 0.
    # s1: the next action is not greedy, so one step: 2 + 0.5 * 20 = 12, less q = 1.
    # s0: half of 1 + 0.5 * 10 = 6, half of 1 + 0.5 * 12 = 7; less q = 0.
    np.testing.assert_allclose(errors(s, 0.5), [6.5, 11.0, 24.0], rtol=1e-6)


def test_a_time_out_may_bootstrap_and_a_termination_does_not():
    for length in (3, T):
        timed_out = random_sequence(1, length, "truncated")
        terminated = random_sequence(1, length, "terminated")
        last = length - 1
        value = timed_out["q_target"][length, timed_out["q"][length].argmax()]
        base = timed_out["reward"][last] - timed_out["q"][last, timed_out["action"][last]]
        for trace_lambda in (0.0, 0.8):
            last_error = errors(timed_out, trace_lambda)[last]
            np.testing.assert_allclose(last_error, base + 0.9 * value, rtol=1e-5)
            np.testing.assert_allclose(errors(terminated, trace_lambda)[last], base, rtol=1e-5)


@pytest.mark.parametrize("ends", ["terminated", "truncated"])
def test_padding_changes_no_error_of_a_step_that_was_taken(ends):
    length = 5
    s = random_sequence(2, length, ends, greedy=1.0)
    expected = errors(s, 0.8)[:length]
    padded = {name: x.copy() for name, x in s.items()}
    rng = np.random.default_rng(3)
    # The values of the state after the last step stay: a time-out bootstraps from them.
    for name, first in (("q", 1), ("q_target", 1), ("reward", 0), ("discount", 0)):
        tail = padded[name][length + first :]
        tail[...] = 1e6 * rng.normal(size=tail.shape)
    padded["action"][length:] = 0
    assert not np.array_equal(errors(padded, 0.8)[length:], errors(s, 0.8)[length:])
    np.testing.assert_array_equal(errors(padded, 0.8)[:length], expected)


def test_a_termination_in_the_middle_hides_all_that_follows():
    s = random_sequence(4, T, greedy=1.0)
    s["discount"][3] = 0.0
    later = {name: x.copy() for name, x in s.items()}
    later["reward"][4:] += 100.0
    later["q_target"][4:] += 100.0
    np.testing.assert_array_equal(errors(later, 0.8)[:4], errors(s, 0.8)[:4])
    assert (errors(later, 0.8)[4:] != errors(s, 0.8)[4:]).all()


def test_gradients_flow_through_the_values_of_the_actions_taken_only():
    s = {name: jnp.asarray(x) for name, x in random_sequence(5).items()}

    def of(q, q_target, reward):
        arguments = {**s, "q": q, "q_target": q_target, "reward": reward}
        return double_q_lambda(**arguments, trace_lambda=0.8)

    to_q, to_target, to_reward = jax.jacobian(of, argnums=(0, 1, 2))(
        s["q"], s["q_target"], s["reward"]
    )
    expected = np.zeros((T, T + 1, A))
    expected[np.arange(T), np.arange(T), s["action"]] = -1.0  # nothing at s_T, nothing elsewhere
    np.testing.assert_array_equal(to_q, expected)
    np.testing.assert_array_equal(to_target, np.zeros((T, T + 1, A)))
    np.testing.assert_array_equal(to_reward, np.zeros((T, T)))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("q", lambda x: x[:-1]),  # no values of the last state
        ("q_target", lambda x: x[:, :-1]),
        ("action", lambda x: x[:-1]),
        ("action", lambda x: x.astype(np.float32)),
        ("reward", lambda x: x[None]),
        ("reward", lambda x: x.astype(np.int32)),
        ("discount", lambda x: x[0]),
        ("mask", lambda x: x[:-1]),
    ],
)
def test_wrong_shapes_and_types_are_refused(name, change):
    s = random_sequence(6)
    with pytest.raises(AssertionError):
        errors({**s, name: change(s[name])}, 0.5)
