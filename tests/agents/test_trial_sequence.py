"""A trial as one sequence: TD errors across its boundaries, and what is seen at each slot."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dream_jax.agents import trial_sequence as streams
from dream_jax.agents.e_rl2 import ERl2, ERl2Params, RecurrentPolicy
from dream_jax.config import Config, EndToEndConfig, TdConfig, TrialConfig
from dream_jax.types import Episode, Trial
from tests import probes
from tests.agents.dream_case import SMALL, numpy
from tests.probes import quick_jit


def episode(steps, length, reward, terminated=True):
    """Observations count the slots, actions are all 1; it ends by itself or by time-out."""
    index = np.arange(length)
    last = index == steps - 1
    return Episode(
        np.minimum(np.arange(length + 1), steps)[:, None].astype(np.uint8),
        np.ones(length, np.uint8),
        np.where(index < steps, reward, 0.0).astype(np.float32),
        last & terminated,
        last & (not terminated),
        index < steps,
    )


def two_steps(exploited, terminated=True):
    """1 of 2 steps of exploration (which pays 7), then `exploited` steps of 2 in each episode."""
    episodes = [episode(n, 2, 1.0, terminated) for n in exploited]
    return Trial(
        np.int32(0),
        episode(1, 2, 7.0),
        np.array([[k % 2] for k in range(len(exploited))], np.uint8),
        jax.tree.map(lambda *x: np.stack(x), *episodes),
        np.True_,
    )


class Table:
    """A "network" whose parameters are its Q-values at every slot."""

    def apply(self, q, *inputs):
        return q


def table_errors(trial, q, q_target, exploration_return=False, **td):
    """TD errors of the actions that were taken, with these values [S, 2]."""
    count = trial.instruction.shape[0]
    config = Config(
        networks=SMALL,
        trial=TrialConfig(1, count),
        td=TdConfig(discount=0.5, **td),
        agent="e_rl2",
        end_to_end=EndToEndConfig(exploration_return=exploration_return),
    )
    agent = ERl2(config, probes.Delayed())  # horizon 2
    agent._policy = Table()

    @quick_jit
    def td_errors(trial, q, q_target):
        params, target = (ERl2Params(RecurrentPolicy(None, x)) for x in (q, q_target))
        zero = jnp.zeros(agent.context_size)
        return agent.td_errors(params, target, agent.sequence(trial), zero, zero)

    errors, mask = td_errors(trial, np.array(q, np.float32), np.array(q_target, np.float32))
    assert mask.tolist() == [True] * int(mask.sum()) + [False] * int((~mask).sum())
    return np.asarray(errors)[np.asarray(mask)]


#   slot   0        1        2        3        4        5
#          explore  done     padding  exploit  exploit  done
Q = [[0, 1], [9, 9], [9, 9], [2, 4], [6, 3], [8, 0]]
Q_TARGET = [[50, 50], [99, 99], [99, 99], [30, 10], [20, 60], [40, 90]]


def test_the_value_of_the_last_exploration_step_is_that_of_the_first_exploitation_state():
    errors = table_errors(two_steps([2]), Q, Q_TARGET, trace_lambda=0.0)
    expected = [
        # Exploration pays nothing, whatever the environment says; next is slot 3, where action 1
        # is best (4 > 2) and the target network values it at 10: 0 + 0.5 * 10 - 1.
        0 + 0.5 * 10 - 1,
        1 + 0.5 * 20 - 4,  # at slot 4 action 0 is best (6 > 3), worth 20
        1 + 0.0 - 3,  # the trial is over
    ]
    np.testing.assert_allclose(errors, expected)


def test_the_return_of_exploration_counts_in_rl2():
    errors = table_errors(two_steps([2]), Q, Q_TARGET, exploration_return=True, trace_lambda=0.0)
    np.testing.assert_allclose(errors[0], 7 + 0.5 * 10 - 1)


def test_returns_flow_back_across_the_boundary():
    # Action 1 is greedy at slot 3 (the trace goes on) and is not at slot 4 (it is cut).
    errors = table_errors(two_steps([2]), Q, Q_TARGET, trace_lambda=1.0)
    exploited = 1 + 0.5 * 20
    np.testing.assert_allclose(errors, [0.5 * exploited - 1, exploited - 4, 1 - 3])


def test_an_exploitation_episode_is_followed_by_the_next_one():
    # Slots: 0 explore, 1 done, 2 padding; 3 exploit, 4 done, 5 padding; 6, 7 exploit, 8 done.
    q = [[0, 1], [9, 9], [9, 9], [2, 4], [9, 9], [9, 9], [1, 0], [0, 5], [9, 9]]
    slow = [[0, 0], [99, 99], [99, 99], [30, 10], [99, 99], [99, 99], [70, 0], [0, 8], [99, 99]]
    errors = table_errors(two_steps([1, 2]), q, slow, trace_lambda=0.0)
    expected = [0.5 * 10 - 1, 1 + 0.5 * 70 - 4, 1 + 0.5 * 8 - 0, 1 - 5]
    np.testing.assert_allclose(errors, expected)


@pytest.mark.parametrize("bootstrap", [False, True])
def test_after_a_time_out_at_the_end_of_the_trial(bootstrap):
    trial = two_steps([2], terminated=False)
    errors = table_errors(trial, Q, Q_TARGET, trace_lambda=0.0, bootstrap_on_truncation=bootstrap)
    after = 0.5 * 40 if bootstrap else 0.0  # the last observation: action 0 is best, worth 40
    np.testing.assert_allclose(errors[-1], 1 + after - 3)


@pytest.mark.parametrize("shown", [False, True])
def test_what_the_agent_sees_at_each_slot(shown):
    config = Config(trial=TrialConfig(1, 2, rewards_in_exploration=shown))
    of_trial = quick_jit(functools.partial(streams.of_trial, config, probes.Delayed()))
    stream = numpy(of_trial(two_steps([1, 2])))
    slots = stream.slots
    assert stream.mask.tolist() == [1, 1, 0, 1, 1, 0, 1, 1, 1]
    assert stream.acted.tolist() == [1, 0, 0, 1, 0, 0, 1, 1, 0]
    assert slots.done.tolist() == [0, 1, 0, 0, 1, 0, 0, 0, 1]
    assert slots.observation[:, 0].tolist() == [0, 1, 1, 0, 1, 1, 0, 1, 2]
    # Hidden is one more than the largest of 2 values; then the instructions 0 and 1.
    assert slots.instruction.tolist() == [[0, 2]] * 3 + [[1, 0]] * 3 + [[1, 1]] * 3
    none = probes.Delayed.num_actions
    np.testing.assert_array_equal(slots.action[stream.mask], [none, 1, none, 1, none, 1, 1])
    seven = 7.0 if shown else 0.0
    np.testing.assert_array_equal(slots.reward[stream.mask], [0, seven, 0, 1, 0, 1, 1])
    assert slots.time.tolist() == [0.0, 0.5, 1.0] * 3


def test_the_instruction_of_exploration_is_seen_where_it_is_kept():
    trial = two_steps([1])
    kept = trial.exploration._replace(instruction=np.array([[1], [1]], np.uint8))
    trial = trial._replace(exploration=kept)
    of_trial = quick_jit(functools.partial(streams.of_trial, Config(), probes.Delayed()))
    slots = numpy(of_trial(trial)).slots
    assert slots.instruction.tolist() == [[0, 1]] * 3 + [[1, 0]] * 3
