"""Where a number that is not finite came from: the environment, or the parameters."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dream_jax.types import TrainState, Trial


def describe(loss: str, state: TrainState, seed: int, trial_shape: Trial) -> str:
    """One line: the loss, and the first tensor behind it that is not finite.

    Args:
      loss: says which loss is not finite.
      state: of all seeds, leaves [seeds, ...].
      seed: the place of the seed.
      trial_shape: jax.ShapeDtypeStructs of one trial.
    """
    replay = state.replay
    inserted = int(replay.inserted[seed])
    stored = jax.tree.map(lambda x: x[seed, :inserted], replay.storage)
    found = _in_trials(stored, trial_shape) or _in_learners(state.learners, seed)
    return f"{loss}: {found}" if found else loss


def _in_trials(stored: Trial, shape: Trial) -> str | None:
    """The first number of the replay that is not finite: the environment gave it.

    stored: leaves [trials, ...], each with all entries of a trial in one axis.
    """
    leaves = zip(jax.tree_util.tree_leaves_with_path(stored), jax.tree.leaves(shape), strict=True)
    for (path, leaf), one in leaves:
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            continue
        values = np.asarray(leaf, np.float32).reshape(len(leaf), *one.shape)
        bad = np.argwhere(~np.isfinite(values))
        if len(bad):
            trial, *place = bad[0].tolist()
            phase, *name = jax.tree_util.keystr(path).strip(".").split(".")
            where = f"step {place[0]}" if len(place) < 2 else f"episode {place[0]}, step {place[1]}"
            return (
                f"the environment's {'.'.join(name) or phase} is {values[tuple(bad[0])]} at "
                f"{phase} {where} of problem {int(stored.problem[trial])}"
            )
    return None


def _in_learners(learners: Any, seed: int) -> str | None:
    """The first parameter that is not finite."""
    for name, learner in learners._asdict().items():
        for path, leaf in jax.tree_util.tree_leaves_with_path(learner.params):
            values = np.asarray(leaf[seed])
            if not np.all(np.isfinite(values)):
                worst = values[~np.isfinite(values)][0]
                return (
                    f"parameter {name}{jax.tree_util.keystr(path)} is {worst} after update "
                    f"{int(learner.updates[seed]):,}"
                )
    return None
