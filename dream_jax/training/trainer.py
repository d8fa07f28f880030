"""Training of one seed: collect -> add -> sample -> update. `scaling.seeds` trains many seeds."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from dream_jax.agents import exploration_noise
from dream_jax.config import Config
from dream_jax.data import replay
from dream_jax.training import bottleneck, learner, objective, statistics
from dream_jax.training.objective import Batch
from dream_jax.training.shards import Shards
from dream_jax.types import Agent, Array, Key, Learner, Params, TrainState, Trial

Metrics = dict[str, Array]


class Due(NamedTuple):
    """The updates that an iteration makes."""

    updates: Array  # [learners] int32
    warm: Array  # [learners] bool: has enough trials; without them its updates change nothing
    bottleneck_weight: Array | None  # [] lambda, where it is adapted


class Learned(NamedTuple):
    """What the updates of an iteration carry from one to the next."""

    learners: Any  # the agent's parameters, with a LearnerState for each learner
    average: Params
    sums: Metrics  # of each loss over the updates
    key: Key


@dataclasses.dataclass(frozen=True, eq=False)
class Trainer:
    """Training as pure functions of one seed's TrainState. `setup.make_trainer` makes it.

    Where devices share each batch, `iterate` and `losses` run inside the mesh axis of `shards`.
    """

    agent: Agent
    optimizers: Any  # of each learner, in the same NamedTuple
    augmented: Callable[[Key, Trial], Trial]  # of a batch
    trial_shape: Trial  # of jax.ShapeDtypeStruct
    metrics: tuple[str, ...]  # the names of what `iterate` returns
    shards: Shards  # the devices that share every batch of trials

    @property
    def config(self) -> Config:
        return self.agent.config

    def init(self, seed: Array) -> TrainState:
        """The state before training. seed: [] int32."""
        params_key, key = jax.random.split(jax.random.key(seed))
        params = self.agent.init(params_key)
        zero = jnp.zeros((), jnp.int32)
        return TrainState(
            type(params)(*map(learner.init_learner, params, self.optimizers)),
            jax.tree.map(jnp.copy, params),
            replay.init(self.trial_shape, self.config.replay.capacity_trials),
            key,
            zero,
            zero,
            zero,
            jnp.zeros(len(params)),
            bottleneck.init(self.config),
            statistics.init(self.agent.env),
        )

    def iterate(self, state: TrainState) -> tuple[TrainState, Metrics]:
        """Collect a batch of trials, add it to replay, and make the updates that are then due."""
        key, collect_key, update_key = jax.random.split(state.key, 3)
        trials = self.collect(state, collect_key)
        if state.dual is not None:
            epsilon = self.exploitation_epsilons(state)
            state = state._replace(dual=bottleneck.adapt(self.config, state.dual, trials, epsilon))
        state = statistics.see(self.agent.env, state, trials)
        state, due = self.add(state._replace(key=key), trials)
        learned = self.learn(state, update_key, due)
        state = state._replace(learners=learned.learners, average=learned.average)
        return state, self._means(learned.sums, due)

    def losses(self, state: TrainState) -> Metrics:
        """The losses of the newest parameters on a batch from replay. Changes nothing."""
        # `split(key, n)[i]` is `fold_in(key, i)`: no number that the next iteration splits into.
        sample_key, loss_key = jax.random.split(jax.random.fold_in(state.key, 2**31 - 1))
        index = replay.draw(state.replay, sample_key, self.config.replay.batch_trials)
        batch = Batch(replay.take(state.replay, self.shards.mine(index), self.trial_shape))
        both = newest_params(state), target_params(state.learners)
        return self.shards.total(objective.loss(self.agent, *both, batch, loss_key, self.shards)[1])

    # The steps of an iteration

    def exploration_epsilons(self, state: TrainState) -> Array:
        """[B] epsilon of exploration of each parallel trial."""
        acting, explorer = self.config.acting, self._learner(self.agent.explorer)
        actors = self.config.training.trials_per_iteration
        if acting.random_exploration:
            return jnp.ones(actors)
        epsilon = exploration_noise.epsilons(acting, _own_steps(state, explorer), actors)
        if acting.epsilon == "ladder":
            # An untrained policy acts at random: DREAM's decoder must first see everything.
            epsilon = jnp.where(state.trials < explorer.warmup_trials, 1.0, epsilon)
        return epsilon

    def exploitation_epsilons(self, state: TrainState) -> Array:
        """[B] epsilon of exploitation of each parallel trial."""
        acting, exploiter = self.config.acting, self._learner(self.agent.exploiter)
        actors = self.config.training.trials_per_iteration
        epsilon = exploration_noise.epsilons(acting, _own_steps(state, exploiter), actors)
        if self.agent.explorer == self.agent.exploiter:
            return epsilon[exploration_noise.pairing(actors)]
        return epsilon[::-1]  # the most random explorer is the most greedy exploiter

    def collect(self, state: TrainState, key: Key) -> Trial:
        """Trials of all parallel actors, leaves [B, ...]."""
        actors = self.config.training.trials_per_iteration
        explore, exploit = self.exploration_epsilons(state), self.exploitation_epsilons(state)
        # "Choose z ~ q every other trial" (Section 4.2). IMPORT alternates too.
        number = jnp.arange(actors) + (state.trials // actors) * (actors % 2)
        acts_on_exploration = number % 2 == 0
        keys = jax.random.split(key, actors)
        mine = self.shards.mine((keys, explore, exploit, acts_on_exploration))
        collect = jax.vmap(self.agent.collect, in_axes=(None, 0, 0, 0, 0))
        return self.shards.gather(collect(newest_params(state), *mine))

    def add(self, state: TrainState, trials: Trial) -> tuple[TrainState, Due]:
        """The state with these trials in replay and counted, and the updates that are then due."""
        training, learners = self.config.training, self.agent.learners
        steps = {
            "exploration": jnp.sum(trials.exploration.mask),
            "exploitation": jnp.sum(trials.exploitation.mask),
        }
        state = state._replace(
            replay=replay.add(state.replay, trials),
            trials=state.trials + training.trials_per_iteration,
            exploration_steps=state.exploration_steps + steps["exploration"],
            exploitation_steps=state.exploitation_steps + steps["exploitation"],
        )
        warm = state.trials >= jnp.array([each.warmup_trials for each in learners])
        weight = None if state.dual is None else jnp.exp(state.dual.log_weight)
        if training.updates_per_iteration:
            updates = jnp.full(len(learners), training.updates_per_iteration)
            return state, Due(updates, warm, weight)
        own = [sum(steps[phase] for phase in each.phases) for each in learners]
        new = jnp.stack(own).astype(jnp.float32) * warm
        credit = state.update_credit + new / training.env_steps_per_update
        updates = jnp.floor(credit).astype(jnp.int32)
        return state._replace(update_credit=credit - updates), Due(updates, warm, weight)

    def learn(self, state: TrainState, key: Key, due: Due) -> Learned:
        """All updates of an iteration: of all learners together, then of those with more due."""
        zeros = {name: jnp.zeros(()) for name in self.agent.loss_names}
        learned = Learned(state.learners, state.average, zeros, key)
        everyone = self._learning

        def updates_of(which: tuple[int, ...]) -> Callable[[Array, Learned], Learned]:
            return lambda _, learned: self.update(which, learned, state, due)

        together = jnp.min(due.updates[jnp.array(everyone)])
        learned = jax.lax.fori_loop(0, together, updates_of(everyone), learned)
        if not self.config.training.updates_per_iteration and len(everyone) > 1:
            for k in everyone:
                learned = jax.lax.fori_loop(together, due.updates[k], updates_of((k,)), learned)
        return learned

    def update(
        self, which: tuple[int, ...], learned: Learned, state: TrainState, due: Due
    ) -> Learned:
        """One update of the learners `which`. Losses that only others need are not computed."""
        key, batch_key, augment_key, loss_key = jax.random.split(learned.key, 4)
        batch = self.sample(state, batch_key, augment_key)
        newest, target = _newest(learned.learners), target_params(learned.learners)
        weights = {} if due.bottleneck_weight is None else {"bottleneck": due.bottleneck_weight}

        def loss(trained: dict[str, Params]) -> tuple[Array, Metrics]:
            params = newest._replace(**trained)
            return objective.loss(self.agent, params, target, batch, loss_key, self.shards, weights)

        trained = {newest._fields[k]: newest[k] for k in which}
        gradient, parts = self.shards.total(jax.grad(loss, has_aux=True)(trained))
        period = self.config.td.target_update_period_updates
        learners = learned.learners._replace(
            **{
                name: learner.update_learner(
                    learned.learners[k], gradient[name], self.optimizers[k], period, due.warm[k]
                )
                for k, name in zip(which, trained, strict=True)
            }
        )
        average, decay = learned.average, self.config.optimizer.average_decay
        if decay:
            average = jax.tree.map(
                lambda a, p: decay * a + (1.0 - decay) * p, average, _newest(learners)
            )
        sums = {name: learned.sums[name] + parts[name] for name in self._losses_of(which)}
        return Learned(learners, average, learned.sums | sums, key)

    def sample(self, state: TrainState, key: Key, augment_key: Key) -> Batch:
        """This device's part of a batch from replay, augmented."""
        count, fewer = self.config.replay.batch_trials, self.config.exploration_batch_trials
        index = replay.draw(state.replay, key, count)
        keys = jax.random.split(augment_key, count)

        def first(n: int) -> Trial:
            places = self.shards.mine(index[:n])
            trials = replay.take(state.replay, places, self.trial_shape)
            return self.augmented(self.shards.mine(keys[:n]), trials)

        return Batch(first(count), first(fewer) if fewer < count else None)

    @property
    def _learning(self) -> tuple[int, ...]:
        """The learners whose parameters change."""
        return tuple(k for k, each in enumerate(self.agent.learners) if each.learns)

    def _learner(self, name: str) -> Learner:
        return getattr(self.agent.learners, name)

    def _losses_of(self, which: tuple[int, ...]) -> list[str]:
        """The names of the losses that train these learners."""
        learners = self.agent.learners
        mine = [self.agent.loss_names if x.losses is None else x.losses for x in learners]
        return [name for name in self.agent.loss_names if any(name in mine[k] for k in which)]

    def _means(self, sums: Metrics, due: Due) -> Metrics:
        """The mean of each loss over the updates of the learners that it trains."""
        metrics = {}
        for name in self.agent.loss_names:
            updates = sum(due.updates[k] for k in self._learning if name in self._losses_of((k,)))
            metrics[f"loss_{name}"] = sums[name] / jnp.maximum(updates, 1)
        if due.bottleneck_weight is not None:
            metrics["bottleneck_weight"] = due.bottleneck_weight
        return metrics


def newest_params(state: TrainState) -> Params:
    return _newest(state.learners)


def target_params(learners: Any) -> Params:
    """The parameters of the target networks, from the states of an agent's learners."""
    return type(learners)(*(each.target_params for each in learners))


def _newest(learners: Any) -> Params:
    return type(learners)(*(each.params for each in learners))


def _own_steps(state: TrainState, learner: Learner) -> Array:
    """[] environment steps of the phases that a learner acts in."""
    return sum(getattr(state, f"{phase}_steps") for phase in learner.phases)
