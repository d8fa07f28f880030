"""One learner: its optimiser and its update."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from dream_jax.config import OptimizerConfig
from dream_jax.types import Array, LearnerState, Params, TrainState


def make_optimizer(
    config: OptimizerConfig, total_updates: int, weight_decay: float = 0.0, decayed: Any = None
) -> optax.GradientTransformation:
    """AdamW after clipping by the global norm. The learning rate is held, then falls linearly.

    Args:
      config: rates and limits.
      total_updates: of the whole run; the schedule ends there.
      weight_decay: AdamW's.
      decayed: a tree of bool, a prefix of the parameters': which of them decay. None: all.

    Moments are one vector. That takes a fifth less time to compile than a loop for each array.
    """
    schedule = optax.linear_schedule(
        config.learning_rate,
        config.learning_rate * config.final_learning_rate_fraction,
        max(round((1.0 - config.hold_fraction) * total_updates), 1),
        transition_begin=round(config.hold_fraction * total_updates),
    )
    return optax.chain(
        optax.flatten(
            optax.chain(optax.clip_by_global_norm(config.max_gradient_norm), optax.scale_by_adam())
        ),
        optax.add_decayed_weights(weight_decay, decayed),
        optax.scale_by_learning_rate(schedule),
    )


def init_learner(params: Params, optimizer: optax.GradientTransformation) -> LearnerState:
    """The target network starts as a copy of the parameters."""
    copy = jax.tree.map(jnp.copy, params)
    return LearnerState(params, copy, optimizer.init(params), jnp.zeros((), jnp.int32))


def update_learner(
    learner: LearnerState,
    gradient: Params,
    optimizer: optax.GradientTransformation,
    target_update_period_updates: int,
    enabled: Array,
) -> LearnerState:
    """One optimiser step, and a target copy after every so many updates.

    The learner stays as it is where `enabled` [] is false.
    """
    step, opt_state = optimizer.update(gradient, learner.opt_state, learner.params)
    params = optax.apply_updates(learner.params, step)
    updates = learner.updates + 1
    copy_now = updates % target_update_period_updates == 0
    target = jax.tree.map(lambda t, p: jnp.where(copy_now, p, t), learner.target_params, params)
    new = LearnerState(params, target, opt_state, updates)
    return jax.tree.map(lambda a, b: jnp.where(enabled, a, b), new, learner)


def with_params(state: TrainState, params: Params) -> TrainState:
    """The state before training, with other parameters."""
    learners = {
        name: learner._replace(params=mine, target_params=mine)
        for (name, learner), mine in zip(state.learners._asdict().items(), params, strict=True)
    }
    return state._replace(learners=state.learners._replace(**learners), average=params)
