"""Padding of episodes, so that nothing recorded after an end reaches a loss or a gradient.

A mask on the losses is not enough: in a gradient, zero times NaN is NaN.
"""

from typing import Any

import jax
import jax.numpy as jnp

from dream_jax.types import Array, Episode, Trial


def cleared(trial: Trial) -> Trial:
    """One trial whose padding is finite and depends on nothing that was recorded there.

    Rewards become 0, and numbers in observations their first value. Integers in observations and
    actions stay: networks take any integer. The instruction of exploration repeats the last one,
    which agents also read at the observation after the last step.
    """
    exploitation = jax.vmap(_cleared)(trial.exploitation)
    return trial._replace(exploration=_cleared(trial.exploration), exploitation=exploitation)


def _cleared(episode: Episode) -> Episode:
    steps = jnp.sum(episode.mask)
    index = jnp.arange(episode.mask.shape[0] + 1)

    def observed(x: Array) -> Array:
        if not jnp.issubdtype(x.dtype, jnp.floating):
            return x
        return jnp.where((index <= steps).reshape(-1, *[1] * (x.ndim - 1)), x, x[:1])

    def last_one(x: Array) -> Array:
        return x[jnp.minimum(index[:-1], jnp.maximum(steps - 1, 0))]

    def of(function: Any, tree: Any) -> Any:
        return jax.tree.map(function, tree)

    return episode._replace(
        observation=of(observed, episode.observation),
        reward=jnp.where(episode.mask, episode.reward, 0.0),
        instruction=of(last_one, episode.instruction),
    )
