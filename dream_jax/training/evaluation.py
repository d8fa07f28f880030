"""Evaluation on fixed trials: greedy, acting on the exploration, without the problem id."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dream_jax.config import Config
from dream_jax.training import trainer
from dream_jax.types import Agent, Array, Env, Episode, Key, Params, TrainState


class TrialSet(NamedTuple):
    """Which trials to evaluate: leaves [n, ...]."""

    problem: np.ndarray  # [n] int32
    instruction: np.ndarray  # [n, N, I] uint8


class Evaluation(NamedTuple):
    """Results of n trials."""

    trial_return: Array  # [n] undiscounted, mean over the exploitation episodes
    # [n] the same for the agent told the problem id (DREAM: z = f(mu)). The gap between the two
    # shows whether exploitation or exploration still learns. None if the agent cannot be told.
    encoder_return: Array | None
    exploration_length: Array  # [n] steps


def trial_set(
    env: Env, split: str, trials: int, episodes: int, cover: bool, redraw: bool = True
) -> TrialSet:
    """About `trials` trials that use every (problem, instruction) pair of a split equally often.

    Args:
      env: the environment.
      split: "train" or "test".
      trials: how many; rounded up so that every pair comes equally often.
      episodes: N, exploitation episodes of a trial.
      cover: if there are more pairs than `trials`, use them all. Otherwise a fixed random subset.
      redraw: each episode of a trial has an instruction of its own. Otherwise all have the same.
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
        test = agent.meta_test(params, test_key, problem, instructions)
        informed = agent.informed_test(params, encoder_key, problem, instructions)
        return Evaluation(
            _mean_return(test.exploitation),
            None if informed is None else _mean_return(informed),
            jnp.sum(test.exploration.mask),
        )

    keys = jax.random.split(key, trials.problem.shape[0])
    return jax.vmap(one)(keys, jnp.asarray(trials.problem), jnp.asarray(trials.instruction))


def evaluation_params(config: Config, state: TrainState) -> Params:
    """Averaged parameters if the config asks for them, else the newest."""
    return state.average if config.optimizer.average_decay else trainer.newest_params(state)


def _mean_return(episodes: Episode) -> Array:
    return jnp.mean(jnp.sum(episodes.reward, axis=-1))
