"""Pictures: replay keeps the states that they are drawn from, networks see the pictures."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dream_jax import config as configs
from dream_jax import envs, presets
from dream_jax.agents.dream import Dream
from dream_jax.config import ConfigError, TrialConfig
from dream_jax.data import replay, rollout
from dream_jax.networks.embedding import PatchEmbedding
from dream_jax.networks.values import check_observations, make_embedding
from dream_jax.training import setup

SMALL = {"env.horizon": "4", "networks.hidden_size": "8", "networks.head_size": "8"}
CONFIG = configs.override(presets.smoke(presets.get("sign", "dream")), SMALL)


@pytest.fixture(scope="module")
def env():
    return envs.from_config("sign", CONFIG.env)


def forward_actor(carry, *_):
    """Turns right twice, then walks on."""
    step = carry
    return step + 1, rollout.Decision(jnp.where(step < 2, 1, 2), jnp.zeros(4))


@pytest.mark.slow
def test_an_episode_keeps_states_that_draw_what_was_seen(env):
    start = jnp.zeros((), jnp.int32)
    keys = jax.random.split(jax.random.key(0), 3)

    @jax.jit
    def explore(key):
        return rollout.explore(env, forward_actor, start, key, jnp.int32(1), TrialConfig())

    @jax.jit
    def exploit(key):
        goal = jnp.zeros(1, jnp.int32)
        return rollout.exploit(env, forward_actor, start, key, jnp.int32(1), goal)

    observe, step = jax.jit(env.observe), jax.jit(env.step)
    for roll in (explore, exploit):
        for key in keys:
            episode, states, _, last = roll(key)
            assert last == episode.mask.sum()  # the actor counts its steps
            steps = int(episode.mask.sum())
            for t in range(steps + 1):
                kept, state = (
                    jax.tree.map(lambda x, t=t: x[t], s) for s in (episode.observation, states)
                )
                np.testing.assert_array_equal(observe(kept), observe(state))
            # By hand: the recorded actions, from the first state.
            state = jax.tree.map(lambda x: x[0], states)
            for t in range(steps):
                state, seen = step(state, episode.action[t])
                kept = jax.tree.map(lambda x, t=t: x[t + 1], episode.observation)
                np.testing.assert_array_equal(observe(kept), observe(state))
                # Two programs may round the edge of an object to different pixels.
                assert np.mean(observe(kept) != seen.observation) < 2e-3


def test_padding_repeats_the_last_picture(env):
    def ends_at_once(carry, *_):
        return carry, rollout.Decision(jnp.int32(env.end_episode_action), jnp.zeros(4))

    @jax.jit
    def explore(key):
        return rollout.explore(env, ends_at_once, (), key, jnp.int32(0), TrialConfig()).episode

    episode = explore(jax.random.key(0))
    assert int(episode.mask.sum()) == 1
    frames = jax.jit(jax.vmap(env.observe))(episode.observation)
    assert not np.array_equal(frames[0], frames[1])  # it stepped back
    for t in range(2, env.horizon + 1):
        np.testing.assert_array_equal(frames[t], frames[1])


def test_a_trial_in_replay_is_far_smaller_than_its_pictures(env):
    trainer = setup.make_trainer(CONFIG, env)
    pictures = 2 * (env.horizon + 1) * int(np.prod(env.observation_shape))
    assert replay.size_bytes(trainer.trial_shape, 1) < pictures / 100


@pytest.mark.slow
def test_losses_do_not_depend_on_whether_pictures_were_drawn_before(env):
    """A batch of states gives the loss of the same batch with an environment of stored pictures."""
    agent = Dream(CONFIG, env)
    params = jax.jit(agent.init)(jax.random.key(0))
    explore = jax.jit(lambda *inputs: agent.explore(*inputs).episode)
    exploration = explore(params, jax.random.key(1), jnp.int32(2), jnp.float32(1.0))

    class Stored:
        """`env`, but its observations are pictures that need no drawing."""

        def __getattr__(self, name):
            return getattr(env, name)

        def observe(self, picture):
            return picture

    frames = jax.jit(jax.vmap(env.observe))(exploration.observation)
    stored = Dream(CONFIG, Stored())
    expected = jax.jit(stored.decode)(params, exploration._replace(observation=frames))
    np.testing.assert_allclose(
        jax.jit(agent.decode)(params, exploration), expected, rtol=1e-4, atol=1e-6
    )
    read = jax.jit(agent.read)(params, exploration)
    np.testing.assert_allclose(read, expected[int(exploration.mask.sum())], rtol=1e-4, atol=1e-6)


def test_patches_are_a_convolution_without_overlap():
    image = np.random.default_rng(0).integers(0, 256, (60, 80, 3)).astype(np.uint8)
    net = PatchEmbedding(7)
    params = net.init(jax.random.key(0), image)["params"]

    def convolved(h, dense, size):
        kernel = dense["kernel"].reshape(size, size, h.shape[-1], -1)
        conv = nn.Conv(kernel.shape[-1], (size, size), (size, size), padding="VALID")
        return nn.relu(conv.apply({"params": {"kernel": kernel, "bias": dense["bias"]}}, h))

    h = image / 255.0 - 0.5
    h = convolved(convolved(h, params["Dense_0"], 5), params["Dense_1"], 2)
    expected = h.reshape(-1) @ params["Dense_2"]["kernel"] + params["Dense_2"]["bias"]
    np.testing.assert_allclose(net.apply({"params": params}, image), expected, atol=1e-4)


@pytest.mark.parametrize("kind", ["patches", "conv"])
def test_embeddings_of_pictures_take_any_leading_axes(kind):
    net = make_embedding(kind, (), 5)
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 60, 80, 3)).astype(np.uint8)
    params = jax.jit(net.init)(jax.random.key(0), images[0, 0])
    all_at_once = jax.jit(net.apply)(params, images)
    assert all_at_once.shape == (2, 3, 5)
    np.testing.assert_allclose(
        jax.jit(net.apply)(params, images[1, 2]), all_at_once[1, 2], atol=1e-5
    )


def test_an_embedding_for_other_observations_is_refused():
    config = configs.override(presets.get("bus", "dream"), {"networks.embedding": "conv"})
    with pytest.raises(ConfigError) as error:
        Dream(config, envs.make("bus"))
    assert str(error.value) == "networks.embedding='conv' is not for bus; valid: sum, mlp"


def test_pictures_need_no_instruction():
    env = envs.make("sign")
    env.instruction_sizes = ()
    check_observations(CONFIG.networks, env)
