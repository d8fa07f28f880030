"""Recurrent memories, unrolled over a whole sequence or one step at a time.

All have the same interface. `initial` returns the carry before the first step; `step` takes a carry
and one input [D] and returns (carry, [size]). The input projections of a whole sequence are one
matmul outside the scan.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from dream_jax.networks import unroll
from dream_jax.networks.dense import dense
from dream_jax.types import Array


class Lstm(nn.Module):
    """LSTM (Hochreiter and Schmidhuber 1997) with forget gates biased by 1. Its carry is (h, c)."""

    size: int

    def setup(self) -> None:
        self.inputs = dense(4 * self.size)
        self.recurrent = self.param(
            "recurrent", nn.initializers.orthogonal(), (self.size, 4 * self.size)
        )

    def initial(self) -> tuple[Array, Array]:
        return jnp.zeros(self.size), jnp.zeros(self.size)

    def step(self, carry: tuple[Array, Array], x: Array) -> tuple[Any, Array]:
        (h, c), _ = unroll.cell(self.recurrent, carry, self.inputs(x))
        return (h, c), h

    def __call__(self, xs: Array, mask: Array | None = None) -> Array:
        """[T, D] -> [T, size], from a zero state. A step with `mask` [T] 0 changes nothing."""
        recurrent = self.recurrent
        if mask is None:
            return unroll.lstm(recurrent, self.inputs(xs))

        def cell(carry, now):  # with a mask the loop is JAX's own, and its gradient slower
            x, on = now
            new, _ = unroll.cell(recurrent, carry, x)
            h, c = jax.tree.map(lambda a, b: jnp.where(on, a, b), new, carry)
            return (h, c), h

        return jax.lax.scan(cell, self.initial(), (self.inputs(xs), mask))[1]


class MinGru(nn.Module):
    """Minimal gated recurrence (Feng et al. 2024): h_t = (1 - u_t) h_{t-1} + u_t c_t.

    The gate u and the candidate c depend on the input alone. So all matmuls of a sequence run at
    once and only an elementwise scan is left, which makes it much faster than an LSTM on short
    sequences.
    """

    size: int

    def setup(self) -> None:
        self.inputs = dense(2 * self.size)

    def initial(self) -> Array:
        return jnp.zeros(self.size)

    def step(self, carry: Array, x: Array) -> tuple[Array, Array]:
        keep, new = self._gates(x)
        h = keep * carry + new
        return h, h

    def __call__(self, xs: Array, mask: Array | None = None) -> Array:
        """[T, D] -> [T, size], from a zero state. A step with `mask` [T] 0 changes nothing."""

        def cell(h, gates):
            keep_t, new_t = gates
            h = keep_t * h + new_t
            return h, h

        keep, new = self._gates(xs)
        if mask is not None:
            on = mask[:, None].astype(bool)
            keep, new = jnp.where(on, keep, 1.0), jnp.where(on, new, 0.0)
        return jax.lax.scan(cell, self.initial(), (keep, new))[1]

    def _gates(self, x: Array) -> tuple[Array, Array]:
        gate, candidate = jnp.split(self.inputs(x), 2, axis=-1)
        # Biased towards keeping the state, because few steps bring information.
        update = jax.nn.sigmoid(gate - 1.0)
        return 1.0 - update, update * jnp.tanh(candidate)


class Feedforward(nn.Module):
    """A ReLU layer without memory, with the same interface."""

    size: int

    def setup(self) -> None:
        self.layer = dense(self.size)

    def initial(self) -> tuple[()]:
        return ()

    def step(self, carry: tuple[()], x: Array) -> tuple[tuple[()], Array]:
        return carry, self(x)

    def __call__(self, xs: Array) -> Array:
        return nn.relu(self.layer(xs))


def make_memory(kind: str, size: int) -> Any:
    """A memory by its name: "lstm", "mingru" or "none". Raises KeyError for any other."""
    return {"lstm": Lstm, "mingru": MinGru, "none": Feedforward}[kind](size)
