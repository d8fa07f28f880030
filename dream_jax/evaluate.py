"""Evaluation on fixed trials: greedy, z read from the exploration trajectory, no problem id."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dream_jax.agents.dream import Dream, DreamParams
from dream_jax.types import Array, Env, Episode, Key


class TrialSet(NamedTuple):
    """Which trials to evaluate: leaves [n, ...]."""

    problem: np.ndarray  # [n] int32
    instruction: np.ndarray  # [n, N, I] uint8


class Evaluation(NamedTuple):
    """Results of n trials."""

    trial_return: Array  # [n] undiscounted, mean over the exploitation episodes
    encoder_return: Array  # [n] the same with z = f(mu): which half is still learning?
    exploration_length: Array  # [n] steps


def trial_set(
    env: Env, split: str, trials: int, episodes: int, cover: bool, redraw: bool = True
) -> TrialSet:
    """About `trials` trials that use every (problem, instruction) pair of a split equally often.

    The N `episodes` of a trial have instructions of their own, or with `redraw` off the same.
    If there are more pairs than `trials`, all are used when `cover`, else a fixed random subset.
    """
    pairs = [
        (problem, index)
        for problem in env.problem_ids(split)
        for index in range(len(env.instructions(int(problem))))
    ]
    if len(pairs) > trials and not cover:
        chosen = np.sort(np.random.default_rng(0).permutation(len(pairs))[:trials])
        pairs = [pairs[k] for k in chosen]
    else:
        pairs = pairs * -(-trials // len(pairs))
    instructions = []
    for problem, index in pairs:
        rows = env.instructions(int(problem))
        instructions.append([rows[(index + n * redraw) % len(rows)] for n in range(episodes)])
    return TrialSet(
        np.array([problem for problem, _ in pairs], np.int32), np.array(instructions, np.uint8)
    )


def evaluate(agent: Dream, params: DreamParams, key: Key, trials: TrialSet) -> Evaluation:
    """Roll every trial greedily. One seed's parameters; jit and map over seeds outside."""

    def one(key, problem, instructions):
        test_key, encoder_key = jax.random.split(key)
        exploration, exploitation = meta_test(agent, params, test_key, problem, instructions)
        from_encoder = exploit_all(
            agent, params, encoder_key, problem, instructions, agent.encode(params, problem)
        )
        return Evaluation(
            _mean_return(exploitation), _mean_return(from_encoder), jnp.sum(exploration.mask)
        )

    keys = jax.random.split(key, trials.problem.shape[0])
    return jax.vmap(one)(keys, jnp.asarray(trials.problem), jnp.asarray(trials.instruction))


def meta_test(
    agent: Dream, params: DreamParams, key: Key, problem: Array, instructions: Array
) -> tuple[Episode, Episode]:
    """One trial as at meta-test: the problem id drives the environment and nothing else.

    Returns the exploration episode and the N exploitation episodes.
    """
    explore_key, exploit_key = jax.random.split(key)
    random = agent.config.agent == "random_exploration"
    exploration = agent.explore(params, explore_key, problem, jnp.float32(1.0 if random else 0.0))
    z = agent.read(params, exploration)
    return exploration, exploit_all(agent, params, exploit_key, problem, instructions, z)


def exploit_all(
    agent: Dream, params: DreamParams, key: Key, problem: Array, instructions: Array, z: Array
) -> Episode:
    """N greedy exploitation episodes with the same z: leaves [N, ...]."""
    keys = jax.random.split(key, instructions.shape[0])
    return jax.vmap(lambda k, i: agent.exploit(params, k, problem, i, z, jnp.float32(0.0)))(
        keys, instructions
    )


def _mean_return(episodes: Episode) -> Array:
    return jnp.mean(jnp.sum(episodes.reward, axis=-1))
