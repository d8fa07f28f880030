"""VariBAD's evidence lower bound (Zintgraf et al., 2020), of one trial; the caller vmaps and masks.

ELBO_t = E_{q(m | tau_:t)}[log p(trial | m)] - KL(q(m | tau_:t) || q(m | tau_:t-1)), with the prior
N(0, I) before the first step (their Eq. 4 and Section 3.2).
"""

from collections.abc import Sequence

import chex
import jax
import jax.numpy as jnp

from dream_jax.types import Array, Key


def sample_gaussian(key: Key, mean: Array, log_variance: Array) -> Array:
    """m ~ N(mean, exp(log_variance)), reparametrised. Any one shape, the same for both."""
    chex.assert_equal_shape([mean, log_variance])
    noise = jax.random.normal(key, mean.shape, mean.dtype)
    return mean + jnp.exp(0.5 * log_variance) * noise


def gaussian_kl(mean: Array, log_variance: Array, mean_0: Array, log_variance_0: Array) -> Array:
    """KL(N(mean, .) || N(mean_0, .)) of diagonal Gaussians, in nats: [..., Z] each -> [...]."""
    chex.assert_equal_shape([mean, log_variance, mean_0, log_variance_0])
    distance = jnp.square(mean - mean_0) * jnp.exp(-log_variance_0)
    ratio = log_variance - log_variance_0
    return 0.5 * jnp.sum(jnp.exp(ratio) + distance - 1.0 - ratio, axis=-1)


def filtering_kl(mean: Array, log_variance: Array) -> Array:
    """KL of each belief of a sequence to the one before it, of the first to N(0, I).

    mean, log_variance: [S, Z] -> [S] nats.
    """
    chex.assert_rank([mean, log_variance], 2)
    before = [jnp.concatenate([jnp.zeros_like(x[:1]), x[:-1]]) for x in (mean, log_variance)]
    return gaussian_kl(mean, log_variance, *before)


def component_log_likelihood(logits: Array, values: Array, sizes: Sequence[int]) -> Array:
    """log p(s'), the sum over integer components.

    logits: [..., sum(sizes)], values: [..., K] -> [...]; `values` may lack leading axes.
    """
    chex.assert_axis_dimension(logits, -1, sum(sizes))
    total, start = jnp.zeros(logits.shape[:-1]), 0
    for k, size in enumerate(sizes):
        log_p = jax.nn.log_softmax(logits[..., start : start + size])
        total = total + jnp.sum(log_p * jax.nn.one_hot(values[..., k], size), axis=-1)
        start += size
    return total
