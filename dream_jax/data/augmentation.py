"""Random changes to the pictures that networks learn from, so that they rely on no single pixel.

As in DrQ (Kostrikov et al., 2021), every picture of a batch is changed anew. Pictures that the
agent acts on are not. A picture is blended with a copy of itself that is shifted by at most one
pixel in each direction. Then it gets noise that grows from left to right, up to `noise_std` over
two widths.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dream_jax import specs
from dream_jax.config import AugmentationConfig, ConfigError
from dream_jax.data import pictures
from dream_jax.types import Array, Env, Episode, Key, Trial, is_pixel_env

_GRAIN = 4  # pixels: half of the noise's variance is in squares of this side


def make_batch(config: AugmentationConfig, env: Env) -> Callable[[Key, Trial], Trial]:
    """A function (keys [B], trials [B, ...]) -> trials whose pictures are drawn and changed.

    Trials without pictures stay as they are, and so do all trials if the config changes nothing.
    Raises ConfigError if the observation has a picture among other things.
    """
    if not (config.shift_pixels or config.noise_std):
        return lambda keys, trials: trials
    parts = specs.observation(env).parts
    if all(part.kind != "picture" for part in parts):
        return lambda keys, trials: trials
    if len(parts) > 1 or len(parts[0].shape) != 3:
        raise ConfigError(
            f"augmentation.shift_pixels={config.shift_pixels} and noise_std={config.noise_std} "
            "need an observation that is one picture [H, W, C]; set both to 0"
        )
    change = make(config, parts[0].shape)
    shown = pictures.look_at(env) if is_pixel_env(env) else lambda picture: picture

    def look(pair: tuple[Key, Any]) -> Array:
        key, state = pair
        return change(key, shown(state))

    def drawn(key: Key, episode: Episode) -> Episode:
        states = episode.observation
        keys = jax.random.split(key, jax.tree.leaves(states)[0].shape[0])
        return episode._replace(observation=pictures.draw(look, (keys, states)))

    def one(key: Key, trial: Trial) -> Trial:
        exploration_key, exploitation_key = jax.random.split(key)
        keys = jax.random.split(exploitation_key, jax.tree.leaves(trial.instruction)[0].shape[0])
        return trial._replace(
            exploration=drawn(exploration_key, trial.exploration),
            exploitation=jax.vmap(drawn)(keys, trial.exploitation),
        )

    return jax.vmap(one)


def make(config: AugmentationConfig, shape: tuple[int, ...]) -> Callable[[Key, Array], Array]:
    """A function (key, picture [H, W, C] uint8) -> the changed picture. shape: (H, W, C)."""
    height, width, channels = shape
    # New noise for each picture would cost more than the networks do: each gets a window of this.
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
    """[height, width * channels] int16 noise, from 0 at the left end to `most` at the right.

    Half of its variance is in squares. All channels are alike.
    """
    random = np.random.default_rng(0)
    coarse = random.normal(size=(-(-height // _GRAIN), -(-width // _GRAIN)))
    coarse = coarse.repeat(_GRAIN, 0).repeat(_GRAIN, 1)[:height, :width]
    fine = random.normal(size=(height, width))
    noise = (coarse + fine) / np.sqrt(2) * np.linspace(0, most, width)
    return np.round(noise).astype(np.int16).repeat(channels, axis=1)
