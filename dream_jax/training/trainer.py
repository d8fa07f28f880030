"""Training of one seed: collect -> add -> sample -> update. `waves` makes many of it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from dream_jax.agents import recurrent_q, registry
from dream_jax.config import Config
from dream_jax.data import augmentation as augment
from dream_jax.data import replay
from dream_jax.training import bottleneck as dual
from dream_jax.training import shards as parallel
from dream_jax.types import Agent, Array, Env, Key, Learner, Params, TrainState, Trial

Metrics = dict[str, Array]


class Trainer(NamedTuple):
    """Pure functions of one seed's TrainState; `iterate` within the mesh axis of its `shards`."""

    agent: Agent
    init: Callable[[Array], TrainState]  # [] seed -> state
    iterate: Callable[[TrainState], tuple[TrainState, Metrics]]
    losses: Callable[[TrainState], Metrics]  # of the newest parameters, on a batch from replay
    trial_shape: Trial  # of jax.ShapeDtypeStruct
    metrics: tuple[str, ...]  # names of what `iterate` tells
    shards: parallel.Shards  # devices that share every batch of trials


def make_trainer(config: Config, env: Env) -> Trainer:
    agent = registry.make(config, env)
    learners = agent.learners
    shards = parallel.Shards(config.training.trial_shards)
    training, acting = config.training, config.acting
    actors = training.trials_per_iteration
    explorer, exploiter = getattr(learners, agent.explorer), getattr(learners, agent.exploiter)
    random_exploration = config.agent == "random_exploration"
    fixed_updates = training.updates_per_iteration
    losses_of = [agent.loss_names if x.losses is None else x.losses for x in learners]
    exploration_batch = config.exploration_batch_trials
    everyone = tuple(k for k, learner in enumerate(learners) if learner.learns)
    optimizers = _make_optimizers(config, learners)
    augmented = augment.make_batch(config.augmentation, env)

    def exploitation_epsilons(state: TrainState) -> Array:
        """[B] beside those of exploration."""
        epsilon = recurrent_q.epsilons(acting, _own_steps(state, exploiter), actors)
        if agent.explorer == agent.exploiter:
            return epsilon[recurrent_q.pairing(actors)]
        return epsilon[::-1]  # who explores most randomly exploits most greedily

    def collect(state: TrainState, params: Params, key: Key) -> Trial:
        """Trials of all parallel actors, leaves [B, ...]."""
        explore_epsilon = recurrent_q.epsilons(acting, _own_steps(state, explorer), actors)
        if random_exploration:
            explore_epsilon = jnp.ones(actors)
        if acting.epsilon == "ladder":
            # An untrained policy acts randomly: DREAM's decoder needs to see everything first.
            warming = state.trials < explorer.warmup_trials
            explore_epsilon = jnp.where(warming, 1.0, explore_epsilon)
        exploit_epsilon = exploitation_epsilons(state)
        actor = jnp.arange(actors)
        # "Choose z ~ q every other trial" (Section 4.2); IMPORT alternates too.
        from_decoder = (actor + (state.trials // actors) * (actors % 2)) % 2 == 0
        keys = jax.random.split(key, actors)
        mine = shards.mine((keys, explore_epsilon, exploit_epsilon, from_decoder))
        return shards.gather(jax.vmap(agent.collect, in_axes=(None, 0, 0, 0, 0))(params, *mine))

    def init(seed: Array) -> TrainState:
        params_key, key = jax.random.split(jax.random.key(seed))
        params = agent.init(params_key)
        zero = jnp.zeros((), jnp.int32)
        return TrainState(
            type(params)(*map(recurrent_q.init_learner, params, optimizers)),
            jax.tree.map(jnp.copy, params),
            replay.init(trial_shape, config.replay.capacity_trials),
            key,
            zero,
            zero,
            zero,
            jnp.zeros(len(learners)),
            dual.init(config),
        )

    def take(state: TrainState, index: Array) -> Trial:
        return replay.take(state.replay, index, trial_shape)

    def learn(
        state: TrainState, key: Key, due: Array, warm: Array, bottleneck_weight: Array | None
    ) -> tuple[Any, Params, Metrics]:
        """`due` updates of the learners that are `warm`: [learners] both. Their states, the average
        parameters, and the sums of the losses."""

        def update_of(which: tuple[int, ...]) -> Callable[[Array, tuple], tuple]:
            """One update of these learners, and the sums of their losses."""
            names = [name for name in agent.loss_names if any(name in losses_of[k] for k in which)]

            def update(i: Array, loop: tuple) -> tuple:
                states, average, sums, key = loop
                key, sample_key, augment_key, loss_key = jax.random.split(key, 4)
                index = replay.draw(state.replay, sample_key, config.replay.batch_trials)
                keys = jax.random.split(augment_key, len(index))
                batch = augmented(shards.mine(keys), take(state, shards.mine(index)))
                exploring = None
                if exploration_batch < config.replay.batch_trials:
                    exploring = take(state, shards.mine(index[:exploration_batch]))
                    exploring = augmented(shards.mine(keys[:exploration_batch]), exploring)
                states, average, parts = _update(
                    agent,
                    optimizers,
                    which,
                    states,
                    average,
                    batch,
                    exploring,
                    loss_key,
                    warm,
                    shards,
                    bottleneck_weight,
                )
                sums = sums | {name: sums[name] + parts[name] for name in names}
                return states, average, sums, key

            return update

        zeros = {name: jnp.zeros(()) for name in agent.loss_names}
        loop = (state.learners, state.average, zeros, key)
        together = jnp.min(due[jnp.array(everyone)])
        loop = jax.lax.fori_loop(0, together, update_of(everyone), loop)
        if not fixed_updates and len(everyone) > 1:  # then those that have more of them due, alone
            for k in everyone:
                loop = jax.lax.fori_loop(together, due[k], update_of((k,)), loop)
        states, average, sums, _ = loop
        return states, average, sums

    def iterate(state: TrainState) -> tuple[TrainState, Metrics]:
        key, collect_key, update_key = jax.random.split(state.key, 3)
        trials = collect(state, newest_params(state), collect_key)
        exploration_steps = jnp.sum(trials.exploration.mask)
        exploitation_steps = jnp.sum(trials.exploitation.mask)
        bottleneck_weight = None  # the config's
        if state.dual is not None:
            adapted = dual.adapt(config, state.dual, trials, exploitation_epsilons(state))
            state = state._replace(dual=adapted)
            bottleneck_weight = jnp.exp(adapted.log_weight)
        state = state._replace(
            key=key,
            replay=replay.add(state.replay, trials),
            trials=state.trials + actors,
            exploration_steps=state.exploration_steps + exploration_steps,
            exploitation_steps=state.exploitation_steps + exploitation_steps,
        )
        # Which learner may update, and how often: [learners].
        warm = state.trials >= jnp.array([learner.warmup_trials for learner in learners])
        if fixed_updates:
            due = jnp.full(len(learners), fixed_updates)
        else:
            new = {"exploration": exploration_steps, "exploitation": exploitation_steps}
            steps = jnp.stack([sum(new[phase] for phase in x.phases) for x in learners])
            steps = steps.astype(jnp.float32)
            credit = state.update_credit + steps * warm / training.env_steps_per_update
            due = jnp.floor(credit).astype(jnp.int32)
            state = state._replace(update_credit=credit - due)

        learned, average, sums = learn(state, update_key, due, warm, bottleneck_weight)
        state = state._replace(learners=learned, average=average)
        metrics = {
            f"loss_{name}": sums[name]
            / jnp.maximum(sum(due[k] for k in everyone if name in losses_of[k]), 1)
            for name in agent.loss_names
        }
        if bottleneck_weight is not None:
            metrics["bottleneck_weight"] = bottleneck_weight
        return state, metrics

    def newest_losses(state: TrainState) -> Metrics:
        # `split(key, n)[i]` is `fold_in(key, i)`: no number that the next iteration splits into.
        sample_key, loss_key = jax.random.split(jax.random.fold_in(state.key, 2**31 - 1))
        index = replay.draw(state.replay, sample_key, config.replay.batch_trials)
        batch = take(state, shards.mine(index))
        target = _targets(state.learners)
        parts = agent.batch_loss(newest_params(state), target, batch, loss_key, shards=shards)[1]
        return shards.total(parts)

    def one_trial(key: Key) -> Trial:
        zero, no = jnp.zeros(()), jnp.zeros((), bool)
        return agent.collect(agent.init(key), key, zero, zero, no)

    trial_shape = jax.eval_shape(one_trial, jax.random.key(0))
    metrics = tuple(f"loss_{name}" for name in agent.loss_names)
    if config.losses.bottleneck_dual:
        metrics = (*metrics, "bottleneck_weight")
    return Trainer(agent, init, iterate, newest_losses, trial_shape, metrics, shards)


def _make_optimizers(config: Config, learners: Any) -> Any:
    """One for each learner, in the same NamedTuple."""
    settings, updates = config.optimizer, total_updates(config)
    return type(learners)(
        *(
            recurrent_q.make_optimizer(settings, updates, learner.weight_decay, learner.decayed)
            for learner in learners
        )
    )


def _own_steps(state: TrainState, learner: Learner) -> Array:
    """[] environment steps of the phases that are a learner's own."""
    return sum(getattr(state, f"{phase}_steps") for phase in learner.phases)


def newest_params(state: TrainState) -> Params:
    return _newest(state.learners)


def _newest(states: Any) -> Params:
    return type(states)(*(state.params for state in states))


def _targets(states: Any) -> Params:
    return type(states)(*(state.target_params for state in states))


def evaluation_params(config: Config, state: TrainState) -> Params:
    """Averaged parameters if the config asks for them, else the newest."""
    return state.average if config.optimizer.average_decay else newest_params(state)


def _update(
    agent: Agent,
    optimizers: Any,
    which: tuple[int, ...],
    states: Any,
    average: Params,
    batch: Trial,
    exploring: Trial | None,
    key: Key,
    enabled: Array,
    shards: parallel.Shards,
    bottleneck_weight: Array | None,
) -> tuple[Any, Params, Metrics]:
    """One update from one batch, of the learners `which`: what only others need is not computed."""
    config, newest, target = agent.config, _newest(states), _targets(states)
    fields = [states._fields[k] for k in which]

    def loss(mine: dict[str, Any]) -> tuple[Array, Metrics]:
        params = newest._replace(**mine)
        return agent.batch_loss(params, target, batch, key, exploring, shards, bottleneck_weight)

    gradient, parts = shards.total(
        jax.grad(loss, has_aux=True)({name: getattr(newest, name) for name in fields})
    )
    period = config.td.target_update_period_updates
    states = states._replace(
        **{
            name: recurrent_q.update_learner(
                getattr(states, name), gradient[name], getattr(optimizers, name), period, enabled[k]
            )
            for k, name in zip(which, fields, strict=True)
        }
    )
    if config.optimizer.average_decay:
        decay = config.optimizer.average_decay
        average = jax.tree.map(lambda a, p: decay * a + (1.0 - decay) * p, average, _newest(states))
    return states, average, parts


def total_updates(config: Config) -> int:
    """Updates of a learner in a whole run; an upper bound, since it warms up first, and since
    updates may be paid for by environment steps."""
    training = config.training
    iterations = training.trials // training.trials_per_iteration
    # A policy of the whole trial counts the steps of both phases as its own, DREAM's those of one.
    phases = 2 if config.agent in registry.WHOLE_TRIAL else 1
    steps = training.trials_per_iteration * config.env.horizon * phases
    per_iteration = training.updates_per_iteration or steps // training.env_steps_per_update
    return iterations * per_iteration
