"""Meta-testing in a dm_env world, step by step: the same as rolled by JAX."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dream_jax import config as configs
from dream_jax import envs, presets
from dream_jax.agents.dream import Dream
from dream_jax.config import ConfigError
from dream_jax.data import pictures
from dream_jax.envs.adapters.dm_env import DmEnvAdapter
from dream_jax.training import host_player as play
from dream_jax.types import Episode

SMALL = {"networks.hidden_size": "8", "networks.head_size": "8"}


def make(benchmark, **overrides):
    config = configs.override(presets.get(benchmark, "dream"), SMALL | overrides)
    env = envs.from_config(benchmark, config.env)
    agent = Dream(config, env)
    # Far from 0, or every greedy action is the same.
    params = jax.tree.map(lambda x: 3.0 * x, jax.jit(agent.init)(jax.random.key(4)))
    return env, agent, params


def test_a_grid_world_is_played_as_it_is_rolled():
    env, agent, params = make("map")
    player, world = play.Player(agent, params), DmEnvAdapter(env)
    roll = jax.jit(lambda *args: agent.meta_test(params, jax.random.key(0), *args))
    read = jax.jit(agent.read)
    lengths, differ = set(), set()
    for problem in (0, 5, 11):
        instructions = np.array([env.instructions(problem)[0]])
        test = roll(jnp.int32(problem), jnp.asarray(instructions))
        exploration, exploitation = test.exploration, test.exploitation
        played = player.trial(world, jax.random.key(1), problem, instructions, instructions[0])
        for rolled, got in (
            (exploration, played.exploration),
            (jax.tree.map(lambda x: x[0], exploitation), played.exploitation[0]),
        ):
            steps = int(rolled.mask.sum())
            np.testing.assert_array_equal(rolled.action[:steps], got.action)
            np.testing.assert_allclose(rolled.reward[:steps], got.reward)
            np.testing.assert_array_equal(rolled.observation[: steps + 1], got.observation)
            lengths.add(steps)
        np.testing.assert_allclose(read(params, exploration), played.z, rtol=1e-5, atol=1e-6)
        differ.add(played.z.tobytes())
    assert len(differ) > 1 or len(lengths) > 1  # the problems were told apart by something


@pytest.mark.slow
def test_pictures_that_a_world_shows_are_read_as_those_drawn_from_states():
    env, agent, params = make("sign", **{"env.horizon": "5"})
    world = DmEnvAdapter(env, seed=3)
    player = play.Player(agent, params, watch=lambda: world.state)
    played = player.trial(
        world, jax.random.key(1), 2, np.array([[1]], np.uint8), np.array([0], np.uint8)
    )
    steps = len(played.exploration.action)
    states = played.exploration.watched
    states = jax.tree.map(lambda *x: jnp.stack(x), *states, *states[-1:] * (5 - steps))
    drawn = pictures.draw(env.observe, states)
    np.testing.assert_array_equal(drawn[: steps + 1], played.exploration.observation)
    assert [len(e.action) for e in played.exploitation] and played.gain.shape == (steps,)
    mask = jnp.arange(5) < steps
    action = jnp.asarray(np.pad(played.exploration.action, (0, 5 - steps)), jnp.uint8)
    zeros = jnp.zeros(5)
    episode = Episode(states, action, zeros, zeros > 0, zeros > 0, mask)
    np.testing.assert_allclose(agent.read(params, episode), played.z, rtol=1e-5, atol=1e-6)
    assert int(played.exploitation[0].watched[0].instruction[0]) == 1
    assert int(states.instruction[0, 0]) == 0  # the hidden one
    assert set(np.asarray(states.problem).tolist()) == {2}


def test_several_exploration_episodes_are_refused():
    _, agent, params = make("map", **{"trial.exploration_episodes": "2"})
    with pytest.raises(ConfigError, match=r"trial\.exploration_episodes=2"):
        play.Player(agent, params)
