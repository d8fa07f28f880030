"""Embeddings of whatever a family declares: integers, numbers, pictures, sentences, dicts of them.

Numbers are normalised by running means and deviations. These are in the variables of a network, in
the collection "statistics". Training writes them there (`training.statistics`); no gradient does.
"""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from dream_jax import specs
from dream_jax.config import ConfigError, NetworkConfig
from dream_jax.networks.dense import dense
from dream_jax.networks.embedding import (
    INTEGER_EMBEDDINGS,
    PIXEL_EMBEDDINGS,
    ConvEmbedding,
    IndexEmbedding,
    PatchEmbedding,
)
from dream_jax.specs import Part, Space
from dream_jax.types import Array, Env

STATISTICS = "statistics"  # the collection of variables
LARGEST_NUMBER = 5.0  # deviations from the mean; more is cut off
LARGEST_FLAT_PICTURE = 1_024  # bytes; smaller pictures go through an MLP
LARGEST_PATCHED_SIDE = 128  # pixels; larger pictures go through convolutions
WORD_FEATURES = 32

# Sizes of integer components from 0 up, or any space.
Values = tuple[int, ...] | Space


class Moments(NamedTuple):
    """Of the components of numbers so far."""

    mean: Array  # [...]
    deviation: Array  # [...] at least 1e-6


class ValueEmbedding(nn.Module):
    """The sum of the embeddings of a space's parts: a value [..., each part] -> [..., features]."""

    kind: str  # config.networks.embedding
    space: Space
    features: int

    @nn.compact
    def __call__(self, value: Any) -> Array:
        parts = []
        for part, x in zip(self.space.parts, jax.tree.leaves(value), strict=True):
            batch = x.shape[: x.ndim - len(part.shape)]
            parts.append(self._embedded(part, x, batch))
        return sum(parts[1:], parts[0]) / np.sqrt(len(parts))

    def _embedded(self, part: Part, x: Array, batch: tuple[int, ...]) -> Array:
        if part.kind == "picture":
            x = x if len(part.shape) == 3 else x[..., None]
            return _picture(self.kind, x.shape[-3:], self.features)(x)
        x = x.reshape(*batch, -1)
        if part.kind == "numbers":
            name = moments_name(self.space.name)
            found = self.variable(STATISTICS, name, _no_statistics, self.space)
            moments = found.value[part.name]
            scaled = (x - moments.mean.ravel()) / moments.deviation.ravel()
            return _Mlp(self.features)(jnp.clip(scaled, -LARGEST_NUMBER, LARGEST_NUMBER))
        if part.kind == "tokens":
            return TextEmbedding(max(part.sizes), self.features)(x)
        return self._integers(part, x)

    def _integers(self, part: Part, x: Array) -> Array:
        """Tables of small components; large ones as numbers from -1 to 1."""
        sizes, low = np.array(part.sizes), np.array(part.low, np.int32)
        few = sizes <= specs.EMBEDDED_VALUES
        shifted = x.astype(jnp.int32) - low
        table = INTEGER_EMBEDDINGS[_integer_kind(self.kind)]
        h = table(tuple(sizes[few].tolist()), self.features)(shifted[..., np.flatnonzero(few)])
        if few.all():
            return h
        many = np.flatnonzero(~few)
        scale = 2.0 / (sizes[many] - 1)
        return h + _Mlp(self.features)(shifted[..., many].astype(jnp.float32) * scale - 1.0)


class TextEmbedding(nn.Module):
    """A sentence [..., length] of words, 0 for none -> [..., features].

    Each word sees its neighbours by a convolution of width 3; the largest and the mean feature over
    the words follow. So a phrase says the same wherever it is in the sentence.
    """

    words: int
    features: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        there = (x > 0)[..., None]
        h = jnp.where(there, IndexEmbedding(self.words, WORD_FEATURES)(x), 0.0)
        ends = [(0, 0)] * (h.ndim - 2) + [(1, 1), (0, 0)]
        padded = jnp.pad(h, ends)
        near = [padded[..., :-2, :], h, padded[..., 2:, :]]
        h = nn.relu(dense(2 * WORD_FEATURES)(jnp.concatenate(near, axis=-1)))
        h = jnp.where(there, h, 0.0)
        mean = jnp.sum(h, axis=-2) / jnp.maximum(jnp.sum(there, axis=-2), 1)
        return dense(self.features)(jnp.concatenate([jnp.max(h, axis=-2), mean], axis=-1))


