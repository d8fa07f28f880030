"""An LSTM unrolled over the sequences of a whole batch at once, with a gradient of its own.

The caller writes `lstm` for one sequence and vmaps. What is gained needs the whole batch, so the
unrolled LSTM is a primitive (`networks.primitive`), like the product in `networks.dense`. Two
things are gained on a CPU:

- The gradient of the recurrent kernel is one product of all steps of all sequences. Without this,
  the loop backward adds up one small product per step.
- All four gates of a step are one `tanh` of [B, 4H], in place of three sigmoids and a `tanh` of
  their own.

  T  steps;  H  units;  B  sequences of the batch
"""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.interpreters import ad

from dream_jax.networks import primitive
from dream_jax.types import Array


def lstm(recurrent: Array, xs: Array) -> Array:
    """Outputs [..., T, H] of an LSTM from a zero state, in the dtype that both promote to.

    Args:
      recurrent: [H, 4H] kernel of the previous output.
      xs: [..., T, 4H] projected inputs of the input, forget, candidate and output gates, with bias.

    Raises:
      TypeError: if the shapes do not fit. Also for forward-mode derivatives (`jax.jvp`,
        `jax.jacfwd`), which are not defined.
    """
    recurrent, xs = nn.dtypes.promote_dtype(recurrent, xs)
    units = recurrent.shape[0]
    if recurrent.shape != (units, 4 * units) or xs.ndim < 2 or xs.shape[-1] != 4 * units:
        raise TypeError(
            f"an LSTM needs a kernel [H, 4H] and inputs [..., T, 4H], not {recurrent.shape} and"
            f" {xs.shape}"
        )
    return _lstm_p.bind(xs, recurrent)


def cell(
    recurrent: Array, carry: tuple[Array, Array], x: Array
) -> tuple[tuple[Array, Array], Array]:
    """One step (Hochreiter and Schmidhuber 1997), the forget gate biased by 1.

    Takes the kernel [H, 4H], (h, c), each [..., H], and x [..., 4H]. Returns the new (h, c), where
    h is the output, and the four gates after their sigmoid or tanh, side by side, [..., 4H].
    """
    h, c = carry
    size = recurrent.shape[0]
    # sigmoid(a) = tanh(a / 2) / 2 + 1 / 2, so sigmoids and the candidate's tanh are one tanh.
    scale = _columns(x.dtype, size, 0.5, 0.5, 1.0, 0.5)
    forget = _columns(x.dtype, size, 0.0, 1.0, 0.0, 0.0)
    gates = jnp.tanh((x + h @ recurrent + forget) * scale) * scale + (1.0 - scale)
    i, f, g, o = jnp.split(gates, 4, axis=-1)
    c = f * c + i * g
    h = o * jnp.tanh(c)
    return (h, c), gates


def _columns(dtype: Any, size: int, *of_gates: float) -> Array:
    """[4H]: a number for each gate."""
    return jnp.repeat(jnp.asarray(of_gates, dtype), size)


# Time comes first from here on: [T, B, ...].


def _forward(recurrent: Array, xs: Array) -> tuple[Array, Array, Array]:
    """Outputs and states [T, B, H] and gates [T, B, 4H]."""
    zero = jnp.zeros((*xs.shape[1:-1], recurrent.shape[0]), xs.dtype)

    def step(carry: Any, x: Array) -> Any:
        (h, c), gates = cell(recurrent, carry, x)
        return (h, c), (h, c, gates)

    return jax.lax.scan(step, (zero, zero), xs)[1]


@jax.custom_vjp
def _unrolled(recurrent: Array, xs: Array) -> Array:
    return _forward(recurrent, xs)[0]


def _unrolled_forward(recurrent: Array, xs: Array) -> tuple[Array, Any]:
    hs, cs, gates = _forward(recurrent, xs)
    return hs, (recurrent, hs, cs, gates)


def _unrolled_backward(kept: Any, gradient: Array) -> tuple[Array, Array]:
    recurrent, hs, cs, gates = kept
    i, f, g, o = jnp.split(gates, 4, axis=-1)
    tanh_c = jnp.tanh(cs)
    # All that the loop multiplies with is known before it. The derivatives of the gates' inputs are
    # these factors times the gradient of c, and of h for the output gate.
    factors = jnp.concatenate(
        [
            g * i * (1.0 - i),
            _one_step_earlier(cs) * f * (1.0 - f),
            i * (1.0 - jnp.square(g)),
            tanh_c * o * (1.0 - o),
        ],
        axis=-1,
    )
    of_h = o * (1.0 - jnp.square(tanh_c))  # what c gains from the gradient of h
    transposed = recurrent.T

    def step(carry: Any, now: Any) -> Any:
        dh, dc = carry
        of_output, factors, of_h, f = now
        dh = dh + of_output
        dc = dc + dh * of_h
        dx = jnp.concatenate([dc, dc, dc, dh], axis=-1) * factors
        return (dx @ transposed, dc * f), dx

    zero = jnp.zeros(hs.shape[1:], hs.dtype)
    steps = gradient, factors, of_h, f
    dxs = jax.lax.scan(step, (zero, zero), steps, reverse=True)[1]
    before = _one_step_earlier(hs)
    rows = math.prod(before.shape[:-1])
    kernel = before.reshape(rows, before.shape[-1]).T @ dxs.reshape(rows, dxs.shape[-1])
    return kernel, dxs


_unrolled.defvjp(_unrolled_forward, _unrolled_backward)


def _one_step_earlier(xs: Array) -> Array:
    return jnp.concatenate([jnp.zeros_like(xs[:1]), xs[:-1]], axis=0)


# The primitive, with any number of batch axes before [T, 4H]


def _any_batch(xs: Array, recurrent: Array) -> Array:
    batch = xs.shape[:-2]
    flat = xs.reshape(math.prod(batch), *xs.shape[-2:])
    hs = jnp.swapaxes(_unrolled(recurrent, jnp.swapaxes(flat, 0, 1)), 0, 1)
    return hs.reshape(*batch, *hs.shape[-2:])


def _jvp(primals: Any, tangents: Any) -> Any:
    # `_unrolled_backward` computes both gradients anyway, so a tangent that is 0 saves nothing.
    return jax.jvp(_any_batch, primals, tuple(ad.instantiate_zeros(t) for t in tangents))


_lstm_p = primitive.of_rows("unrolled_lstm", _any_batch)
ad.primitive_jvps[_lstm_p] = _jvp
