"""Lambda as a dual variable: which way it goes, what it is told by, and what it weighs."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dream_jax import config as configs
from dream_jax import envs, presets, validation
from dream_jax.agents import registry
from dream_jax.config import ConfigError
from dream_jax.losses.dream import dual_step
from dream_jax.training import bottleneck as dual
from dream_jax.training import objective, setup
from dream_jax.training import trainer as train

SMALL = {
    "networks.hidden_size": "8",
    "networks.head_size": "8",
    "training.trials_per_iteration": "32",
    "replay.warmup_trials_exploitation": "32",
    "losses.bottleneck_dual": "true",
    "losses.bottleneck_weight": "1e-3",
}


@functools.cache
def made(**changes):
    """A small trainer on `bus` with lambda adapted."""
    config = configs.override(
        presets.smoke(presets.get("bus", "dream")),
        SMALL | {name.replace("__", "."): str(value) for name, value in changes.items()},
    )
    return setup.make_trainer(config, envs.from_config("bus", config.env))


@functools.cache
def collecting():
    """A trainer, its first state, and its compiled `collect`, mapped over trials."""
    trainer = made(losses__bottleneck_target=0.5)
    collect = jax.jit(jax.vmap(trainer.agent.collect, (None, 0, 0, 0, 0)))
    return trainer, jax.jit(trainer.init)(jnp.int32(0)), collect


@pytest.mark.parametrize(
    ("shortfall", "step"), [(0.0, 0.0), (0.05, -0.25), (0.1, -0.5), (7.0, -0.5), (-0.02, 0.1)]
)
def test_lambda_falls_while_returns_are_short(shortfall, step):
    found = dual_step(jnp.float32(-3.0), jnp.float32(shortfall), rate=0.5)
    np.testing.assert_allclose(found, -3.0 + step, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(("target", "sign"), [(100.0, -1), (-100.0, 1)])
def test_it_is_adapted_once_per_iteration_and_reported(target, sign):
    trainer = made(losses__bottleneck_target=target, losses__bottleneck_dual_rate=0.25)
    state = trainer.init(jnp.int32(0))
    np.testing.assert_allclose(jnp.exp(state.dual.log_weight), 1e-3, rtol=1e-5)
    iterate = jax.jit(trainer.iterate)
    for n in range(1, 4):
        state, metrics = iterate(state)
        weight = 1e-3 * np.exp(sign * 0.25 * n)
        np.testing.assert_allclose(metrics["bottleneck_weight"], weight, rtol=1e-4)


@pytest.mark.slow
def test_lambda_reaches_the_update_of_the_encoder_and_no_other():
    # One update: a second one pays exploration for what the first made of the encoder.
    one = {"training.updates_per_iteration": 1, "replay.warmup_trials_exploration": 32}
    trainer = made(losses__bottleneck_dual_rate=0.0, **one)
    iterate = jax.jit(trainer.iterate)
    state = iterate(trainer.init(jnp.int32(0)))[0]

    def trained(log_weight):
        start = state._replace(dual=state.dual._replace(log_weight=jnp.float32(log_weight)))
        return train.newest_params(iterate(start)[0])

    strong, weak = trained(0.0), trained(-20.0)
    moved = jax.tree.map(lambda x, y: float(jnp.max(jnp.abs(x - y))), strong, weak)
    assert max(jax.tree.leaves(moved.exploitation.encoder)) > 1e-6
    assert max(jax.tree.leaves(moved.exploration)) == 0


def test_it_is_told_by_nearly_greedy_actors_with_the_encoding():
    trainer, state, collect = collecting()
    keys = jax.random.split(jax.random.key(0), 4)
    params = train.newest_params(state)
    decoded = jnp.array([False, False, True, False])
    zeros = jnp.zeros(4)
    trials = collect(params, keys, zeros, zeros, decoded)
    first = jnp.array([0.2, -0.4, 5.0, 9.0])  # of the first step; all else pays nothing
    reward = jnp.zeros_like(trials.exploitation.reward).at[:, 0, 0].set(first)
    trials = trials._replace(exploitation=trials.exploitation._replace(reward=reward))
    epsilon = jnp.array([0.02, 0.1, 0.02, 0.5])  # the third acts on g, the fourth at random
    config = trainer.agent.config
    found = dual.adapt(config, state.dual, trials, epsilon)
    mean = 0.5 + 0.05 * ((0.2 - 0.4) / 2 - 0.5)
    np.testing.assert_allclose(found.mean_return, mean, rtol=1e-5)
    expected = dual_step(state.dual.log_weight, 0.5 - mean, 0.02)
    np.testing.assert_allclose(found.log_weight, expected, rtol=1e-6)
    nobody = dual.adapt(config, state.dual, trials, jnp.ones(4))
    assert nobody.mean_return == state.dual.mean_return


def test_lambda_weighs_the_bottleneck_and_nothing_else():
    trainer, state, collect = collecting()
    params = jax.tree.map(lambda x: x + 0.1, train.newest_params(state))
    keys = jax.random.split(jax.random.key(1), 4)
    on, off = jnp.ones(4), jnp.zeros(4, bool)
    trials = collect(params, keys, on, on, off)

    @jax.jit
    def loss(weight):
        key = jax.random.key(2)
        batch, weights = objective.Batch(trials), {"bottleneck": weight}
        return objective.loss(trainer.agent, params, params, batch, key, weights=weights)

    (one, parts), (two, same) = loss(0.5), loss(2.0)
    np.testing.assert_allclose(two - one, 1.5 * parts["bottleneck"], rtol=2e-3)
    assert parts["bottleneck"] > 0 and parts == same


def test_without_it_the_state_is_what_it_was():
    assert jax.eval_shape(made(losses__bottleneck_dual="false").init, 0).dual is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"losses.bottleneck_weight": "0"}, "losses.bottleneck_weight=0.0 must be above 0"),
        ({"agent": "e_rl2"}, "losses.bottleneck_dual=true: agent='e_rl2' has no bottleneck"),
        (
            {"acting.epsilon": "linear"},
            "acting.epsilon='linear': .* needs 'ladder'",
        ),
        ({"acting.epsilon_min": "0.2"}, "acting.epsilon_min=0.2: .* at most 0.1"),
        ({"acting.random_suffix_fraction": "1"}, "acting.random_suffix_fraction=1.0: .* needs 0"),
        ({"acting.time_shift_fraction": "0.5"}, "acting.time_shift_fraction=0.5: .* needs 0"),
    ],
)
def test_bad_settings_are_named(change, message):
    config = configs.override(presets.get("bus", "dream"), SMALL | change)
    with pytest.raises(ConfigError, match=message):
        registry.check(config)
        validation.validate(config, 9)
