"""The world that several files test."""

import jax
import pytest

from dream_jax.envs.sign3d.sign import Sign


@pytest.fixture(scope="module")
def env():
    return Sign()


@pytest.fixture(scope="module")
def begin(env):
    """`reset` without the picture, which takes longest to compile."""
    return jax.jit(lambda *task: env.reset(*task)[0])
