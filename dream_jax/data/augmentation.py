"""Random changes to the pictures that networks learn from, so that they read no single pixel.

In the manner of DrQ (Kostrikov et al., 2021): every picture of a batch anew, never those that the
agent acts on. A picture is blended with itself moved by one pixel, in one of eight directions or in
none, and gets noise that grows from its left edge to its right one, by as much as `noise_std` over
two widths.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dream_jax.config import AugmentationConfig
from dream_jax.data import rollout
from dream_jax.types import Array, Env, Episode, Key, Trial, is_pixel_env

_GRAIN = 4  # pixels: half of the noise's variance is in squares of this side


def make_batch(config: AugmentationConfig, env: Env) -> Callable[[Key, Trial], Trial]:
    """(keys [B], trials [B, ...]) -> the same with their pictures drawn and changed.

    Trials without pictures, and all if nothing is to be changed, stay as they are.
    """
    if not is_pixel_env(env) or not (config.shift_pixels or config.noise_std):
        return lambda keys, trials: trials
    change = make(config, env.observation_shape)

    def look(pair: tuple[Key, Any]) -> Array:
        key, state = pair
        return change(key, env.observe(state))

    def drawn(key: Key, episode: Episode) -> Episode:
        states = episode.observation
        keys = jax.random.split(key, jax.tree.leaves(states)[0].shape[0])
        return episode._replace(observation=rollout.draw(look, (keys, states)))

    def one(key: Key, trial: Trial) -> Trial:
        exploration_key, exploitation_key = jax.random.split(key)
        keys = jax.random.split(exploitation_key, trial.instruction.shape[0])
        return trial._replace(
            exploration=drawn(exploration_key, trial.exploration),
            exploitation=jax.vmap(drawn)(keys, trial.exploitation),
        )

    return jax.vmap(one)


def make(config: AugmentationConfig, shape: tuple[int, ...]) -> Callable[[Key, Array], Array]:
    """(key, picture `shape` [H, W, C] uint8) -> the same, changed."""
    height, width, channels = shape
    # Drawing new noise for each picture would cost more than the networks do: a window of this.
    sheet = _noise_sheet(2 * height, 2 * width, channels, config.noise_std)

    def window(image: Array, row: Array, column: Array) -> Array:
        return jax.lax.dynamic_slice(image, (row, column * channels), (height, width * channels))

    def change(key: Key, picture: Array) -> Array:
        keys = jax.random.split(key, 4)
        picture = picture.reshape(height, width * channels)
        changed = picture.astype(jnp.int32)
        if config.shift_pixels:
            padded = jnp.pad(picture.reshape(shape), ((1, 1), (1, 1), (0, 0)), mode="edge")
            padded = padded.reshape(height + 2, -1)
            neighbour = window(padded, *jax.random.randint(keys[0], (2,), 0, 3))
            share = jax.random.uniform(keys[1]) * config.shift_pixels
            share = (256 * share).astype(jnp.int32)
            changed = (changed * (256 - share) + neighbour.astype(jnp.int32) * share) >> 8
        if config.noise_std:
            row = jax.random.randint(keys[2], (), 0, height)
            column = jax.random.randint(keys[3], (), 0, width)
            noise = window(jnp.asarray(sheet), row, column).astype(jnp.int32)
            changed = jnp.clip(changed + noise, 0, 255)
        return changed.astype(jnp.uint8).reshape(shape)

    return change


def _noise_sheet(height: int, width: int, channels: int, most: float) -> np.ndarray:
    """[height, width * channels] int16, as strong as `most` at the right end, nothing at the left.

    Half of its variance is in squares; all channels alike.
    """
    random = np.random.default_rng(0)
    coarse = random.normal(size=(-(-height // _GRAIN), -(-width // _GRAIN)))
    coarse = coarse.repeat(_GRAIN, 0).repeat(_GRAIN, 1)[:height, :width]
    fine = random.normal(size=(height, width))
    noise = (coarse + fine) / np.sqrt(2) * np.linspace(0, most, width)
    return np.round(noise).astype(np.int16).repeat(channels, axis=1)
