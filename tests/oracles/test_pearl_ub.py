"""PEARL-UB: reference returns, goldens derived by hand, brute force over all histories."""

import collections
import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dream_jax import envs
from dream_jax.config import PearlUbConfig
from dream_jax.envs.grids.grid import GridProblems
from dream_jax.oracles import pearl_ub
from dream_jax.types import TimeStep
from tests.oracles.doors import FewBuses, FewFridges, instructed, simulator_of, small
from tests.tiers import quick, slow

make = functools.cache(envs.make)  # one instance of each, so the tests share its tables
LITERAL = PearlUbConfig(exploitation="sample")


# The specification's table to 1e-3, its Monte Carlo values (cooking) to three standard errors. They
# are 0.001 where Bayes-optimal exploitation follows; literal sampling has none given, and 0.003 is
# what a million trials have, whose returns have a standard deviation of 2.9. See docs/results.md.
REFERENCE = {  # (benchmark, options): train, test, tolerance
    ("bus", PearlUbConfig()): (0.5, 0.5, 1e-3),
    ("bus", LITERAL): (-0.6, -0.6, 1e-3),
    ("map", PearlUbConfig()): (0.5, 0.5, 1e-3),
    # A refuted hypothesis may walk past the map by chance; from a corner it cannot with `last`.
    ("map", dataclasses.replace(LITERAL, ties="last")): (-0.6, -0.6, 1e-3),
    ("distracting_bus", PearlUbConfig(prior="split")): (0.520, 0.5025, 1e-3),
    ("cooking", PearlUbConfig(ties="last")): (0.286, 0.336, 3e-3),
    ("cooking", LITERAL): (-1.164, -0.994, 9e-3),
}


@pytest.mark.parametrize(("name", "options"), quick(REFERENCE, ("bus", PearlUbConfig())))
def test_reference_returns(name, options):
    *expected, tolerance = REFERENCE[name, options]
    found = [pearl_ub.returns(make(name), split, options).mean() for split in ("train", "test")]
    assert found == pytest.approx(expected, abs=tolerance)


# Measured, not in the table: how much the policies' ties matter in a kitchen.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("ties", "expected"), [("random", (0.2918, 0.3514)), ("first", (0.2987, 0.3669))]
)
def test_ties_of_cooks(ties, expected):
    options = PearlUbConfig(ties=ties)
    env = make("cooking")
    found = [pearl_ub.returns(env, split, options).mean() for split in ("train", "test")]
    assert found == pytest.approx(expected, abs=1e-4)


class BoxState(NamedTuple):
    problem: jax.Array
    step: jax.Array
    tried: jax.Array  # [n] bool


class Boxes(GridProblems):
    """The prize is in box `problem` of n. Actions: open box 0 .. n - 1, peek, end episode.

    Opening the right box pays 1 and ends, a wrong one costs 0.5; peeking costs `cost` and shows the
    problem.
    """

    name = "boxes"
    instruction_sizes = ()

    def __init__(self, n: int, horizon: int, cost: float = 0.1):
        super().__init__(horizon)
        self.n, self.cost, self.num_problems = n, cost, n
        self.num_actions, self.end_episode_action = n + 2, n + 1
        self.observation_sizes = (n + 1, *(2,) * n)
        self._splits = {"train": np.arange(n - 1), "test": np.array([n - 1])}

    def instructions(self, problem: int) -> np.ndarray:
        return np.zeros((1, 0), np.int32)

    def reset(self, key, problem, instruction):
        zero, no = jnp.zeros((), jnp.int32), jnp.zeros((), bool)
        state = BoxState(jnp.asarray(problem, jnp.int32), zero, jnp.zeros(self.n, bool))
        return state, TimeStep(self._observe(state, zero), jnp.zeros(()), no, no)

    def step(self, state, action):
        right, opened = action == state.problem, action < self.n
        ended, peeked = action == self.n + 1, action == self.n
        tried = state.tried | (jnp.arange(self.n) == action)
        state = state._replace(tried=tried, step=state.step + 1)
        left = self.horizon - state.step
        reward = jnp.select([right, opened, ended], [1.0, -0.5, -0.1 - 0.1 * left], -self.cost)
        terminated = right | ended
        truncated = (state.step >= self.horizon) & ~terminated
        shown = jnp.where(peeked, 1 + state.problem, 0)
        return state, TimeStep(self._observe(state, shown), reward, terminated, truncated)

    def _observe(self, state, shown):
        return jnp.append(shown, state.tried).astype(jnp.int32)


# ------------------------------------------------------------------------------ goldens by hand


