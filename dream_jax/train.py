"""Training: collect -> add -> sample -> update, one jitted and donated chunk over all seeds."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from dream_jax import parallel, replay, rollout
from dream_jax.agents import recurrent_q
from dream_jax.agents.dream import LOSS_NAMES, Dream, DreamParams, ExploitationParams
from dream_jax.config import Config, ConfigError
from dream_jax.losses import dream as losses
from dream_jax.types import Array, Env, Key, LearnerState, TrainState, Trial

Metrics = dict[str, Array]


class Trainer(NamedTuple):
    """Pure functions of one seed's TrainState; `iterate` within the mesh axis of its `shards`."""

    agent: Dream
    init: Callable[[Array], TrainState]  # [] seed -> state
    iterate: Callable[[TrainState], tuple[TrainState, Metrics]]
    losses: Callable[[TrainState], Metrics]  # of the newest parameters, on a batch from replay
    trial_shape: Trial  # of jax.ShapeDtypeStruct
    shards: parallel.Shards  # devices that share every batch of trials


def make_trainer(config: Config, env: Env) -> Trainer:
    agent = Dream(config, env)
    shards = parallel.Shards(config.training.trial_shards)
    training, acting = config.training, config.acting
    actors = training.trials_per_iteration
    train_ids = env.problem_ids("train")
    random_exploration = config.agent == "random_exploration"
    fixed_updates = training.updates_per_iteration
    exploration_batch = config.exploration_batch_trials
    optimizers = _make_optimizers(config)

    def collect_one(
        params: DreamParams,
        key: Key,
        exploration_epsilon: Array,
        exploitation_epsilon: Array,
        z_from_decoder: Array,
    ) -> Trial:
        keys = jax.random.split(key, 9)
        problem = jnp.asarray(train_ids)[jax.random.randint(keys[0], (), 0, len(train_ids))]
        exploration = agent.explore(params, keys[1], problem, exploration_epsilon)
        instructions = rollout.sample_instructions(env, keys[2], problem, config.trial)

        f = agent.encode(params, problem)
        z_encoder = losses.sample_encoding(keys[3], f, config.losses.rho)
        z = jnp.where(z_from_decoder, agent.read(params, exploration), z_encoder)

        # Greedy up to a random step, random after it: reaches what a half-learned policy leads to.
        suffix = jax.random.bernoulli(keys[4], acting.random_suffix_fraction)
        start = jnp.where(suffix, jax.random.randint(keys[5], (), 0, env.horizon), env.horizon)
        epsilon = jnp.where(suffix, acting.epsilon_min, exploitation_epsilon)
        # As if the episode were further on: what is first learned near the end is tried early.
        shifted = jax.random.bernoulli(keys[6], acting.time_shift_fraction)
        shift = jnp.where(shifted, jax.random.uniform(keys[7]), 0.0)
        episode_keys = jax.random.split(keys[8], config.trial.exploitation_episodes)
        exploitation = jax.vmap(
            lambda k, i: agent.exploit(params, k, problem, i, z, epsilon, start, shift)
        )(episode_keys, instructions)
        return Trial(problem, exploration, instructions, exploitation, z_from_decoder)

    def collect(state: TrainState, params: DreamParams, key: Key) -> Trial:
        """Trials of all parallel actors, leaves [B, ...]."""
        explore_epsilon = recurrent_q.epsilons(acting, state.exploration_steps, actors)
        if random_exploration:
            explore_epsilon = jnp.ones(actors)
        if acting.epsilon == "ladder":
            # An untrained policy acts randomly: the decoder needs to see everything first.
            warming = state.trials < config.replay.warmup_trials_exploration
            explore_epsilon = jnp.where(warming, 1.0, explore_epsilon)
        # Reversed: the actor that explores most randomly exploits most greedily.
        exploit_epsilon = recurrent_q.epsilons(acting, state.exploitation_steps, actors)[::-1]
        actor = jnp.arange(actors)
        # "Choose z ~ q every other trial" (Section 4.2).
        from_decoder = (actor + (state.trials // actors) * (actors % 2)) % 2 == 0
        keys = jax.random.split(key, actors)
        mine = shards.mine((keys, explore_epsilon, exploit_epsilon, from_decoder))
        return shards.gather(jax.vmap(collect_one, in_axes=(None, 0, 0, 0, 0))(params, *mine))

    def init(seed: Array) -> TrainState:
        params_key, key = jax.random.split(jax.random.key(seed))
        params = agent.init(params_key)
        zero = jnp.zeros((), jnp.int32)
        return TrainState(
            recurrent_q.init_learner(params.exploitation, optimizers.exploitation),
            recurrent_q.init_learner(params.exploration, optimizers.exploration),
            jax.tree.map(jnp.copy, params),
            replay.init(trial_shape, config.replay.capacity_trials),
            key,
            zero,
            zero,
            zero,
            jnp.zeros(2),
        )

    def iterate(state: TrainState) -> tuple[TrainState, Metrics]:
        key, collect_key, update_key = jax.random.split(state.key, 3)
        trials = collect(state, newest_params(state), collect_key)
        exploration_steps = jnp.sum(trials.exploration.mask)
        exploitation_steps = jnp.sum(trials.exploitation.mask)
        state = state._replace(
            key=key,
            replay=replay.add(state.replay, trials),
            trials=state.trials + actors,
            exploration_steps=state.exploration_steps + exploration_steps,
            exploitation_steps=state.exploitation_steps + exploitation_steps,
        )
        # Which learner may update, and how often: [2], exploitation first.
        warm = state.trials >= jnp.array(
            [config.replay.warmup_trials_exploitation, config.replay.warmup_trials_exploration]
        )
        if fixed_updates:
            due = jnp.full(2, fixed_updates)
            most: int | Array = fixed_updates
        else:
            steps = jnp.stack([exploitation_steps, exploration_steps]).astype(jnp.float32)
            credit = state.update_credit + steps * warm / training.env_steps_per_update
            due = jnp.floor(credit).astype(jnp.int32)
            state = state._replace(update_credit=credit - due)
            most = jnp.max(due)
        if random_exploration:
            warm = warm & jnp.array([True, False])

        def update(i: Array, loop: tuple) -> tuple:
            learners, average, sums, key = loop
            key, sample_key, loss_key = jax.random.split(key, 3)
            index = replay.draw(state.replay, sample_key, config.replay.batch_trials)
            batch = replay.take(state.replay, shards.mine(index))
            exploring = None
            if exploration_batch < config.replay.batch_trials:
                exploring = replay.take(state.replay, shards.mine(index[:exploration_batch]))
            learners, average, parts = _update(
                agent,
                optimizers,
                learners,
                average,
                batch,
                exploring,
                loss_key,
                warm & (i < due),
                shards,
            )
            sums = {name: sums[name] + parts[name] for name in LOSS_NAMES}
            return learners, average, sums, key

        zeros = {name: jnp.zeros(()) for name in LOSS_NAMES}
        loop = ((state.exploitation, state.exploration), state.average, zeros, update_key)
        (exploitation, exploration), average, sums, _ = jax.lax.fori_loop(0, most, update, loop)
        state = state._replace(exploitation=exploitation, exploration=exploration, average=average)
        count = jnp.maximum(jnp.asarray(most, jnp.float32), 1.0)
        return state, {f"loss_{name}": sums[name] / count for name in LOSS_NAMES}

    def newest_losses(state: TrainState) -> Metrics:
        sample_key, loss_key = jax.random.split(jax.random.fold_in(state.key, 1))
        index = replay.draw(state.replay, sample_key, config.replay.batch_trials)
        batch = replay.take(state.replay, shards.mine(index))
        target = DreamParams(state.exploitation.target_params, state.exploration.target_params)
        parts = agent.batch_loss(newest_params(state), target, batch, loss_key, shards=shards)[1]
        return shards.total(parts)

    def one_trial(key: Key) -> Trial:
        zero, no = jnp.zeros(()), jnp.zeros((), bool)
        return collect_one(agent.init(key), key, zero, zero, no)

    trial_shape = jax.eval_shape(one_trial, jax.random.key(0))
    return Trainer(agent, init, iterate, newest_losses, trial_shape, shards)


class Optimizers(NamedTuple):
    exploitation: optax.GradientTransformation
    exploration: optax.GradientTransformation


def _make_optimizers(config: Config) -> Optimizers:
    """Weight decay where z is made and used: encodings of few training problems then share parts,
    and what is learned from them carries over to problems never seen."""
    settings, updates = config.optimizer, total_updates(config)
    decayed = ExploitationParams(policy=True, encoder=settings.decay_encoder, decoder=True)
    return Optimizers(
        recurrent_q.make_optimizer(settings, updates, settings.weight_decay, decayed),
        recurrent_q.make_optimizer(settings, updates, 0.0),
    )


def newest_params(state: TrainState) -> DreamParams:
    return DreamParams(state.exploitation.params, state.exploration.params)


def evaluation_params(config: Config, state: TrainState) -> DreamParams:
    """Averaged parameters if the config asks for them, else the newest."""
    return state.average if config.optimizer.average_decay else newest_params(state)


def _update(
    agent: Dream,
    optimizers: "Optimizers",
    learners: tuple[LearnerState, LearnerState],
    average: DreamParams,
    batch: Trial,
    exploring: Trial | None,
    key: Key,
    enabled: Array,
    shards: parallel.Shards,
) -> tuple[tuple[LearnerState, LearnerState], DreamParams, Metrics]:
    """One update of both learners from one batch; the losses share no path between them."""
    config = agent.config
    exploitation, exploration = learners
    target = DreamParams(exploitation.target_params, exploration.target_params)
    params = DreamParams(exploitation.params, exploration.params)
    gradient, parts = shards.total(
        jax.grad(agent.batch_loss, has_aux=True)(params, target, batch, key, exploring, shards)
    )
    period = config.td.target_update_period_updates
    exploitation = recurrent_q.update_learner(
        exploitation, gradient.exploitation, optimizers.exploitation, period, enabled[0]
    )
    exploration = recurrent_q.update_learner(
        exploration, gradient.exploration, optimizers.exploration, period, enabled[1]
    )
    if config.optimizer.average_decay:
        decay = config.optimizer.average_decay
        params = DreamParams(exploitation.params, exploration.params)
        average = jax.tree.map(lambda a, p: decay * a + (1.0 - decay) * p, average, params)
    return (exploitation, exploration), average, parts


def total_updates(config: Config) -> int:
    """Updates of a whole run; an upper bound where they are paid for by environment steps."""
    training = config.training
    iterations = training.trials // training.trials_per_iteration
    per_iteration = training.updates_per_iteration or (
        training.trials_per_iteration * config.env.horizon // training.env_steps_per_update
    )
    return iterations * per_iteration


class SeedRunner(NamedTuple):
    """The trainer over a leading seed axis, spread over devices."""

    init: Callable[[], TrainState]
    chunk: jax.stages.Wrapped  # TrainState -> (TrainState, Metrics), donates its argument
    place: Callable[[Any], Any]  # host arrays -> devices, for restoring
    over_seeds: Callable[[Callable], jax.stages.Wrapped]  # f(params, ...), mapped over params
    mesh: Mesh  # axes "seed" and "trial"


def make_runner(
    trainer: Trainer, seeds: Sequence[int], iterations_per_chunk: int, devices: Sequence[Any]
) -> SeedRunner:
    """Seeds spread over as many of `devices` as divide them evenly, trials as `trainer` says.

    The seeds of one device are vmapped, or on a CPU run one after the other: it gains nothing from
    a seed axis inside its matmuls, which become batches of small ones.
    """
    vectorised = devices[0].platform != "cpu"
    share = trainer.shards.devices
    if share > len(devices):
        raise ConfigError(
            f"training.trial_shards={share} devices are to share each batch, "
            f"{len(devices)} are there; give at most that"
        )
    most = len(devices) // share
    groups = max(n for n in range(1, most + 1) if len(seeds) % n == 0)
    grid = np.array(devices[: groups * share]).reshape(groups, share)
    mesh = Mesh(grid, ("seed", parallel.TRIAL_AXIS))
    spec = PartitionSpec("seed")  # parameters, and replay, are whole on every device of a group
    sharding = NamedSharding(mesh, spec)

    def spread(function, in_specs):
        return jax.shard_map(
            function, mesh=mesh, in_specs=in_specs, out_specs=spec, check_vma=False
        )

    def each(function):
        return jax.vmap(function) if vectorised else lambda xs: jax.lax.map(function, xs)

    def chunk(state: TrainState) -> tuple[TrainState, Metrics]:
        def body(state, _):
            return trainer.iterate(state)

        state, metrics = jax.lax.scan(body, state, None, length=iterations_per_chunk)
        means = {name: jnp.mean(values) for name, values in metrics.items()}
        # The newest parameters have made no loss yet: one that is not finite shows now.
        newest = {f"loss_{name}": loss for name, loss in trainer.losses(state).items()}
        return state, {k: jnp.where(jnp.isfinite(newest[k]), means[k], newest[k]) for k in means}

    def over_seeds(function):
        """Maps the first argument over seeds; the others are shared."""

        def mapped(first, *shared):
            return each(lambda one: function(one, *shared))(first)

        def call(first, *shared):
            in_specs = (spec, *(PartitionSpec() for _ in shared))
            return spread(mapped, in_specs)(first, *shared)

        return jax.jit(call)

    seed_array = parallel.place(np.asarray(seeds, np.int32), sharding)
    init = jax.jit(spread(each(trainer.init), (spec,)))
    return SeedRunner(
        lambda: init(seed_array),
        jax.jit(spread(each(chunk), (spec,)), donate_argnums=0),
        lambda tree: parallel.place(tree, sharding),
        over_seeds,
        mesh,
    )
