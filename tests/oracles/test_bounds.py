"""Exact bounds: reference returns, closed forms, and what cannot be treated."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dream_jax import envs
from dream_jax.envs.grids.bus import Bus
from dream_jax.oracles import bounds as oracles
from tests.oracles.doors import Doors
from tests.tiers import quick, slow

make = functools.cache(envs.make)  # one instance of each, so the tests share its tables
REFERENCE = {  # (optimal, no exploration)
    ("bus", "train"): (0.8, 0.3),
    ("bus", "test"): (0.8, 0.3),
    ("map", "train"): (0.8, 0.3),
    ("map", "test"): (0.8, 0.3),
    ("distracting_bus", "train"): (0.8, 0.3),
    ("distracting_bus", "test"): (0.8, 0.3),
    ("cooking", "train"): (0.3989, 0.0741),
    ("cooking", "test"): (0.4667, 0.197),
}


@pytest.mark.parametrize(
    ("name", "split"), [one if one[0] in ("bus", "cooking") else slow(one) for one in REFERENCE]
)
def test_reference_returns(name, split):
    assert oracles.bounds(make(name), split)[:2] == pytest.approx(REFERENCE[name, split], abs=1e-3)


def test_cooking_means_over_the_family():
    both = [oracles.optimal(make("cooking"), split) for split in ("train", "test")]
    assert np.concatenate(both).mean() == pytest.approx(0.4, abs=1e-6)


def test_cooking_optimum_is_the_closed_form():
    # Fetching from the middle fridge takes one step each way, from the others two; the reward is
    # 4 * 0.25 - 0.1 for each other step, so 1 - 0.2 (d_i + d_j) with the nearest duplicate.
    for split in ("train", "test"):
        ids = make("cooking").problem_ids(split)
        expected = []
        for mu in ids:
            contents = [int(mu) // 4**k % 4 for k in range(3)]
            distance = [min((2, 1, 2)[k] for k in range(3) if contents[k] == c) for c in contents]
            expected.append(1 - 0.2 * 2 * np.mean(distance))
        np.testing.assert_allclose(oracles.optimal(make("cooking"), split), expected, atol=1e-6)


@pytest.mark.parametrize("name", quick(envs.BENCHMARKS, "bus", "cooking"))
def test_knowing_is_never_worse_on_any_problem(name):
    for split in ("train", "test"):
        knowing = oracles.optimal(make(name), split)
        blind = oracles.no_exploration(make(name), split)
        assert knowing.shape == blind.shape == make(name).problem_ids(split).shape
        assert np.all(knowing >= blind - 1e-6)
        assert knowing.mean() > blind.mean() + 0.1  # these benchmarks reward exploration


@pytest.mark.parametrize("horizon", [1, 3, 8])
def test_bus_at_other_horizons(horizon):
    # Knowing: the bus takes 3 steps, with fewer all that is left is -0.1 each. Blind, 3 steps: one
    # ride into the unknown, (0.8 - 3 * 0.3) / 4; 8 steps: walking reaches every corner.
    found = oracles.bounds(make("bus", horizon=horizon), "train")
    knowing, blind = found.optimal, found.no_exploration
    expected = {1: (-0.1, -0.1), 3: (0.8, -0.025), 8: (0.8, 0.3)}[horizon]
    assert (knowing, blind) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", ["bus", "cooking"])
def test_unknown_split(name):
    for oracle in (oracles.bounds, oracles.optimal, oracles.no_exploration):
        with pytest.raises(ValueError, match="unknown split 'valid'"):
            oracle(make(name), "valid")


class RandomReset(Doors):
    def reset(self, key, problem, instruction):
        state, seen = super().reset(key, problem, instruction)
        return state._replace(tried=jax.random.bernoulli(key, shape=(2,))), seen


class FloatState(Doors):
    def reset(self, key, problem, instruction):
        state, seen = super().reset(key, problem, instruction)
        return state._replace(tried=state.tried.astype(jnp.float32)), seen


class Unnamed(Doors):
    def reset(self, key, problem, instruction):
        state, seen = super().reset(key, problem, instruction)
        return tuple(state), seen


class Hurried(Doors):
    def step(self, state, action):
        state, seen = super().step(state, action)
        return state, seen._replace(reward=seen.reward - 0.1 * state.step)


class Short(Doors):
    def step(self, state, action):
        state, seen = super().step(state, action)
        return state, seen._replace(truncated=(state.step >= 2) & ~seen.terminated)


class Endless(Doors):
    def step(self, state, action):
        state, seen = super().step(state, action)
        terminated = seen.terminated & (action != 3)
        truncated = (state.step >= self.horizon) & ~terminated
        return state, seen._replace(terminated=terminated, truncated=truncated)


class Overflowing(Doors):
    observation_sizes = (2, 2, 2)


class Frozen(Doors):
    def step(self, state, action):
        after, seen = super().step(state, action)
        return after._replace(step=state.step), seen


class Particular(Doors):
    def step(self, state, action):
        assert isinstance(action, jax.Array)  # as in a rollout, never a Python number
        return super().step(state, action)


def test_actions_are_arrays():
    assert oracles.bounds(Particular(2), "train") == oracles.bounds(Doors(2), "train")


@pytest.mark.parametrize(
    ("family", "message"),
    [
        (RandomReset, "a reset that ignores its key"),
        (FloatState, "of integers"),
        (Unnamed, "a field `step`"),
        (Hurried, "no influence of `step`"),
        (Short, "truncation at the horizon"),
        (Endless, "an end_episode_action that terminates"),
        (Overflowing, "within observation_sizes"),
        (Frozen, "a `step` that counts the steps"),
    ],
)
def test_what_cannot_be_treated_is_rejected(family, message):
    with pytest.raises(ValueError, match=message) as error:
        oracles.bounds(family(3), "train")
    assert "\n" not in str(error.value)
    assert str(error.value).startswith("doors: the exact oracles need ")


def test_too_many_states(monkeypatch):
    monkeypatch.setattr(oracles, "MAX_STATES", 100)
    with pytest.raises(ValueError, match="at most 100 states"):
        oracles.bounds(Bus(horizon=5), "train")
