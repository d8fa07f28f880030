"""Makes the trainer of a config: the agent, its optimisers, the shape of its trials."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from dream_jax.agents import registry
from dream_jax.config import Config
from dream_jax.data import augmentation
from dream_jax.training import learner, statistics
from dream_jax.training.shards import Shards
from dream_jax.training.trainer import Trainer
from dream_jax.types import Agent, Env, Key, Learner, Params, Trial


def make_trainer(config: Config, env: Env) -> Trainer:
    """The trainer of a config. Raises ConfigError if its agent is not trained, or refuses it."""
    agent = registry.make(config, env)

    def one_trial(key: Key) -> Trial:
        zero, no = jnp.zeros(()), jnp.zeros((), bool)
        return agent.collect(agent.init(key), key, zero, zero, no)

    metrics = tuple(f"loss_{name}" for name in agent.loss_names)
    if config.losses.bottleneck_dual:
        metrics = (*metrics, "bottleneck_weight")
    return Trainer(
        agent,
        _make_optimizers(config, agent, env),
        augmentation.make_batch(config.augmentation, env),
        jax.eval_shape(one_trial, jax.random.key(0)),
        metrics,
        Shards(config.training.trial_shards),
    )


def total_updates(config: Config) -> int:
    """An upper bound on the updates of a learner in a whole run.

    A learner warms up first. Where updates follow environment steps, episodes may be short.
    """
    training = config.training
    iterations = training.trials // training.trials_per_iteration
    # A policy of the whole trial counts the steps of both phases as its own, DREAM's those of one.
    phases = 2 if registry.find(config.agent).acts_on_whole_trial else 1
    steps = training.trials_per_iteration * config.env.horizon * phases
    per_iteration = training.updates_per_iteration or steps // training.env_steps_per_update
    return iterations * per_iteration


def _make_optimizers(config: Config, agent: Agent, env: Env) -> Any:
    """One for each learner, in the same NamedTuple."""
    updates, learners = total_updates(config), agent.learners
    params = jax.eval_shape(agent.init, jax.random.key(0))
    has_statistics = statistics.init(env) is not None

    def one(each: Learner, mine: Params) -> optax.GradientTransformation:
        decayed = each.decayed
        if has_statistics:  # which are not weights
            decayed = _and(True if decayed is None else decayed, statistics.trained(mine))
        return learner.make_optimizer(config.optimizer, updates, each.weight_decay, decayed)

    return type(learners)(*map(one, learners, params))


def _and(prefix: Any, tree: Any) -> Any:
    """A tree of bool and another one that is a prefix of it."""
    return jax.tree.map(
        lambda on, below: jax.tree.map(lambda leaf: on and leaf, below), prefix, tree
    )
