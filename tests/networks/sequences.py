"""Small networks with random parameters, and sequences to give them."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from dream_jax.config import NetworkConfig
from tests.probes import quick_jit

T, SIZES, INSTRUCTION_SIZES, A = 6, (4, 3), (5, 2), 4
MEMORIES = ("lstm", "mingru", "none")


def small(**options):
    sizes = {"hidden_size": 8, "head_size": 12, "z_size": 3, "decoder_memory_size": 7}
    return NetworkConfig(**{**sizes, **options})


def sequence(seed=0):
    """Observations [T + 1, K], actions [T], rewards [T]."""
    rng = np.random.default_rng(seed)
    observation = rng.integers(0, SIZES, (T + 1, len(SIZES)))
    return (
        jnp.asarray(observation, jnp.int32),
        jnp.asarray(rng.integers(0, A, T), jnp.int32),
        jnp.asarray(rng.normal(size=T), jnp.float32),
    )


def exploration_inputs(seed=0):
    """What the exploration policy reads at s_0 .. s_T: previous action `A` and reward 0 first."""
    observation, action, reward = sequence(seed)
    action = jnp.concatenate([jnp.array([A]), action])
    reward = jnp.concatenate([jnp.zeros(1), reward])
    return observation, action, reward, jnp.arange(T + 1) / T


@functools.cache
def compiled(net):
    return quick_jit(net.apply)


def make(net, *inputs, seed=0):
    """(compiled apply, parameters) of a network for the arguments of a sequence.

    Every parameter is drawn at random, so that what would start small or at zero counts too.
    """
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(net.init, jax.random.key(0), *inputs)
    params = jax.tree.map(
        lambda x: jnp.asarray(rng.normal(scale=0.5, size=x.shape), jnp.float32), shapes
    )
    return compiled(net), params


def rows_that_differ(a, b):
    return np.flatnonzero((np.asarray(a) != np.asarray(b)).any(-1)).tolist()


def unrolled(net, params, inputs, fixed=()):
    """Outputs of `step` along a sequence. `fixed` follows the observation, the same every step."""

    def step(carry, now):
        observation, *others = now
        return net.apply(params, carry, observation, *fixed, *others, method="step")

    @quick_jit
    def run(params, inputs):
        return jax.lax.scan(step, net.apply(params, method="initial"), inputs)[1]

    return run(params, inputs)
