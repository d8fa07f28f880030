"""Embeddings of integers, pictures, actions and problem ids.

`networks.values` combines them for whatever a family declares.
"""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from dream_jax.networks.dense import dense, matmul
from dream_jax.types import Array


def normalise(x: Array, on: bool) -> Array:
    """Layer normalisation of x [..., D] if `on`, else `x`.

    It has no learned scale or shift, since a dense layer follows.
    """
    return jax.nn.standardize(x) if on else x


class SumEmbedding(nn.Module):
    """One table per component, summed: [..., K] integers -> [..., features].

    It is one matmul with a multi-hot vector, because the gradient of a gather is a scatter, which
    is slow on a CPU. A dense layer after the sum would add nothing: its product with the tables is
    again one table per component. Without components the result is zero.
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
    """The embedding in the authors' code: [..., K] integers -> [..., features].

    Each component has 32 features. They are concatenated; then come 256 hidden units with ReLU and
    the output layer. Without components the result is zero.
    """

    sizes: Sequence[int]
    features: int
    component_features: int = 32
    hidden: int = 256

    @nn.compact
    def __call__(self, x: Array) -> Array:
        if not self.sizes:
            return jnp.zeros((*x.shape[:-1], self.features))
        # The tables and the layer above them make one table, computed once for all trials and
        # steps.
        width = len(self.sizes) * self.component_features
        kernel, bias = _Linear(width, self.hidden, name="Dense_0")()
        rows = [
            IndexEmbedding(size, self.component_features)(jnp.arange(size)) @ part
            for size, part in zip(self.sizes, jnp.split(kernel, len(self.sizes)), strict=True)
        ]
        h = nn.relu(matmul(_multi_hot(x, self.sizes), jnp.concatenate(rows)) + bias)
        return dense(self.features, name="Dense_1")(h)


class _Linear(nn.Module):
    """The parameters of an `nn.Dense` without its product: kernel [inputs, features], bias."""

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
    """Pictures by patches that do not overlap: [..., H, W, C] uint8 -> [..., features].

    Patches of P x P -> 16 channels, ReLU -> patches of 2 x 2 -> 64 channels, ReLU -> features. P
    makes the longer side at most 16 patches: 5 for 60 x 80 pixels. The picture is padded with grey
    at the bottom and on the right to whole patches. It needs matmuls only and several times less
    work than `ConvEmbedding`.
    """

    features: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        size = -(-max(x.shape[-3:-1]) // 16)
        h = x.astype(jnp.float32) / 255.0 - 0.5
        h = nn.relu(dense(16)(_patches(h, size)))
        h = nn.relu(dense(64)(_patches(h, 2)))
        return dense(self.features)(h.reshape(*x.shape[:-3], -1))


class ConvEmbedding(nn.Module):
    """Convolutions, as in the authors' code: [..., H, W, C] uint8 -> [..., features].

    Three convolutions of 32 channels and stride 2, with kernels 5 x 5, 5 x 5 and 4 x 4 and ReLU,
    then a linear layer. Large pictures have more layers of the last kind, until both sides are at
    most 12. Sides that are shorter than a kernel are padded.
    """

    features: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        h = x.astype(jnp.float32) / 255.0
        sizes = [5, 5, 4]
        for size in sizes:
            padding = "VALID" if min(h.shape[-3:-1]) >= size else "SAME"
            h = nn.relu(nn.Conv(32, (size, size), (2, 2), padding=padding)(h))
            if size is sizes[-1] and len(sizes) < 8 and max(h.shape[-3:-1]) > 12:
                sizes.append(4)
        return dense(self.features)(h.reshape(*x.shape[:-3], -1))


def _patches(x: Array, size: int) -> Array:
    """[..., H, W, C] -> [..., ceil(H / size), ceil(W / size), size * size * C]."""
    *batch, height, width, channels = x.shape
    rows, columns = -(-height // size), -(-width // size)
    if (rows * size, columns * size) != (height, width):
        ends = (0, rows * size - height), (0, columns * size - width), (0, 0)
        x = jnp.pad(x, [(0, 0)] * len(batch) + list(ends))
    x = x.reshape(*batch, rows, size, columns, size, channels)
    x = jnp.moveaxis(x, -4, -3)
    return x.reshape(*batch, rows, columns, size * size * channels)


AUTHORS = ("mlp", "conv")  # with these, other details of the networks follow the authors' code too
INTEGER_EMBEDDINGS: dict[str, Any] = {"sum": SumEmbedding, "mlp": MlpEmbedding}
PIXEL_EMBEDDINGS: dict[str, Any] = {"patches": PatchEmbedding, "conv": ConvEmbedding}


def _multi_hot(x: Array, sizes: Sequence[int]) -> Array:
    """[..., K] component indices -> [..., sum(sizes)] float32, one 1 per component."""
    return jnp.concatenate(
        [jax.nn.one_hot(x[..., k], size) for k, size in enumerate(sizes)], axis=-1
    )
