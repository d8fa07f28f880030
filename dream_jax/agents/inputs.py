"""What agents share: training problems, inputs of networks, discounts."""

import jax
import jax.numpy as jnp

from dream_jax.config import TdConfig
from dream_jax.types import Array, Env, Key, is_pixel_env


def draw_problem(key: Key, env: Env) -> Array:
    """[] int32 a training problem, uniformly."""
    ids = env.problem_ids("train")
    return jnp.asarray(ids)[jax.random.randint(key, (), 0, len(ids))]


def example_observation(env: Env, length: int) -> Array:
    """[length, ...] zeros of the shape that networks take, to initialise them."""
    if is_pixel_env(env):
        return jnp.zeros((length, *env.observation_shape), jnp.uint8)
    return jnp.zeros((length, len(env.observation_sizes)), jnp.int32)


def problem_input(env: Env, problem: Array) -> Array:
    """What an encoder of problems takes: the id (one-hot inside), or its descriptor [D]."""
    if env.descriptors is None:
        return problem
    return jnp.asarray(env.descriptors, jnp.float32)[problem]


def discounts(td: TdConfig, terminated: Array, truncated: Array) -> Array:
    """Discount after each step, [T]: 0 at termination, and at a time-out unless it bootstraps."""
    cut = terminated if td.bootstrap_on_truncation else terminated | truncated
    return td.discount * (1.0 - cut.astype(jnp.float32))
