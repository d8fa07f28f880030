"""Exact oracles: reference returns, closed forms, brute force, goldens derived by hand."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dream_jax import envs
from dream_jax.envs.grids.bus import Bus
from dream_jax.envs.grids.cooking import Cooking
from dream_jax.envs.grids.grid import GridProblems
from dream_jax.oracles import bounds as oracles
from dream_jax.types import TimeStep

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


class DoorState(NamedTuple):
    problem: jax.Array
    hint: jax.Array  # [I]
    tried: jax.Array  # [2] bool
    step: jax.Array


class Doors(GridProblems):
    """The prize is behind door `problem`. Actions: open door 0, open door 1, peek, end episode.

    Opening the right door pays 1 and ends, the wrong one costs 0.5, peeking costs `cost` and shows
    the problem; `hinted` makes the instruction name the right door two times out of three.
    """

    name = "doors"
    num_actions = 4
    end_episode_action = 3
    observation_sizes = (3, 2, 2)
    num_problems = 2
    shows_problem_at_first = False

    def __init__(self, horizon: int, cost: float = 0.3, hinted: bool = False):
        super().__init__(horizon)
        self.cost, self.hinted = cost, hinted
        self.instruction_sizes = (2,) if hinted else ()
        self._splits = {"train": np.array([0, 1]), "test": np.array([1])}

    def instructions(self, problem: int) -> np.ndarray:
        if not self.hinted:
            return np.zeros((1, 0), np.int32)
        return np.array([[problem], [problem], [1 - problem]], np.int32)

    def reset(self, key, problem, instruction):
        zero, no = jnp.zeros((), jnp.int32), jnp.zeros((), bool)
        state = DoorState(problem, instruction, jnp.zeros(2, bool), zero)
        shown = 1 + problem if self.shows_problem_at_first else zero
        return state, TimeStep(self._observe(state, shown), jnp.zeros(()), no, no)

    def step(self, state, action):
        right, opened, ended = action == state.problem, action < 2, action == 3
        state = state._replace(tried=state.tried | (jnp.arange(2) == action), step=state.step + 1)
        left = self.horizon - state.step
        reward = jnp.select([right, opened, ended], [1.0, -0.5, -0.1 - 0.1 * left], -self.cost)
        shown = jnp.where(action == 2, 1 + state.problem, 0)
        terminated = right | ended
        truncated = (state.step >= self.horizon) & ~terminated
        return state, TimeStep(self._observe(state, shown), reward, terminated, truncated)

    def _observe(self, state, shown):
        return jnp.append(shown, state.tried).astype(jnp.int32)


class Simulator:
    """All outcomes of single states, straight from `env.step`; shares nothing with the oracles."""

    def __init__(self, env):
        self.env = env
        self._reset = jax.jit(env.reset)
        self._step = jax.jit(jax.vmap(env.step, in_axes=(None, 0)))
        self._seen = {}

    def reset(self, problem, instruction):
        instruction = np.array(instruction, np.int32)
        state = self._reset(jax.random.key(0), np.int32(problem), instruction)[0]
        return jax.tree.map(np.asarray, state)

    def __call__(self, state, action):
        """(next state, what is seen, reward, done)"""
        key = tuple(np.concatenate([np.ravel(x) for x in state]).tolist())
        if key not in self._seen:
            after, seen = jax.tree.map(
                np.asarray, self._step(state, np.arange(self.env.num_actions))
            )
            self._seen[key] = [
                (
                    jax.tree.map(lambda x, a=a: x[a], after),
                    (*seen.observation[a].tolist(), float(seen.reward[a])),
                    float(seen.reward[a]),
                    bool(seen.terminated[a] | seen.truncated[a]),
                )
                for a in range(self.env.num_actions)
            ]
        return self._seen[key][action]

    def branches(self, members, action):
        """Rewards {id: r} of the members {id: state}; those that go on, grouped by what is seen."""
        rewards, groups = {}, {}
        for mu, state in members.items():
            after, seen, rewards[mu], done = self(state, action)
            if not done:
                groups.setdefault(seen, {})[mu] = after
        return rewards, list(groups.values())

    def policies(self, members):
        """The returns {id: return} of EVERY deterministic history-dependent policy."""
        for action in range(self.env.num_actions):
            totals, groups = self.branches(members, action)
            totals = [totals]
            for group in groups:
                tails = list(self.policies(group))
                totals = [
                    {mu: r + tail.get(mu, 0.0) for mu, r in total.items()}
                    for total in totals
                    for tail in tails
                ]
            yield from totals

    def expectimax(self, members, weight):
        """Returns {id: return} of the best policy, tied actions equally likely; no sharing."""
        options = []
        for action in range(self.env.num_actions):
            total, groups = self.branches(members, action)
            for group in groups:
                for mu, tail in self.expectimax(group, weight).items():
                    total[mu] += tail
            options.append((sum(weight[mu] * r for mu, r in total.items()), total))
        best = max(mean for mean, _ in options)
        tied = [total for mean, total in options if mean > best - 1e-5 * sum(weight.values())]
        return {mu: sum(total[mu] for total in tied) / len(tied) for mu in members}


def instructed(env):
    """{instruction: {id: p(instruction | id)}}"""
    table = {}
    for mu in range(env.num_problems):
        rows = env.instructions(mu).tolist()
        for row in rows:
            ids = table.setdefault(tuple(row), {})
            ids[mu] = ids.get(mu, 0.0) + 1 / len(rows)
    return table


def brute_force(env):
    """(optimal, no exploration), each [num_problems]."""
    simulator = Simulator(env)
    knowing, blind = np.zeros(env.num_problems), np.zeros(env.num_problems)
    for instruction, weight in instructed(env).items():
        members = {mu: simulator.reset(mu, instruction) for mu in weight}
        for mu, value in simulator.expectimax(members, weight).items():
            blind[mu] += weight[mu] * value
        for mu in members:
            alone = simulator.expectimax({mu: members[mu]}, {mu: 1.0})
            knowing[mu] += weight[mu] * alone[mu]
    return knowing, blind


# ---------------------------------------------------------------------------------- benchmarks


@pytest.mark.parametrize(("name", "split"), REFERENCE)
def test_reference_returns(name, split):
    assert oracles.bounds(make(name), split) == pytest.approx(REFERENCE[name, split], abs=1e-3)


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


@pytest.mark.parametrize("name", envs.BENCHMARKS)
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
    knowing, blind = oracles.bounds(make("bus", horizon=horizon), "train")
    expected = {1: (-0.1, -0.1), 3: (0.8, -0.025), 8: (0.8, 0.3)}[horizon]
    assert (knowing, blind) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", ["bus", "cooking"])
def test_unknown_split(name):
    for oracle in (oracles.bounds, oracles.optimal, oracles.no_exploration):
        with pytest.raises(ValueError, match="unknown split 'valid'"):
            oracle(make(name), "valid")


# --------------------------------------------------------------------------------- brute force


class FewBuses(Bus):
    num_problems = 6  # the first stop leads to (0, 1), the others are permuted

    def instructions(self, problem):
        return np.array([(0, 8), (8, 8)], np.int32)


class FewFridges(Cooking):
    num_problems = 6  # contents (0-3, 0, 0) and (0-1, 1, 0)


@pytest.mark.parametrize(
    ("family", "horizon"), [(FewBuses, 3), (FewBuses, 4), (FewFridges, 2), (FewFridges, 3)]
)
def test_equals_brute_force_on_small_grids(family, horizon):
    env = family(horizon=horizon)
    knowing, blind = brute_force(env)
    ids = env.problem_ids("train")
    np.testing.assert_allclose(oracles.optimal(env, "train"), knowing[ids], atol=1e-5)
    np.testing.assert_allclose(oracles.no_exploration(env, "train"), blind[ids], atol=1e-5)
    assert knowing.mean() > blind.mean() + 0.01


@pytest.mark.parametrize("horizon", [1, 2, 3])
@pytest.mark.parametrize(
    ("cost", "hinted"), [(0.1, False), (0.25, False), (0.15, True), (0.3, True)]
)
def test_no_policy_does_better(horizon, cost, hinted):
    env = Doors(horizon, cost, hinted)
    simulator, best = Simulator(env), 0.0
    for instruction, weight in instructed(env).items():
        members = {mu: simulator.reset(mu, instruction) for mu in weight}
        totals = [sum(weight[mu] * r for mu, r in p.items()) for p in simulator.policies(members)]
        # 4 actions at the end; with k left and one problem 1 + 4 + 4 + 1 = 10 for k = 2, with two
        # problems the square after peeking: 4 + 4 + 4^2 + 1, 10 + 10 + 10^2 + 1.
        assert len(totals) == {1: 4, 2: 25, 3: 121}[horizon]
        best += max(totals) / env.num_problems
    assert oracles.no_exploration(env, "train").mean() == pytest.approx(best, abs=1e-6)
    knowing, blind = brute_force(env)
    np.testing.assert_allclose(oracles.optimal(env, "train"), knowing, atol=1e-6)
    np.testing.assert_allclose(oracles.no_exploration(env, "train"), blind, atol=1e-6)


# ------------------------------------------------------------------------------ goldens by hand


@pytest.mark.parametrize(
    ("horizon", "cost", "hinted", "expected"),
    [
        (1, 0.3, False, 0.25),  # one door at random: (1 - 0.5) / 2
        (2, 0.3, False, 0.75),  # then the other: (1 + 0.5) / 2; tied doors, so equal on both ids
        (2, 0.1, False, 0.9),  # peek, then open
        (1, 0.3, True, 0.5),  # the hinted door: 2/3 - 0.5/3
        (2, 0.3, True, 5 / 6),  # 2/3 + 0.5/3
    ],
)
def test_doors_by_hand(horizon, cost, hinted, expected):
    env = Doors(horizon, cost, hinted)
    assert oracles.no_exploration(env, "train") == pytest.approx([expected] * 2, abs=1e-6)
    assert oracles.no_exploration(env, "test") == pytest.approx([expected], abs=1e-6)
    assert oracles.optimal(env, "train") == pytest.approx([1.0, 1.0], abs=1e-6)


def test_the_first_observation_counts():
    class Open(Doors):
        shows_problem_at_first = True

    assert oracles.bounds(Open(2), "train") == pytest.approx((1.0, 1.0), abs=1e-6)


def test_the_reward_counts():
    class Whispering(Doors):  # peeking shows nothing, but costs 0.05 more if the problem is 1
        def step(self, state, action):
            after, seen = super().step(state, action)
            hidden = seen.observation.at[0].set(0)
            extra = jnp.where(action == 2, 0.05 * state.problem, 0.0)
            return after, seen._replace(observation=hidden, reward=seen.reward - extra)

    blind = oracles.no_exploration(Whispering(2, cost=0.1), "train")
    assert blind == pytest.approx([0.9, 0.85], abs=1e-6)


# ------------------------------------------------------------------------------------ rejection


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
