"""Lambda as the dual variable of Eq. 2's constraint: exploitation must return its target."""

import jax.numpy as jnp

from dream_jax.config import NEARLY_GREEDY, Config
from dream_jax.losses import dream as losses
from dream_jax.losses.reduce import masked_mean
from dream_jax.types import Array, Dual, Trial

_RETURN_AVERAGE = 0.05  # weight of an iteration in the slow average of returns


def init(config: Config) -> Dual | None:
    """The dual variable at the start; None if lambda stays what the config says."""
    c = config.losses
    if not c.bottleneck_dual:
        return None
    return Dual(jnp.log(c.bottleneck_weight), jnp.float32(c.bottleneck_target))


def adapt(config: Config, dual: Dual, trials: Trial, epsilon: Array) -> Dual:
    """One step of dual ascent after trials [B, ...].

    Only actors that exploit nearly greedily with z = f(mu) count: a z that was read from an
    exploration may be wrong. epsilon: [B], of exploitation.
    """
    c = config.losses
    counts = ~trials.acts_on_exploration & (epsilon <= NEARLY_GREEDY)
    returns = jnp.mean(jnp.sum(trials.exploitation.reward, axis=-1), axis=-1)
    found = masked_mean(returns, counts)
    weight = _RETURN_AVERAGE * jnp.any(counts)
    mean = dual.mean_return + weight * (found - dual.mean_return)
    shortfall = c.bottleneck_target - mean
    return Dual(losses.dual_step(dual.log_weight, shortfall, c.bottleneck_dual_rate), mean)