@pytest.mark.parametrize(
    ("n", "horizon", "cost", "hypothesis", "exploitation", "expected"),
    [
        # Opening one of two boxes tells everything.
        (2, 1, 0.1, "fixed", "sample", 1.0),
        # One time in three it is the right box; else one of two is opened blindly:
        # 1/3 + 2/3 (1 - 0.5)/2.
        (3, 1, 0.1, "fixed", "sample", 0.5),
        (3, 1, 0.1, "fixed", "bayes_optimal", 0.5),
        # 1/5 + 4/5 (1 - 3 * 0.5)/4; giving up for 0.1 is better: 1/5 - 4/5 * 0.1.
        (5, 1, 0.1, "fixed", "sample", 0.1),
        (5, 1, 0.1, "fixed", "bayes_optimal", 0.12),
        # Whoever keeps to a wrong hypothesis opens the same box again: exploring has found out
        # about one box. Exploiting: 1/3 + 2/3 (1 - 2 * 0.5)/2 literally; 1/3 + 2/3 (1 - 0.1) by
        # peeking; at a price of 0.3 rather 1/3 + 2/3 (1 + (1 - 0.5))/2.
        (3, 2, 0.1, "fixed", "sample", 1 / 3),
        (3, 2, 0.1, "fixed", "bayes_optimal", 1 / 3 + 0.6),
        (3, 2, 0.3, "fixed", "bayes_optimal", 1 / 3 + 0.5),
        # Drawn anew, the second box is another one: all is known.
        (3, 2, 0.1, "resampled", "sample", 1.0),
        (3, 2, 0.1, "resampled", "bayes_optimal", 1.0),
        # Of four, two have been opened: known one time in two, else (1 + (1 - 0.5))/2 or peeking.
        (4, 2, 0.1, "resampled", "sample", 0.5 + 0.5 * 0.75),
        (4, 2, 0.1, "resampled", "bayes_optimal", 0.5 + 0.5 * 0.9),
    ],
)
def test_boxes_by_hand(n, horizon, cost, hypothesis, exploitation, expected):
    env = Boxes(n, horizon, cost)
    found = [
        pearl_ub.returns(env, split, PearlUbConfig(hypothesis, exploitation))
        for split in ("train", "test")
    ]
    # All boxes are alike, so the return is the same on each problem.
    np.testing.assert_allclose(np.concatenate(found), expected, atol=1e-6)


def test_a_prior_over_the_split_alone():
    env = Boxes(4, 1)
    # Three boxes are left of four for who knows the training problems: 0.5 as above; of the test
    # problem there is one.
    options = PearlUbConfig(exploitation="sample", prior="split")
    np.testing.assert_allclose(pearl_ub.returns(env, "train", options), 0.5, atol=1e-6)
    np.testing.assert_allclose(pearl_ub.returns(env, "test", options), 1.0, atol=1e-6)


def test_an_environment_without_a_problem_in_its_state():
    class Hidden(Boxes):
        def reset(self, key, problem, instruction):
            state, seen = super().reset(key, problem, instruction)
            return state._replace(tried=jnp.arange(self.n) == problem), seen

    with pytest.raises(ValueError, match="boxes: PEARL-UB needs a state with a field `problem`"):
        pearl_ub.returns(Hidden(3, 1), "train", LITERAL)


# --------------------------------------------------------------------------------- brute force


class Brute:
    """Thompson sampling by recursion over histories, for one instruction; shares nothing."""

    def __init__(self, env, options):
        self.simulator, self.options = simulator_of(env), options
        self.num_actions, self.known = env.num_actions, {}

    def best(self, state, mu):
        """p(action) of who believes in mu, whatever the true problem."""
        q = self.values(state._replace(problem=np.int32(mu)))
        tied = np.flatnonzero(q >= q.max() - 1e-5)
        chosen = {"random": tied, "first": tied[:1], "last": tied[-1:]}[self.options.ties]
        return np.isin(np.arange(len(q)), chosen) / len(chosen)

    def values(self, state):
        """[A] returns of who knows the problem."""
        key = tuple(np.concatenate([np.ravel(x) for x in state]).tolist())
        if key not in self.known:
            q = []
            for action in range(self.num_actions):
                after, _, reward, done = self.simulator(state, action)
                q.append(reward if done else reward + self.values(after).max())
            self.known[key] = np.array(q)
        return self.known[key]

    def play(self, members, prior, chances=None):
        """(returns {id: return}, [(ids still possible, probability)]) from states {id: state}."""
        total = sum(prior[mu] for mu in members)
        posterior = {mu: prior[mu] / total for mu in members}
        if chances is None:
            chances = posterior
        elif self.options.hypothesis == "resampled":
            refuted = 1 - sum(chances[mu] for mu in members)
            chances = {mu: chances[mu] + refuted * posterior[mu] for mu in members}
        state = next(iter(members.values()))
        policies = {mu: self.best(state, mu) for mu in chances}
        returns, ends = dict.fromkeys(members, 0.0), []
        for action in range(self.num_actions):
            acting = {mu: p * policies[mu][action] for mu, p in chances.items()}
            share = sum(acting.values())
            if share == 0:
                continue
            after = {mu: self.simulator(members[mu], action) for mu in members}
            for mu in members:
                returns[mu] += share * after[mu][2]
            for seen in {(after[mu][1], after[mu][3]) for mu in members}:
                same = [mu for mu in members if (after[mu][1], after[mu][3]) == seen]
                if seen[1]:
                    ends.append((same, share))
                    continue
                tail, later = self.play(
                    {mu: after[mu][0] for mu in same},
                    prior,
                    {mu: p / share for mu, p in acting.items()},
                )
                for mu in same:
                    returns[mu] += share * tail[mu]
                ends += [(ids, share * p) for ids, p in later]
        return returns, ends


