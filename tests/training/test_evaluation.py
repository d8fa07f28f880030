"""Which trials are evaluated."""

import collections
import math

import numpy as np
import pytest

from dream_jax import envs
from dream_jax.training import evaluation as evaluate
from tests.trees import differing


def pairs(env, trials, column=0):
    """How often each pair of a problem and an instruction comes."""
    instructions = map(tuple, trials.instruction[:, column].tolist())
    return collections.Counter(zip(trials.problem.tolist(), instructions, strict=True))


def all_pairs(env, split):
    """The same of the whole split, instructions counted by their multiplicity."""
    return collections.Counter(
        (int(problem), tuple(row))
        for problem in env.problem_ids(split)
        for row in env.instructions(int(problem)).tolist()
    )


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("benchmark", envs.BENCHMARKS)
@pytest.mark.parametrize("episodes", [1, 3])
def test_final_trials_cover_a_split_evenly(benchmark, split, episodes):
    env = envs.make(benchmark)
    trials = evaluate.trial_set(env, split, 1000, episodes, cover=True)
    assert set(trials.problem) == set(env.problem_ids(split))
    expected = all_pairs(env, split)
    count = len(trials.problem)
    assert count >= 1000
    assert trials.instruction.shape == (count, episodes, len(env.instruction_sizes))
    for column in range(episodes):
        found = pairs(env, trials, column)
        times = {found[pair] / expected[pair] for pair in expected}
        assert len(times) == 1
        assert len(found) == len(expected)
    # And no more of them than it takes.
    assert count - sum(expected.values()) < 1000 or count == sum(expected.values())


@pytest.mark.parametrize("redraw", [True, False])
def test_instructions_of_a_trial_are_redrawn_or_not(redraw):
    trials = evaluate.trial_set(envs.make("bus"), "test", 96, 3, cover=True, redraw=redraw)
    distinct = [len(set(map(tuple, rows))) for rows in trials.instruction.tolist()]
    assert set(distinct) == {3 if redraw else 1}


def test_held_out_distracting_buses_are_all_covered():
    env = envs.make("distracting_bus")
    for count in (1, 250, 1000):
        trials = evaluate.trial_set(env, "test", count, 1, cover=True)
        assert len(set(trials.problem.tolist())) == 523
        assert len(trials.problem) == 523 * len(env.instructions(0))


def test_trials_of_the_curves_are_a_fixed_subset():
    env = envs.make("distracting_bus")
    few = evaluate.trial_set(env, "test", 250, 1, cover=False)
    again = evaluate.trial_set(env, "test", 250, 1, cover=False)
    assert differing(few, again) == []
    found, expected = pairs(env, few), all_pairs(env, "test")
    assert len(few.problem) == 250
    assert all(found[pair] <= expected[pair] for pair in found)
    assert len(set(few.problem.tolist())) > 150  # spread over the problems
    # Where there are fewer pairs than trials, they are all used, equally often.
    env = envs.make("bus")
    some = evaluate.trial_set(env, "test", 250, 1, cover=False)
    assert set(pairs(env, some).values()) == {math.ceil(250 / 96)}


def test_the_trials_of_curves_are_a_fixed_choice_of_pairs():
    """Curves of different versions are comparable: the pairs are those of one permutation."""
    env = envs.make("map")
    trials = evaluate.trial_set(env, "train", 8, 1, cover=False)
    chosen = np.sort(np.random.default_rng(0).permutation(24 * 4)[:8])
    np.testing.assert_array_equal(trials.problem, chosen // 4)
    rows = env.instructions(0)[chosen % 4]
    np.testing.assert_array_equal(trials.instruction[:, 0], rows)
