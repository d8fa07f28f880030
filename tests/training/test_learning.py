"""Small problems that are solved in seconds: does training learn, and does exploring matter?"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dream_jax import config as configs
from dream_jax import validation
from dream_jax.agents import exploration_noise, inputs
from dream_jax.agents.dream import Dream
from dream_jax.config import Config
from dream_jax.data import rollout
from dream_jax.losses.reduce import masked_mean
from dream_jax.losses.td import double_q_lambda
from dream_jax.networks.policies import ExplorationPolicy
from dream_jax.oracles import bounds as oracles
from dream_jax.scaling import seeds as scaling
from dream_jax.training import evaluation as evaluate
from dream_jax.training import learner as learners
from dream_jax.training import setup
from dream_jax.training import trainer as train
from tests.running import trained
from tests.training.corridor import Corridor

SEEDS = (0, 1)
SMALL = {
    "networks.hidden_size": "32",
    "networks.head_size": "32",
    "networks.decoder_memory_size": "32",
    "networks.z_size": "8",
    "replay.capacity_trials": "2048",
    "replay.warmup_trials_exploitation": "128",
    "replay.warmup_trials_exploration": "512",
    "training.trials": "2560",
    "training.trials_per_iteration": "64",
    "training.updates_per_iteration": "16",
    "training.evaluation_period_trials": "2560",
}


def small_config(env, **changes) -> Config:
    config = configs.override(Config(), SMALL | changes)
    return validation.validate(config, env.num_actions)


def learn(config: Config, env: Corridor) -> dict[str, np.ndarray]:
    """Normalised test returns [seeds] after training: of the agent, and with less to go by."""
    trainer = setup.make_trainer(config, env)
    iterations = config.training.trials // config.training.trials_per_iteration
    runner = scaling.make_runner(trainer, SEEDS, iterations, jax.devices()[:1])
    state, losses = trained(runner)
    assert np.all(state.trials == config.training.trials)
    assert all(np.all(np.isfinite(loss)) for loss in losses.values())
    agent = trainer.agent
    # Random exploration needs more trials than there are problems, for its mean.
    trials = evaluate.trial_set(env, "test", 256, config.trial.exploitation_episodes, cover=True)

    def returns(params):
        result = evaluate.evaluate(agent, params, jax.random.key(0), trials)

        def uninformed(problem):
            """The same exploitation, but reading the empty trajectory."""
            key, zero = jax.random.key(0), jnp.float32(0.0)
            exploration = agent.explore(params, key, problem, zero).episode
            z = agent.decode(params, exploration)[0]
            instructions = jnp.zeros((1, 0), jnp.uint8)
            played = agent.exploit_all(params, key, problem, instructions, z)
            return played.episode.reward.sum()

        blind = jax.vmap(uninformed)(jnp.asarray(env.problem_ids("test")))
        return result.trial_return.mean(), result.encoder_return.mean(), blind.mean()

    low, high = oracles.no_exploration(env, "test").mean(), oracles.optimal(env, "test").mean()
    params = runner.place(train.newest_params(state))
    found = runner.join(runner.over_seeds(returns)(params))
    names = ("agent", "encoder", "blind")
    return {
        name: (np.asarray(value) - low) / (high - low)
        for name, value in zip(names, found, strict=True)
    }


def test_bounds_of_the_corridor():
    # Guessing between two levers: (1 + 0) / 2; the sign costs two moves.
    bounds = oracles.bounds(Corridor(), "test")
    assert bounds[:2] == pytest.approx((1.0, 0.5))


@pytest.mark.slow
def test_dream_explores_to_exploit():
    env = Corridor()
    result = learn(small_config(env), env)
    assert np.all(result["agent"] >= 0.95), result
    assert np.all(result["encoder"] >= 0.95), result
    assert np.all(result["blind"] <= 0.05), result


@pytest.mark.slow
def test_predicting_next_states_is_not_exploring_for_what_pays():
    # The levers change no state, and exploitation has no need to pass the sign.
    env = Corridor()
    result = learn(small_config(env, agent="dream_next_states"), env)
    assert np.all(result["encoder"] >= 0.95), result  # exploitation is as good
    assert np.all(result["agent"] <= 0.3), result


@pytest.mark.slow
def test_without_learned_exploration_the_same_budget_is_not_enough():
    # A random walk sees the sign in 0.05 of all trials: right, right; one "left" before, between.
    env = Corridor()
    result = learn(small_config(env, **{"acting.random_exploration": "true"}), env)
    assert np.all(result["encoder"] >= 0.95), result  # exploitation is as good
    assert np.all(result["agent"] <= 0.3), result


@pytest.mark.slow
def test_the_exploration_policy_alone_learns():
    """With a reward that never changes: 1 for the first sight of the sign, instead of gain."""
    env = Corridor()
    config = small_config(env)
    agent = Dream(config, env)
    fixed = agent.init(jax.random.key(0))
    net = ExplorationPolicy(config.networks, env.observation_sizes, env.num_actions, False)
    optimizer = learners.make_optimizer(config.optimizer, total_updates=1)
    ids = jnp.asarray(env.problem_ids("train"))
    epsilon = exploration_noise.epsilons(config.acting, jnp.zeros(()), 8).repeat(4)

    def explore(params, key, problem, epsilon):
        return agent.explore(fixed._replace(exploration=params), key, problem, epsilon).episode

    def reward(episode):
        seen = (episode.observation[1:, 1] > 0) & episode.mask
        return (seen & (jnp.cumsum(seen) == 1)).astype(jnp.float32)

    def squared_errors(params, target, episode):
        previous = jnp.append(env.num_actions, episode.action)
        fraction = rollout.fraction_over(env.horizon)
        shown = episode.observation, previous, jnp.zeros(env.horizon + 1), fraction
        cut = inputs.discounts(config.td, episode.terminated, episode.truncated)
        errors = double_q_lambda(
            net.apply(params, *shown),
            net.apply(target, *shown),
            episode.action.astype(jnp.int32),
            reward(episode),
            cut,
            episode.mask,
            config.td.trace_lambda,
        )
        return jnp.square(errors)

    def update(learner, key):
        keys = jax.random.split(key, 32)
        batch = jax.vmap(explore, (None, 0, 0, 0))(learner.params, keys, jnp.tile(ids, 8), epsilon)

        def loss(params):
            errors = jax.vmap(squared_errors, (None, None, 0))(params, learner.target_params, batch)
            return masked_mean(errors, batch.mask)

        gradient, always = jax.grad(loss)(learner.params), jnp.ones((), bool)
        period = config.td.target_update_period_updates
        learner = learners.update_learner(learner, gradient, optimizer, period, always)
        at_random = epsilon == 1.0
        returns = jax.vmap(reward)(batch).sum(axis=-1)
        return learner, jnp.sum(returns * at_random) / jnp.sum(at_random)

    @jax.jit
    def learn_it(learner, key):
        learner, random_returns = jax.lax.scan(update, learner, jax.random.split(key, 1000))
        zero = jnp.float32(0.0)
        greedy = jax.vmap(lambda mu: reward(explore(learner.params, key, mu, zero)).sum())(ids)
        return greedy, random_returns.mean()

    learner = learners.init_learner(fixed.exploration, optimizer)
    greedy, random = learn_it(learner, jax.random.key(1))
    # Four ways of a random walk, of 2, 3, 4 and 4 actions: 1/25 + 1/125 + 2/625.
    assert float(random) == pytest.approx(0.0512, abs=0.015)
    assert np.all(greedy == 1.0)
