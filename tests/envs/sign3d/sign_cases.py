"""Sign navigation, set up by hand."""

from pathlib import Path

import jax
import jax.numpy as jnp

from dream_jax.envs.sign3d.sign import SignState

LEFT, RIGHT, FORWARD, END = range(4)
BLUE, RED, GREEN = range(3)
BOX, KEY = range(2)
DYNAMICS = str(Path(__file__).parents[2] / "golden" / "sign_dynamics.npz")


def at(x, z, heading, problem=BLUE, instruction=BOX, step=0):
    return SignState(
        jnp.int32(problem),
        jnp.array([instruction], jnp.int32),
        jnp.array([x, z], jnp.float32),
        jnp.float32(heading),
        jnp.zeros(6, jnp.float32),
        jnp.int32(step),
    )


def advance(env, state, action):
    after, outcome = jax.jit(env.advance)(state, jnp.int32(action))
    return after, float(outcome.reward), bool(outcome.terminated), bool(outcome.truncated)
