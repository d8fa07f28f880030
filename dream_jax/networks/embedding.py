"""Embeddings of integer components: observations, instructions, actions, problem ids."""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from dream_jax.config import ConfigError, NetworkConfig
from dream_jax.networks.dense import dense, matmul
from dream_jax.types import Array, Env, is_pixel_env


def normalise(x: Array, on: bool) -> Array:
    """Layer normalisation without learned scale or shift (a Dense follows), or `x` itself."""
    return jax.nn.standardize(x) if on else x


class SumEmbedding(nn.Module):
    """One table per component, summed: one matmul with a multi-hot vector.

    A gather would be slow backwards on CPU (scatter), and a Linear after it would be one table.
    [..., K] integers -> [..., features]; zeros when there are no components.
    """

    sizes: Sequence[int]
    features: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        if not self.sizes:
            return jnp.zeros((*x.shape[:-1], self.features))
        scale = 1.0 / np.sqrt(len(self.sizes))
        table = self.param("table", nn.initializers.normal(scale), (sum(self.sizes), self.features))
        return matmul(_multi_hot(x, self.sizes), table)


class MlpEmbedding(nn.Module):
    """The authors' embedding: 32 per component, concatenated -> 256 ReLU -> features."""

    sizes: Sequence[int]
    features: int
    component_features: int = 32
    hidden: int = 256

    @nn.compact
    def __call__(self, x: Array) -> Array:
        if not self.sizes:
            return jnp.zeros((*x.shape[:-1], self.features))
        # The tables and the layer above them are one table, made once for all trials and steps.
        width = len(self.sizes) * self.component_features
        kernel, bias = _Linear(width, self.hidden, name="Dense_0")()
        rows = [
            IndexEmbedding(size, self.component_features)(jnp.arange(size)) @ part
            for size, part in zip(self.sizes, jnp.split(kernel, len(self.sizes)), strict=True)
        ]
        h = nn.relu(matmul(_multi_hot(x, self.sizes), jnp.concatenate(rows)) + bias)
        return dense(self.features, name="Dense_1")(h)


class _Linear(nn.Module):
    """The parameters of an `nn.Dense`, for use in another way: kernel [inputs, features], bias."""

    inputs: int
    features: int

    @nn.compact
    def __call__(self) -> tuple[Array, Array]:
        shape = (self.inputs, self.features)
        kernel = self.param("kernel", nn.initializers.lecun_normal(), shape)
        return kernel, self.param("bias", nn.initializers.zeros_init(), (self.features,))


class IndexEmbedding(nn.Module):
    """A table read by one-hot matmul: [...] integers below `size` -> [..., features]."""

    size: int
    features: int

    @nn.compact
    def __call__(self, index: Array) -> Array:
        table = self.param("table", nn.initializers.normal(1.0), (self.size, self.features))
        return matmul(jax.nn.one_hot(index, self.size), table)


class PatchEmbedding(nn.Module):
    """Pictures by patches that do not overlap: matmuls only, several times less work than `conv`.

    [..., 60, 80, 3] uint8 -> patches of 5 x 5 -> 16, ReLU -> of 2 x 2 -> 64, ReLU -> features.
    """

    features: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        h = x.astype(jnp.float32) / 255.0 - 0.5
        h = nn.relu(dense(16)(_patches(h, 5)))
        h = nn.relu(dense(64)(_patches(h, 2)))
        return dense(self.features)(h.reshape(*x.shape[:-3], -1))


class ConvEmbedding(nn.Module):
    """The authors' network for pictures: three convolutions of 32 channels, then linear.

    [..., 60, 80, 3] uint8 -> 5 x 5 / 2 -> 5 x 5 / 2 -> 4 x 4 / 2, each with ReLU -> features.
    """

    features: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        h = x.astype(jnp.float32) / 255.0
        for size in (5, 5, 4):
            h = nn.relu(nn.Conv(32, (size, size), (2, 2), padding="VALID")(h))
        return dense(self.features)(h.reshape(*x.shape[:-3], -1))


def _patches(x: Array, size: int) -> Array:
    """[..., H, W, C] -> [..., H / size, W / size, size * size * C]."""
    *batch, height, width, channels = x.shape
    rows, columns = height // size, width // size
    x = x.reshape(*batch, rows, size, columns, size, channels)
    x = jnp.moveaxis(x, -4, -3)
    return x.reshape(*batch, rows, columns, size * size * channels)


AUTHORS = ("mlp", "conv")  # kinds whose networks are the authors' in the other details too
INTEGER_EMBEDDINGS = {"sum": SumEmbedding, "mlp": MlpEmbedding}
PIXEL_EMBEDDINGS = {"patches": PatchEmbedding, "conv": ConvEmbedding}


def make_embedding(kind: str, sizes: Sequence[int], features: int) -> nn.Module:
    """`sizes` of integer components; a picture has none."""
    if kind in PIXEL_EMBEDDINGS:
        return PIXEL_EMBEDDINGS[kind](features)
    return INTEGER_EMBEDDINGS[kind](tuple(sizes), features)


def make_instruction_embedding(kind: str, sizes: Sequence[int], features: int) -> nn.Module:
    """Instructions are integers, also where observations are pictures."""
    kind = {"patches": "sum", "conv": "mlp"}.get(kind, kind)
    return make_embedding(kind, sizes, features)


def check_observations(config: NetworkConfig, env: Env) -> None:
    """The embedding is one for what the environment shows, and components fit uint8."""
    kinds = PIXEL_EMBEDDINGS if is_pixel_env(env) else INTEGER_EMBEDDINGS
    if config.embedding not in kinds:
        raise ConfigError(
            f"networks.embedding={config.embedding!r} is not for {env.name}; "
            f"valid: {', '.join(kinds)}"
        )
    largest = max((*env.observation_sizes, *env.instruction_sizes, env.num_actions))
    if largest > 256:
        raise ConfigError(f"{env.name}: a component of size {largest}; at most 256 can be stored")


def _multi_hot(x: Array, sizes: Sequence[int]) -> Array:
    """[..., K] component indices -> [..., sum(sizes)] with one 1 per component."""
    return jnp.concatenate(
        [jax.nn.one_hot(x[..., k], size) for k, size in enumerate(sizes)], axis=-1
    )
