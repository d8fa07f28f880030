"""Exact reference returns: of the best policy that knows the problem, and without exploration.

These are undiscounted expected returns of one exploitation episode: the Optimal and No exploration
lines of Liu et al. 2021, Figures 6 and 7. They come from dynamic programming on tables that are
read off `env.reset` and `env.step`, so no environment's rules are repeated here.

The environment must be deterministic. Its state must be a NamedTuple of integers with a field
`step`, on which nothing but the reward of "end episode" depends. Any other raises ValueError,
unless it declares its returns as `reference_returns`, (optimal, no exploration), or as those of
another environment with the same problems, `same_returns_as`. It may also have a
`no_reading_return`, which then is the 0 of normalised returns.

  P  pairs of a problem and one of its distinct instructions
  S  states of all pairs, separate for each pair; the first P are the initial ones
  A  actions, T  horizon
"""

import collections
import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from dream_jax import problems, specs
from dream_jax.oracles.belief_search import Search, Table
from dream_jax.types import Env

MAX_STATES = 4_000_000
BATCH = 1 << 13  # states per call of the compiled step


class Bounds(NamedTuple):
    """Mean returns over the problems of a split; nan where the environment declares nan."""

    optimal: float
    no_exploration: float
    # Ending without having found anything out, where an environment says what that is worth.
    no_reading: float | None = None
    # Of trained agents that are told the problem, and that never explore, where runs of them were
    # named. They stand in for the first two where those are nan.
    told: float | None = None
    never_explores: float | None = None

    @property
    def top(self) -> float:
        """The return that a normalised return of 1 stands for."""
        return self._known(self.optimal, self.told)

    @property
    def floor(self) -> float:
        """The return that a normalised return of 0 stands for."""
        if self.no_reading is not None:
            return self.no_reading
        return self._known(self.no_exploration, self.never_explores)

    def _known(self, exact: float, trained: float | None) -> float:
        return trained if np.isnan(exact) and trained is not None else exact


class _Returns(NamedTuple):
    """Expected returns on every problem."""

    optimal: np.ndarray  # [num_problems] float64
    no_exploration: np.ndarray  # [num_problems] float64


def bounds(env: Env, split: str) -> Bounds:
    """The mean returns that define normalised returns of 1 and 0. Raises ValueError."""
    floor = getattr(env, "no_reading_return", None)
    if hasattr(env, "reference_returns"):  # of the family; its problems need not be listed
        best, without = env.reference_returns
        return Bounds(float(best), float(without), floor)
    _need(env, problems.is_listed(env), "problems that are listed, not drawn")
    values = float(optimal(env, split).mean()), float(no_exploration(env, split).mean())
    return Bounds(*values, floor)


def optimal(env: Env, split: str) -> np.ndarray:
    """[n] float64: return of the best policy that knows the problem, on each id of the split.

    Raises ValueError for an environment that cannot be tabulated.
    """
    ids = env.problem_ids(split)
    return _returns(tabulated(env)).optimal[ids]  # hashed by identity


def no_exploration(env: Env, split: str) -> np.ndarray:
    """[n] float64: return of the Bayes-optimal policy without exploration, on each id of the split.

    The policy starts from a uniform prior over ALL ids of the family. It sees the instruction,
    observations and rewards. Among tied actions, out of all `num_actions`, it takes one uniformly
    at random at every step. Ties do not change the mean over the family, but they change the return
    on a single id and the mean over a split.

    Raises ValueError for an environment that cannot be tabulated, and if the search needs more than
    `belief_search.MAX_BELIEFS` belief states.
    """
    ids = env.problem_ids(split)
    return _returns(tabulated(env)).no_exploration[ids]


def tabulated(env: Any) -> Any:
    """The environment that stands in for `env`, with the same returns on every problem."""
    return getattr(env, "same_returns_as", env)


@functools.lru_cache(maxsize=16)
def _returns(env: Any) -> _Returns:
    if hasattr(env, "reference_returns"):  # derived by hand: infinitely many states
        return _Returns(*(np.full(env.num_problems, value) for value in env.reference_returns))
    in_jax = not getattr(env, "runs_on_host", False)
    _need(env, in_jax, "reset and step in JAX")
    small = specs.observation(env).component_sizes is not None
    small = small and specs.instruction(env).component_sizes is not None
    _need(env, small, "observations and instructions that are vectors of small integers")
    table = tabulate(env)
    values = optimal_values(table)
    share = table.weight * env.num_problems  # p(instruction | problem)
    both = (values[0], Search(table, values).run())
    return _Returns(*(np.bincount(table.problem, share * x, env.num_problems) for x in both))


def _need(env: Env, kept: Any, what: str) -> None:
    if not kept:
        raise ValueError(f"{env.name}: the exact oracles need {what}")


