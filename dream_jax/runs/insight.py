"""Trials of an agent with what pictures show beyond them: what its decoder believed, and how it
exploits with other encodings."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dream_jax import problems, specs
from dream_jax.agents.dream_policy import DreamPolicy
from dream_jax.data import pictures
from dream_jax.data.rollout import Rollout
from dream_jax.envs.splits import split_names
from dream_jax.runs.agent_programs import Rolled
from dream_jax.types import Agent, Array, Env, MetaTest, Params

KEY = 20_210_720
# Some trials are rolled, once in a while: compiling would take longer than running.
_COMPILED_FAST = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
# Where exploitation has its z from. Every agent has the first; only DREAM has the others.
FROM_EXPLORATION, FROM_ID, FROM_OTHER, ZERO = "exploration", "id", "other", "zero"
MOST_ENCODINGS = 2_000  # problems whose encodings are computed
MOST_DRAWN = 200  # problems of a split, of a family that draws them


class Chosen(NamedTuple):
    """Which trials to roll: leaves [n, ...]."""

    # Numpy arrays on the host, JAX's inside the program.
    problem: Any  # [n] int32
    instruction: Any  # leaves [n, N, ...] as replay keeps them, most often [n, N, I] uint8
    other: Any  # [n] int32, the training problem whose z is lent


class Insight(NamedTuple):
    """One trial. With a leading [n]: several."""

    test: MetaTest
    information: dict[bool, Array]  # [L] by whether the problem was trained on
    decoded: Array | None  # [L + 1, Z] g of every prefix of the exploration; None: no decoder
    exploited: dict[str, Rollout]  # by where z is from, leaves [N, ...]; without FROM_EXPLORATION


class Insights(NamedTuple):
    """Trials on the host, and the encodings of training problems."""

    chosen: Chosen
    trials: Insight  # leaves [n, ...], numpy
    information_names: Mapping[bool, str]
    problems: np.ndarray  # [P] int32, those that are encoded
    encodings: np.ndarray | None  # [P, Z]; None: the agent has no encoder

    def rolled(self, i: int, trained_on: bool) -> Rolled:
        """The i-th trial alone."""
        one = jax.tree.map(lambda x: x[i], self.trials)
        return Rolled(one.test, one.information[trained_on])


class InsightProgram:
    """Compiled at the first call; of any parameters of one agent."""

    def __init__(self, agent: Agent):
        self._agent = agent
        self._names: dict[bool, str] = {}
        self._roll = jax.jit(
            jax.vmap(self._roll_one, in_axes=(None, 0, 0)), compiler_options=_COMPILED_FAST
        )
        self._encode = jax.jit(self._encodings)

    def __call__(self, params: Params, chosen: Chosen, seed: int = 0) -> Insights:
        """Roll trials greedily. params: of one seed."""
        keys = jax.random.split(jax.random.fold_in(jax.random.key(KEY), seed), len(chosen.problem))
        trials = jax.device_get(self._roll(params, keys, chosen))
        encoded = np.array(spread(ids(self._agent.env, "train"), MOST_ENCODINGS), np.int32)
        encodings = None
        if isinstance(self._agent, DreamPolicy):
            encodings = jax.device_get(self._encode(params, encoded))
        return Insights(chosen, trials, self._names, encoded, encodings)

    def _roll_one(self, params: Params, key: Array, trial: Chosen) -> Insight:
        agent, problem = self._agent, trial.problem
        if isinstance(agent, DreamPolicy):
            test, decoded, exploited = _dream_trial(agent, params, key, trial)
        else:
            test = agent.meta_test(params, key, problem, trial.instruction)
            decoded, exploited = None, {}
        information = {}
        for trained_on in (False, True):
            self._names[trained_on], information[trained_on] = agent.step_information(
                params, test.exploration, problem, trained_on
            )
        return pictures.without_keys(Insight(test, information, decoded, exploited))

    def _encodings(self, params: Params, problems: Array) -> Array:
        agent: Any = self._agent
        return jax.vmap(lambda problem: agent.encode(params, problem))(problems)


def _dream_trial(
    agent: DreamPolicy, params: Params, key: Array, trial: Chosen
) -> tuple[MetaTest, Array, dict[str, Rollout]]:
    """The trial of `DreamPolicy.meta_test`, the decoder's readings, and exploitation with other z.

    All exploitation is one batch, which compiles faster than one after the other.
    """
    explore_key, exploit_key = jax.random.split(key)
    epsilon = jnp.float32(agent.test_epsilon)
    explored = agent.explore(params, explore_key, trial.problem, epsilon)
    decoded = agent.decode(params, explored.episode)
    z = decoded[jnp.sum(explored.episode.mask)]
    sources = {
        FROM_EXPLORATION: z,
        FROM_ID: agent.encode(params, trial.problem),
        FROM_OTHER: agent.encode(params, trial.other),
        ZERO: jnp.zeros_like(z),
    }
    rolled = jax.vmap(
        lambda z: agent.exploit_all(params, exploit_key, trial.problem, trial.instruction, z)
    )(jnp.stack(list(sources.values())))
    exploited = {name: jax.tree.map(lambda x, k=k: x[k], rolled) for k, name in enumerate(sources)}
    own = exploited.pop(FROM_EXPLORATION)
    test = MetaTest(
        explored.episode, own.episode, explored.states, own.states, explored.q, own.q, z
    )
    return test, decoded, exploited


def choose(env: Env, count: int, episodes: int, redraw: bool) -> Chosen:
    """About `count` trials, of all splits, spread over problems and instructions.

    Args:
      env: the environment.
      count: of trials, at most.
      episodes: N, exploitation episodes of a trial.
      redraw: each episode of a trial has an instruction of its own.
    """
    chosen: list[int] = []
    for split in reversed(split_names(env)):  # the test problems first
        new = [problem for problem in ids(env, split) if problem not in set(chosen)]
        chosen += spread(new, max(1, count // 4))
    return chosen_trials(env, chosen, max(1, count // len(chosen)), episodes, redraw)


def chosen_trials(
    env: Env, chosen: Sequence[int], each: int, episodes: int, redraw: bool
) -> Chosen:
    """Trials of the given problems.

    Args:
      env: the environment.
      chosen: problems.
      each: how many instructions of a problem, at most. Of a family that does not list them, one
        is drawn.
      episodes: N.
      redraw: as for `choose`.
    """
    space = specs.instruction(env)
    if space.component_sizes is None or not hasattr(env, "instructions"):
        drawn = problems.draw_instructions(env, np.repeat(np.array(chosen, np.int32), episodes))
        shaped = jax.tree.map(lambda x: x.reshape(len(chosen), episodes, *x.shape[1:]), drawn)
        others = [_others(env, problem)[0] for problem in chosen]
        return Chosen(np.array(chosen, np.int32), shaped, np.array(others, np.int32))
    rows: list[tuple[int, np.ndarray]] = []
    for problem in chosen:
        own = np.unique(np.asarray(env.instructions(problem)), axis=0)
        for index in spread(range(len(own)), each):
            places = [(index + n * redraw) % len(own) for n in range(episodes)]
            rows.append((problem, own[np.array(places)]))
    return Chosen(
        np.array([problem for problem, _ in rows], np.int32),
        np.stack([instruction for _, instruction in rows]).astype(space.parts[0].dtype),
        np.array([_another(env, problem, instruction) for problem, instruction in rows], np.int32),
    )


def ids(env: Env, split: str) -> list[int]:
    """The problems of a split, or some of a family that draws them; always the same."""
    if problems.is_listed(env):
        return env.problem_ids(split).tolist()
    return problems.some(env, split, MOST_DRAWN).tolist()


def spread(items: Sequence[Any], count: int) -> list[Any]:
    """At most `count` of the items, evenly spread, the first one among them."""
    step = max(1.0, len(items) / count)
    places = [int(k * step) for k in range(min(count, len(items)))]
    return [items[place] for place in places]


def _others(env: Env, problem: int) -> list[int]:
    """Some training problems, not this one, far from it in the list."""
    train = [other for other in ids(env, "train") if other != problem] or [problem]
    start = len(train) // 3 + problem
    return [train[(start + 7 * k) % len(train)] for k in range(min(8, len(train)))]


def _another(env: Env, problem: int, instruction: np.ndarray) -> int:
    """A training problem, not this one; with the same instruction if there is."""
    order = _others(env, problem)
    for other in order:
        rows = np.asarray(env.instructions(other))
        if all((rows == wanted).all(axis=-1).any() for wanted in instruction):
            return other
    return order[0]
