"""Fixtures that tests of the trainer share, here and in tests/scaling."""

import jax
import jax.numpy as jnp
import pytest

from dream_jax import validation
from dream_jax.training import setup
from tests.training.held_out import CONFIG, ITERATIONS, HeldOut


@pytest.fixture(scope="module")
def env():
    return HeldOut()


@pytest.fixture(scope="module")
def trainer(env):
    return setup.make_trainer(validation.validate(CONFIG, env.num_actions), env)


@pytest.fixture(scope="module")
def states(trainer):
    """States of seed 0 before and after each iteration, as numpy."""

    @jax.jit
    def run(seed):
        def body(state, _):
            after, losses = trainer.iterate(state)
            return after, (after, losses)

        first = trainer.init(seed)
        return first, *jax.lax.scan(body, first, length=ITERATIONS)[1]

    first, after, losses = jax.device_get(run(jnp.int32(0)))
    listed = [first] + [jax.tree.map(lambda x, k=k: x[k], after) for k in range(ITERATIONS)]
    return listed, losses
