"""Evaluation on fixed trials: greedy, from what was explored, without the problem id."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dream_jax.types import Agent, Array, Env, Episode, Key, Params


class TrialSet(NamedTuple):
    """Which trials to evaluate: leaves [n, ...]."""

    problem: np.ndarray  # [n] int32
    instruction: np.ndarray  # [n, N, I] uint8


class Evaluation(NamedTuple):
    """Results of n trials."""

    trial_return: Array  # [n] undiscounted, mean over the exploitation episodes
    # [n] the same told the problem id (DREAM: z = f(mu)): which half is still learning? None of an
    # agent that cannot be told.
    encoder_return: Array | None
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


def evaluate(agent: Agent, params: Params, key: Key, trials: TrialSet) -> Evaluation:
    """Roll every trial greedily. One seed's parameters; jit and map over seeds outside."""

    def one(key, problem, instructions):
        test_key, encoder_key = jax.random.split(key)
        exploration, exploitation = meta_test(agent, params, test_key, problem, instructions)
        told = agent.informed_test(params, encoder_key, problem, instructions)
        return Evaluation(
            _mean_return(exploitation),
            None if told is None else _mean_return(told),
            jnp.sum(exploration.mask),
        )

    keys = jax.random.split(key, trials.problem.shape[0])
    return jax.vmap(one)(keys, jnp.asarray(trials.problem), jnp.asarray(trials.instruction))


def meta_test(
    agent: Agent, params: Params, key: Key, problem: Array, instructions: Array
) -> tuple[Episode, Episode]:
    """The exploration episode and the N exploitation episodes of one trial at meta-test."""
    test = agent.meta_test(params, key, problem, instructions)
    return test.exploration, test.exploitation


def _mean_return(episodes: Episode) -> Array:
    return jnp.mean(jnp.sum(episodes.reward, axis=-1))
