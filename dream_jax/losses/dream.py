"""DREAM's own losses, each of one trial (Liu et al., 2021); the caller vmaps and masks."""

import chex
import jax
import jax.numpy as jnp

from dream_jax.types import Array, Key


def sample_encoding(key: Key, f: Array, rho: float) -> Array:
    """z ~ F(z | mu) = N(f(mu), rho^2 I), reparametrised (Section 4.2). f: [Z] -> [Z]."""
    chex.assert_rank(f, 1)
    return f + rho * jax.random.normal(key, f.shape, f.dtype)


def bottleneck_kl(f: Array, rho: float) -> Array:
    """Bound on I(z; mu) in nats: KL(N(f, rho^2 I) || N(0, rho^2 I)) = |f|^2 / (2 rho^2) (Eq. 2).

    f: [Z] mean of the encoding of one problem -> [].
    """
    chex.assert_rank(f, 1)
    return jnp.sum(jnp.square(f)) / (2.0 * rho**2)


def bottleneck_clipped(f: Array, clip: float) -> Array:
    """The authors' form of the penalty: max(|f|^2, clip); no gradient below. f: [Z] -> []."""
    chex.assert_rank(f, 1)
    return jnp.maximum(jnp.sum(jnp.square(f)), clip)


def dual_step(log_weight: Array, shortfall: Array, rate: float, tolerance: float = 0.1) -> Array:
    """log lambda after a step of dual ascent on the constraint of Eq. 2.

    Eq. 2 asks for the least I(z; mu) at which exploitation still returns the most. lambda is one
    over the multiplier of "the return is at least the target": it falls while returns are short of
    it, and rises while they are above. log_weight, shortfall (in units of return): []; a step is
    `rate` for a shortfall of `tolerance` or more, either way.
    """
    return log_weight - rate * jnp.clip(shortfall / tolerance, -1.0, 1.0)


def squared_distances(g: Array, f: Array) -> Array:
    """d_t = |g(tau_:t) - f(mu)|^2 for every prefix, the empty one included.

    g: [T + 1, Z] decoder means, f: [Z] encoder mean -> [T + 1]. f is a constant here.
    """
    chex.assert_rank([g, f], [2, 1])
    chex.assert_equal_shape_suffix([g, f], 1)
    return jnp.sum(jnp.square(g - jax.lax.stop_gradient(f)), axis=-1)


def decoder_loss(g: Array, f: Array) -> Array:
    """Variational bound (Eq. 4) up to constants and 1 / (2 rho^2): -log q(f(mu) | tau_:t).

    g: [T + 1, Z], f: [Z] -> [T + 1], one value per prefix. Its gradient reaches the decoder only.
    """
    return squared_distances(g, f)


def information_gain(g: Array, f: Array, step_penalty: float, scale: Array | float = 1.0) -> Array:
    """Exploration rewards (Eq. 5): r_t = (d_t - d_{t+1}) / scale - c, what step t told about z.

    Positive when the new transition brings g closer to f; telescopes to (d_0 - d_T) / scale - c T.
    `scale` is 1 in the paper; `spread` of the encodings makes it a share of what there is to know.
    g: [T + 1, Z], f: [Z] -> [T], without gradient.
    """
    distance = jax.lax.stop_gradient(squared_distances(g, f))
    return (distance[:-1] - distance[1:]) / scale - step_penalty


def spread(f: Array, rho: float) -> Array:
    """Mean squared distance of encodings from their mean, plus the noise rho^2; no gradient.

    f: [B, Z] encodings of a batch of problems -> [].
    """
    chex.assert_rank(f, 2)
    f = jax.lax.stop_gradient(f)
    return jnp.mean(jnp.sum(jnp.square(f - jnp.mean(f, axis=0)), axis=-1)) + rho**2


def log_likelihood_gain(log_q: Array, step_penalty: float, scale: float = 1.0) -> Array:
    """Eq. 5 with q over all of mu: r_t = (log q(mu | tau_:t+1) - log q(mu | tau_:t)) / scale - c.

    log_q: [T + 1] of every prefix -> [T], without gradient.
    """
    chex.assert_rank(log_q, 1)
    log_q = jax.lax.stop_gradient(log_q)
    return (log_q[1:] - log_q[:-1]) / scale - step_penalty