class _Mlp(nn.Module):
    """[..., D] -> 64 hidden units with ReLU -> [..., features]."""

    features: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        return dense(self.features)(nn.relu(dense(64)(x)))


class _FlatPicture(nn.Module):
    """A small picture [..., H, W, C] through an MLP -> [..., features]."""

    features: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        flat = x.reshape(*x.shape[:-3], -1).astype(jnp.float32) / 255.0 - 0.5
        return _Mlp(self.features)(flat)


def moments_name(space_name: str) -> str:
    """The variable with the `Moments` of a space's numbers, by part."""
    return f"{space_name}_moments"


def make_embedding(kind: str, values: Values, features: int) -> nn.Module:
    """The embedding of the values of a space, [...] -> [..., features].

    Args:
      kind: `networks.embedding`: "sum" or "mlp" for integers, "patches" or "conv" for pictures.
        For the other kind of values, "sum" and "patches" stand for each other, and so do the
        authors' "mlp" and "conv"; with "sum", the size of a picture decides.
      values: a space, or the sizes of integer components.
      features: of the result.

    Raises KeyError for an unknown kind.
    """
    sizes = values if not isinstance(values, Space) else values.component_sizes
    if sizes is not None and (sizes or kind not in PIXEL_EMBEDDINGS):
        return INTEGER_EMBEDDINGS[_integer_kind(kind)](tuple(sizes), features)
    if sizes is not None:  # pictures whose size the network sees
        return PIXEL_EMBEDDINGS[kind](features)
    assert isinstance(values, Space)
    alone = values.parts[0]
    if len(values.parts) == 1 and alone.kind == "picture" and len(alone.shape) == 3:
        return _picture(kind, alone.shape, features)
    return ValueEmbedding(kind, values, features)


def make_instruction_embedding(kind: str, values: Values, features: int) -> nn.Module:
    """The embedding of instructions: without any, zeros, whatever observations are."""
    return make_embedding(_integer_kind(kind), values, features)


def check_observations(config: NetworkConfig, env: Env) -> None:
    """Raises ConfigError if the embedding does not fit the observations."""
    pictures = any(part.kind == "picture" for part in specs.observation(env).parts)
    kinds = (*PIXEL_EMBEDDINGS, *INTEGER_EMBEDDINGS) if pictures else tuple(INTEGER_EMBEDDINGS)
    if config.embedding not in kinds:
        raise ConfigError(
            f"networks.embedding={config.embedding!r} is not for {env.name}; "
            f"valid: {', '.join(kinds)}"
        )


def _integer_kind(kind: str) -> str:
    return {"patches": "sum", "conv": "mlp"}.get(kind, kind)


def _picture(kind: str, shape: tuple[int, ...], features: int) -> nn.Module:
    """The embedding of pictures [H, W, C]. With "sum", the size decides."""
    if kind in PIXEL_EMBEDDINGS:
        return PIXEL_EMBEDDINGS[kind](features)
    if int(np.prod(shape)) <= LARGEST_FLAT_PICTURE:
        return _FlatPicture(features)
    if kind == "sum" and max(shape[:2]) <= LARGEST_PATCHED_SIDE:
        return PatchEmbedding(features)
    return ConvEmbedding(features)


def _no_statistics(space: Space) -> dict[str, Moments]:
    """Before anything has been seen: mean 0, deviation 1. Declared bounds say more."""
    found = {}
    for part in space.parts:
        if part.kind == "numbers":
            bounds = specs.bounds_of(part)
            mean, deviation = jnp.zeros(part.shape), jnp.ones(part.shape)
            if bounds is not None:
                low, high = (bound.reshape(part.shape) for bound in bounds)
                mean, deviation = (low + high) / 2, jnp.maximum((high - low) / 4, 1e-6)
            found[part.name] = Moments(mean, deviation)
    return found
