"""Pictures are changed while learning: by how much, and nothing else of a trial."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dream_jax import config as configs
from dream_jax import envs, presets
from dream_jax.config import AugmentationConfig
from dream_jax.data import augmentation as augment
from dream_jax.training import setup

SHAPE = (12, 16, 3)
COUNT = 200


def changed(picture, **settings):
    change = augment.make(AugmentationConfig(**settings), SHAPE)
    keys = jax.random.split(jax.random.key(0), COUNT)
    return np.asarray(jax.jit(jax.vmap(change, (0, None)))(keys, jnp.asarray(picture))).astype(int)


@pytest.mark.parametrize("axis", [0, 1])
def test_a_shift_is_by_less_than_a_pixel_each_way(axis):
    ramp = 20 + 10 * np.arange(SHAPE[axis])
    picture = np.broadcast_to(ramp.reshape((-1, 1, 1) if axis == 0 else (1, -1, 1)), SHAPE)
    by = changed(picture.astype(np.uint8), shift_pixels=0.5) - picture
    inside = by[:, 1:-1, 1:-1]
    assert (inside == inside[:, :1, :1, :1]).all()  # a ramp moves as a whole
    moved = inside[:, 0, 0, 0]
    # Half of 10 levels at most; rounding is downwards.
    assert moved.min() in (-6, -5) and moved.max() in (4, 5)
    # A third of the neighbours lie on each side, and a third beside it.
    assert 0.2 < (moved > 0).mean() < 0.45 and 0.2 < (moved < -1).mean() < 0.45


def test_a_flat_picture_does_not_show_a_shift():
    flat = np.full(SHAPE, 77, np.uint8)
    assert (changed(flat, shift_pixels=1.0) == 77).all()


def test_noise_is_grey_and_as_strong_as_asked_for_at_most():
    flat = np.full(SHAPE, 128, np.uint8)
    noise = changed(flat, noise_std=16.0) - 128
    assert (noise == noise[..., :1]).all()
    per_picture = noise[..., 0].std(axis=(1, 2))
    assert 2 < per_picture.min() < 7 and 9 < per_picture.max() < 18
    assert abs(noise.mean()) < 1
    # At the ends of the scale it is cut, not wrapped.
    assert changed(np.zeros(SHAPE, np.uint8), noise_std=16.0).max() < 100
    assert changed(np.full(SHAPE, 255, np.uint8), noise_std=16.0).min() > 155


@pytest.mark.slow
def test_of_a_batch_only_the_pictures_change():
    small = {"env.horizon": "3", "networks.hidden_size": "8", "networks.head_size": "8"}
    config = configs.override(presets.smoke(presets.get("sign", "dream")), small)
    env = envs.from_config("sign", config.env)
    agent = setup.make_trainer(config, env).agent
    keys = jax.random.split(jax.random.key(1), 3)

    def collect(key):
        return agent.collect(agent.init(key), key, jnp.ones(()), jnp.ones(()), jnp.zeros((), bool))

    batch = jax.jit(jax.vmap(collect))(keys[jnp.array([0, 1, 0])])
    change = jax.jit(augment.make_batch(config.augmentation, env))
    got, again = change(keys, batch), change(keys, batch)
    for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(again), strict=True):
        np.testing.assert_array_equal(one, other)
    for phase in ("exploration", "exploitation"):
        episode, drawn = getattr(batch, phase), getattr(got, phase)
        leading = episode.mask.ndim
        look = env.observe
        for _ in range(leading):
            look = jax.vmap(look)
        pictures = np.asarray(jax.jit(look)(episode.observation)).astype(int)
        assert drawn.observation.shape == pictures.shape and drawn.observation.dtype == np.uint8
        error = np.abs(np.asarray(drawn.observation, int) - pictures)
        assert 0 < error.mean() < 20
        # The first and the last trial are the same one, drawn with different keys.
        assert (drawn.observation[0] != drawn.observation[2]).any()
        for name in ("action", "reward", "terminated", "truncated", "mask"):
            np.testing.assert_array_equal(getattr(drawn, name), getattr(episode, name))
    np.testing.assert_array_equal(got.problem, batch.problem)


def test_grids_and_a_config_that_asks_for_nothing_are_left_alone():
    strong = AugmentationConfig(shift_pixels=1.0, noise_std=9.0)
    for env, config in ((envs.make("map"), strong), (envs.make("sign"), AugmentationConfig())):
        trials = object()
        assert augment.make_batch(config, env)(None, trials) is trials
