"""Evaluation on fixed trials: greedy, acting on the exploration, without the problem id."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dream_jax import problems, specs
from dream_jax.config import Config
from dream_jax.training import trainer
from dream_jax.types import Agent, Array, Env, Episode, Key, Params, TrainState

MOST_TRIALS = 20_000  # of each split in a final evaluation


class TrialSet(NamedTuple):
    """Which trials to evaluate: leaves [n, ...]."""

    problem: np.ndarray  # [n] int32
    instruction: Any  # leaves [n, N, ...] as replay keeps them, most often [n, N, I] uint8


class Evaluation(NamedTuple):
    """Results of n trials."""

    trial_return: Array  # [n] undiscounted, mean over the exploitation episodes
    # [n] the same for the agent told the problem id (DREAM: z = f(mu)). The gap between the two
    # shows whether exploitation or exploration still learns. None if the agent cannot be told.
    encoder_return: Array | None
    exploration_length: Array  # [n] steps
    # [n] undiscounted, of all exploration episodes. It is scored from the get-go only.
    exploration_return: Array


def trial_set(
    env: Env,
    split: str,
    trials: int,
    episodes: int,
    cover: bool,
    redraw: bool = True,
    most: int = MOST_TRIALS,
) -> TrialSet:
    """About `trials` trials that use every (problem, instruction) pair of a split equally often.

    Of a family that draws its problems or does not list its instructions, `trials` random pairs.

    Args:
      env: the environment.
      split: "train" or "test".
      trials: how many; rounded up so that every pair comes equally often.
      episodes: N, exploitation episodes of a trial.
      cover: if there are more pairs than `trials`, use them all. Otherwise a fixed random subset.
      redraw: each episode of a trial has an instruction of its own. Otherwise all have the same.
      most: trials, even where `cover` asks for more. Then as many problems as possible are covered,
        by random instructions each.
    """
    limit = most if cover else trials
    listed = problems.is_listed(env)
    total = len(env.problem_ids(split)) if listed else trials
    # A longer list of pairs would take long to make. Otherwise the pairs alone decide.
    if not listed or total > max(most, 1_000) or not problems.lists_instructions(env):
        count = min(limit, max(trials, total)) if cover else trials
        return _drawn_trials(env, split, count, episodes, redraw)
    pairs = [
        (problem, index)
        for problem in env.problem_ids(split)
        for index in range(len(env.instructions(int(problem))))
    ]
    if len(pairs) > limit:
        chosen = _spread([problem for problem, _ in pairs], limit, cover)
        pairs = [pairs[k] for k in chosen]
    else:
        pairs = pairs * -(-trials // len(pairs))
    instructions = []
    for problem, index in pairs:
        rows = env.instructions(int(problem))
        instructions.append([rows[(index + n * redraw) % len(rows)] for n in range(episodes)])
    dtype = specs.instruction(env).parts[0].dtype
    return TrialSet(
        np.array([problem for problem, _ in pairs], np.int32), np.array(instructions, dtype)
    )


def covered(env: Env, split: str, trials: TrialSet) -> str | None:
    """What of a split a trial set leaves out, as a sentence; None if it covers every problem."""
    used = len(np.unique(trials.problem))
    if not problems.is_listed(env):
        return f"{split}: {used:,} problems drawn of a family without end"
    total = len(env.problem_ids(split))
    return None if used == total else f"{split}: {used:,} of {total:,} problems"


def _drawn_trials(env: Env, split: str, count: int, episodes: int, redraw: bool) -> TrialSet:
    """`count` trials of problems as even as possible, with instructions that the family draws."""
    chosen = problems.some(env, split, count)
    chosen = chosen[np.arange(count) % len(chosen)]
    drawn = problems.draw_instructions(env, np.repeat(chosen, episodes))
    shaped = jax.tree.map(lambda x: x.reshape(count, episodes, *x.shape[1:]), drawn)
    if not redraw:
        shaped = jax.tree.map(lambda x: np.repeat(x[:, :1], episodes, axis=1), shaped)
    return TrialSet(chosen, shaped)


def _spread(problem: list[int], count: int, cover: bool) -> np.ndarray:
    """[count] sorted indices of random pairs; with `cover`, some of every problem."""
    order = np.random.default_rng(0).permutation(len(problem))
    if cover:
        first = np.unique(np.array(problem)[order], return_index=True)[1]
        rest = np.setdiff1d(np.arange(len(order)), first)
        order = order[np.concatenate([first, rest])]
    return np.sort(order[:count])


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
            jnp.sum(jnp.where(test.exploration.mask, test.exploration.reward, 0.0)),
        )

    keys = jax.random.split(key, trials.problem.shape[0])
    return jax.vmap(one)(
        keys, jnp.asarray(trials.problem), jax.tree.map(jnp.asarray, trials.instruction)
    )


def evaluation_params(config: Config, state: TrainState) -> Params:
    """Averaged parameters if the config asks for them, else the newest."""
    return state.average if config.optimizer.average_decay else trainer.newest_params(state)


def _mean_return(episodes: Episode) -> Array:
    return jnp.mean(jnp.sum(episodes.reward, axis=-1))
