"""Small worlds for the oracles: doors by hand, a simulator in plain Python."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dream_jax.envs.grids.bus import Bus
from dream_jax.envs.grids.cooking import Cooking
from dream_jax.envs.grids.grid import GridProblems
from dream_jax.types import TimeStep


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


@functools.cache
def simulator_of(env):
    """One for each environment: what it has seen serves all tests."""
    return Simulator(env)


@functools.cache
def small(family, horizon):
    """One environment for all tests of a family and a horizon."""
    return family(horizon=horizon)


def instructed(env):
    """{instruction: {id: p(instruction | id)}}"""
    table = {}
    for mu in range(env.num_problems):
        rows = env.instructions(mu).tolist()
        for row in rows:
            ids = table.setdefault(tuple(row), {})
            ids[mu] = ids.get(mu, 0.0) + 1 / len(rows)
    return table


class FewBuses(Bus):
    num_problems = 6  # the first stop leads to (0, 1), the others are permuted

    def instructions(self, problem):
        return np.array([(0, 8), (8, 8)], np.int32)


class FewFridges(Cooking):
    num_problems = 6  # contents (0-3, 0, 0) and (0-1, 1, 0)