def brute_force(env, options):
    """[num_problems] with the prior over the whole family."""
    brute, total = Brute(env, options), np.zeros(env.num_problems)
    table = instructed(env)
    for first, share in table.items():
        start = {mu: brute.simulator.reset(mu, first) for mu in share}
        chances = collections.Counter()  # of the ends at which the same ids are still possible
        for ids, chance in brute.play(start, share)[1]:
            chances[tuple(ids)] += chance
        for ids, chance in chances.items():
            for second, likely in table.items():
                weight = {mu: share[mu] * likely[mu] for mu in ids if mu in likely}
                if not weight:
                    continue
                members = {mu: brute.simulator.reset(mu, second) for mu in weight}
                if options.exploitation == "sample":
                    returns = brute.play(members, weight)[0]
                else:
                    returns = brute.simulator.expectimax(members, weight)
                for mu in weight:
                    total[mu] += chance * weight[mu] * returns[mu]
    return total


@pytest.mark.parametrize("hypothesis", ["fixed", "resampled"])
@pytest.mark.parametrize("exploitation", ["sample", "bayes_optimal"])
@pytest.mark.parametrize(("family", "horizon"), [slow((FewBuses, 3)), (FewFridges, 2)])
def test_equals_brute_force_on_small_grids(family, horizon, hypothesis, exploitation):
    env, options = small(family, horizon), PearlUbConfig(hypothesis, exploitation)
    expected = brute_force(env, options)[env.problem_ids("train")]
    np.testing.assert_allclose(pearl_ub.returns(env, "train", options), expected, atol=1e-5)


@pytest.mark.parametrize("exploitation", ["sample", "bayes_optimal"])
@pytest.mark.parametrize("ties", quick(["first", "last"], "last"))
@pytest.mark.parametrize(("family", "horizon"), [slow((FewBuses, 3)), (FewFridges, 2)])
def test_equals_brute_force_whatever_the_ties(family, horizon, ties, exploitation):
    env, options = small(family, horizon), PearlUbConfig(exploitation=exploitation, ties=ties)
    expected = brute_force(env, options)[env.problem_ids("train")]
    np.testing.assert_allclose(pearl_ub.returns(env, "train", options), expected, atol=1e-5)


# ---------------------------------------------------------------------------------------- signs


class Signs(Boxes):
    """The sign world as whoever never reads the sign sees it: fetch one of three things, the right
    one for 1, a wrong one for -1, either ends; or end for nothing. Peeking, which is reading the
    sign, costs too much here to be worth it within the episode."""

    name = "signs"

    def step(self, state, action):
        after, seen = super().step(state, action)
        reward = jnp.select([action == state.problem, action < self.n], [1.0, -1.0], 0.0)
        reward = jnp.where(action == self.n, -3.0, reward)
        done = (action < self.n) | (action == self.n + 1)
        truncated = (after.step >= self.horizon) & ~done
        return after, TimeStep(seen.observation, reward, done, truncated)


@pytest.mark.parametrize("exploitation", ["sample", "bayes_optimal"])
@pytest.mark.parametrize("hypothesis", ["fixed", "resampled"])
def test_sign_by_its_own_argument(hypothesis, exploitation):
    # 1/3 * 1 + 2/3 * (1/2 * 1 + 1/2 * -1), or 1/3 * 1 + 2/3 * 0 by giving up.
    options = PearlUbConfig(hypothesis, exploitation)
    assert pearl_ub.returns(Signs(3, 2), "train", options) == pytest.approx([1 / 3] * 2, abs=1e-6)
    # Where the sign can be read in time, Bayes-optimal exploitation reads it.
    expected = {"sample": 1 / 3, "bayes_optimal": 1 / 3 + 2 / 3 * 1.0}[exploitation]
    for split in ("train", "test"):
        found = pearl_ub.returns(make("sign"), split, options)
        assert found == pytest.approx([expected] * 3)
