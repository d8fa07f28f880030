"""The fixed trials that runs and sweeps are evaluated on."""

from collections.abc import Sequence
from typing import Any

import jax

from dream_jax.config import Config
from dream_jax.envs.splits import split_names
from dream_jax.training import evaluation as evaluate
from dream_jax.types import Agent, Env, Params

KEY = 20_210_718

TrialSets = dict[str, evaluate.TrialSet]  # by split
Results = dict[str, evaluate.Evaluation]  # by split, leaves [trials]; joined: [seeds, trials]


def of_splits(
    config: Config, env: Env, count: int, cover: bool, splits: Sequence[str] | None = None
) -> TrialSets:
    """About `count` trials of each of `splits`, by default all that the family has.

    `cover`: use every problem and instruction, even if that takes more trials.
    """
    episodes, redraw = config.trial.exploitation_episodes, config.trial.redraw_instruction
    return {
        split: evaluate.trial_set(env, split, count, episodes, cover, redraw)
        for split in splits or split_names(env)
    }


def evaluate_on(agent: Agent, params: Params, sets: TrialSets) -> Results:
    """Evaluate one seed's parameters. Callers jit, and map over seeds."""
    key: Any = jax.random.key(KEY)
    return {split: evaluate.evaluate(agent, params, key, trials) for split, trials in sets.items()}