class Starts(NamedTuple):
    """The initial states of an environment, and a function that steps it from any state."""

    problem: np.ndarray  # [P] int32
    instruction: np.ndarray  # [P, I] int32
    weight: np.ndarray  # [P] float64, p(problem, instruction) with uniform problems
    rows: np.ndarray  # [P, D] int, index of the pair, then the initial state without `step`
    seen: np.ndarray  # [P] int32, code of the first observation
    look: Callable  # see _make_look


@functools.lru_cache(maxsize=16)
def starts(env: Any) -> Starts:
    """Reads off the initial states of every pair. Raises ValueError as the module says."""
    problem, instruction, weight = _pairs(env)
    rows, seen, unravel = _initial(env, problem, instruction)
    return Starts(problem, instruction, weight, rows, seen, _make_look(env, unravel))


def row_keys(rows: np.ndarray) -> np.ndarray:
    """[n] uint64: hashes of rows [n, D]. If two collide, `tabulate` raises ValueError."""
    hashing = np.random.default_rng(0).integers(1, 2**63, rows.shape[1], np.uint64) * 2 + 1
    return rows.astype(np.uint64) @ hashing


def tabulate(env: Env, roots: np.ndarray | None = None) -> Table:
    """Takes every action in every reachable state, breadth first.

    Args:
      env: the environment.
      roots: [n, D] distinct rows to start from, instead of the initial states of all pairs.

    Raises ValueError if the environment is not as the module says, or has more than `MAX_STATES`
    states.
    """
    problem, instruction, weight, states, seen, look = starts(env)  # type: ignore[arg-type]
    if roots is not None:
        states = roots
    index_of = {key: i for i, key in enumerate(row_keys(states).tolist())}
    reachable, columns, looked = [], [], 0
    for step in range(env.horizon):
        reachable.append(len(states))
        if looked == len(states):
            continue
        rows, code, reward, terminated, end_reward = look(states[looked:], step)
        looked = len(states)
        next_state = np.full(terminated.shape, -1, np.int32)
        if step + 1 < env.horizon:
            found = rows[~terminated]
            unique, first, inverse = np.unique(
                row_keys(found), return_index=True, return_inverse=True
            )
            index = np.array([index_of.setdefault(k, len(index_of)) for k in unique.tolist()], int)
            states = np.concatenate([states, found[first[index >= looked]]])
            next_state[~terminated] = index[inverse]
            _need(env, len(states) <= MAX_STATES, f"at most {MAX_STATES} states")
            equal = len(index_of) == len(states) and np.array_equal(states[index[inverse]], found)
            _need(env, equal, "states with different hashes: change the seed of `hashing`")
        columns.append((next_state, code, reward, end_reward))

    next_state, code, reward, end_reward = (np.concatenate(c) for c in zip(*columns, strict=True))
    levels, level = np.unique(reward, return_inverse=True)
    first_sight = np.column_stack([instruction, seen])
    return Table(
        problem=problem,
        weight=weight,
        group=np.unique(first_sight, axis=0, return_inverse=True)[1].ravel(),
        pair=states[:, 0],
        next_state=next_state,
        signal=code.astype(np.int64) * len(levels) + level.reshape(code.shape),
        reward=reward.astype(np.float64),
        end_reward=end_reward.T.astype(np.float64),
        end_action=int(env.end_episode_action or 0),  # there is one: see `_initial`
        reachable=np.array(reachable),
        rows=states,
    )


