"""Embeddings of integer components: observations, instructions, actions, problem ids."""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from dream_jax.types import Array


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
        return _multi_hot(x, self.sizes) @ table


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
        parts = [
            IndexEmbedding(size, self.component_features)(x[..., k])
            for k, size in enumerate(self.sizes)
        ]
        h = nn.relu(nn.Dense(self.hidden)(jnp.concatenate(parts, axis=-1)))
        return nn.Dense(self.features)(h)


class IndexEmbedding(nn.Module):
    """A table read by one-hot matmul: [...] integers below `size` -> [..., features]."""

    size: int
    features: int

    @nn.compact
    def __call__(self, index: Array) -> Array:
        table = self.param("table", nn.initializers.normal(1.0), (self.size, self.features))
        return jax.nn.one_hot(index, self.size) @ table


def make_embedding(kind: str, sizes: Sequence[int], features: int) -> nn.Module:
    return {"sum": SumEmbedding, "mlp": MlpEmbedding}[kind](tuple(sizes), features)


def _multi_hot(x: Array, sizes: Sequence[int]) -> Array:
    """[..., K] component indices -> [..., sum(sizes)] with one 1 per component."""
    return jnp.concatenate(
        [jax.nn.one_hot(x[..., k], size) for k, size in enumerate(sizes)], axis=-1
    )
