"""What is minimised: means of the agents' loss terms over a batch of trials, and their weights.

Agents give the loss terms of one trial (`types.Agent.loss_terms`). Only this module averages over a
batch, and only here do losses know that several devices share it.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from dream_jax.data import padding
from dream_jax.losses.reduce import masked_mean
from dream_jax.training import shards as sharding
from dream_jax.types import Agent, Array, Key, LossContext, LossTerms, Params, Trial

PHASES = ("exploitation", "exploration")


class Batch(NamedTuple):
    """The trials of one update: this device's part of them."""

    trials: Trial  # leaves [B, ...]
    exploring: Trial | None = None  # leaves [B', ...]: the trials that train exploration, if fewer


def loss(
    agent: Agent,
    params: Params,
    target: Params,
    batch: Batch,
    key: Key,
    shards: sharding.Shards = sharding.ONE,
    weights: Mapping[str, Any] | None = None,
) -> tuple[Array, dict[str, Array]]:
    """The weighted sum [] of an agent's losses on a batch, and the losses themselves, by name.

    Args:
      agent: gives the loss terms of each trial.
      params: online parameters.
      target: those of the target network.
      batch: the trials.
      key: for all of the batch, on every device.
      shards: the devices that share the batch. Results and gradients are this device's share.
      weights: of the losses, in place of the agent's.
    """
    statistics = agent.batch_statistics(params, batch.trials, shards.gather)

    def terms(trials: Trial, phases: tuple[str, ...], key: Key) -> LossTerms:
        keys = shards.mine(jax.random.split(key, trials.problem.shape[0] * shards.devices))

        def of_one(trial: Trial, key: Key) -> LossTerms:
            context = LossContext(key, statistics, phases)
            return agent.loss_terms(params, target, padding.cleared(trial), context)

        return jax.vmap(of_one)(trials, keys)

    if batch.exploring is None or agent.acts_on_whole_trial:
        found = terms(batch.trials, PHASES, key)
    else:
        other_key = jax.random.fold_in(key, 2**31 - 1)  # no number that `key` is split into
        found = terms(batch.trials, PHASES[:1], key) | terms(batch.exploring, PHASES[1:], other_key)
    # The count is that of the whole batch, so that a part gives its share of the mean.
    parts = {
        name: masked_mean(term.values, term.mask, shards.total(jnp.sum(term.mask)))
        for name, term in found.items()
    }
    weights = dict(agent.loss_weights) | dict(weights or {})
    total = sum((weights[name] * parts[name] for name in agent.loss_names), jnp.zeros(()))
    return total, parts