def _pairs(env: Env) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(problem [P], instruction [P, I], p(problem, instruction) [P]) of every pair."""
    _need(env, problems.lists_instructions(env), "instructions that are listed")
    pairs = []
    for problem in range(env.num_problems):
        rows = np.asarray(env.instructions(problem))
        for row, count in collections.Counter(map(tuple, rows.tolist())).items():
            pairs.append((problem, row, count / len(rows) / env.num_problems))
    problem, instruction, weight = zip(*pairs, strict=True)
    return np.array(problem, np.int32), np.array(instruction, np.int32), np.array(weight)


def _initial(
    env: Env, problem: np.ndarray, instruction: np.ndarray
) -> tuple[np.ndarray, np.ndarray, Callable]:
    """Rows [P, D] of the initial states, codes [P] of what they show, and a function from a row to
    (pair, state)."""
    reset = jax.jit(jax.vmap(env.reset, in_axes=(None, 0, 0)))
    state, seen = reset(jax.random.key(0), problem, instruction)
    _need(env, "step" in getattr(state, "_fields", ()), "a NamedTuple state with a field `step`")
    types = [leaf.dtype for leaf in jax.tree.leaves((state, seen.observation))]
    integers = all(jnp.issubdtype(t, jnp.integer) or jnp.issubdtype(t, jnp.bool_) for t in types)
    _need(env, integers, "states and observations of integers")
    sizes = env.observation_sizes
    small = seen.observation.shape[1:] == (len(sizes),) and math.prod(sizes) < 2**31
    _need(env, small, "an observation that is a vector, of less than 2**31 possible ones")
    end = env.end_episode_action
    ends = end is not None and 0 <= end < env.num_actions
    _need(env, ends, "an action that ends the episode")
    again = reset(jax.random.key(1), problem, instruction)
    same = jax.tree.all(jax.tree.map(np.array_equal, (state, seen), again))
    _need(env, same, "a reset that ignores its key")
    code = np.asarray(jax.jit(jax.vmap(lambda x: _code(env, x)))(seen.observation))
    fresh = not np.any(seen.done) and not np.any(state.step) and np.all(code >= 0)
    _need(env, fresh, "episodes that start at step 0, inside observation_sizes")
    timeless = (np.arange(len(problem), dtype=np.int32), state._replace(step=None))
    unravel = ravel_pytree(jax.tree.map(lambda leaf: leaf[0], timeless))[1]
    rows = jax.jit(jax.vmap(lambda tree: ravel_pytree(tree)[0]))(timeless)
    return np.asarray(rows), code, unravel


def _code(env: Env, observation: jax.Array) -> jax.Array:
    """[] int32, distinct for distinct observations [K]; -1 outside `observation_sizes`."""
    sizes = env.observation_sizes
    code = jnp.ravel_multi_index(tuple(observation), sizes, mode="clip")
    return jnp.where(jnp.all((observation >= 0) & (observation < np.array(sizes))), code, -1)


class _Taken(NamedTuple):
    """The result of an action; with leading axes, of many."""

    row: jax.Array  # [D], the next state
    code: jax.Array  # [] int32, of the observation
    reward: jax.Array  # [] float32
    terminated: jax.Array  # [] bool
    truncated: jax.Array  # [] bool
    step: jax.Array  # [] int32, of the next state


def _make_look(env: Env, unravel: Callable) -> Callable:
    """A function look(rows [n, D], step) that takes every action in n states.

    It returns the next rows [n, A, D], observation codes, rewards and terminations, each [n, A],
    and the reward of "end episode" at each step [n, T]. Raises ValueError if a result breaks the
    conditions of the module.
    """
    actions, times, end = np.arange(env.num_actions), np.arange(env.horizon), env.end_episode_action
    array_end = jnp.asarray(end, jnp.int32)  # an array, like the actions of a rollout

    def act(row, step, action):
        pair, state = unravel(row)
        state, seen = env.step(state._replace(step=step), action)
        row = ravel_pytree((pair, state._replace(step=None)))[0]
        code = _code(env, seen.observation)
        return _Taken(row, code, seen.reward, seen.terminated, seen.truncated, state.step)

    @jax.jit
    @jax.vmap
    def look_at_one(row, steps):
        taken = jax.vmap(lambda t: jax.vmap(lambda a: act(row, t, a))(actions))(steps)
        return taken, jax.vmap(lambda t: act(row, t, array_end).reward)(times)

    def look(rows, step):
        # Steps every state twice, now and at a step that varies over the states, to find out
        # whether the step matters.
        steps = np.stack([np.full(len(rows), step), np.arange(len(rows)) % env.horizon], axis=1)
        parts = []
        for i in range(0, len(rows), BATCH):
            # Always the same shape, so that this compiles once.
            index = np.minimum(np.arange(i, i + BATCH), len(rows) - 1)
            part = look_at_one(rows[index], steps[index].astype(np.int32))
            parts.append(jax.tree.map(lambda x, i=i: np.asarray(x)[: len(rows) - i], part))
        taken, end_reward = jax.tree.map(lambda *x: np.concatenate(x), *parts)
        following, code, reward, terminated, truncated, step_after = taken
        late = (steps + 1 >= env.horizon)[:, :, None]
        _need(env, np.all(code >= 0), "observations within observation_sizes")
        _need(env, np.all(step_after == steps[:, :, None] + 1), "a `step` that counts the steps")
        _need(env, np.all(truncated == (late & ~terminated)), "truncation at the horizon only")
        _need(env, np.all(terminated[:, :, end]), "an end_episode_action that terminates")
        same = [np.array_equal(x[:, 0], x[:, 1]) for x in (following, code, terminated)]
        same_reward = (reward[:, 0] == reward[:, 1]) | (actions == end)
        timeless = all(same) and np.all(same_reward)
        _need(env, timeless, "no influence of `step` but on the reward of end_episode_action")
        return following[:, 0], code[:, 0], reward[:, 0], terminated[:, 0], end_reward

    return look


def optimal_values(table: Table) -> list[np.ndarray]:
    """[T][reachable[t]]: return of the best policy that knows the problem, from step t on."""
    values: list[np.ndarray] = []
    for step in reversed(range(len(table.reachable))):
        now = slice(0, table.reachable[step])
        q = table.rewards(step, now)
        if values:
            following = table.next_state[now]
            q += np.where(following >= 0, values[-1][following], 0.0)
        values.append(q.max(axis=1))
    return values[::-1]
