"""The small trainer of tests/training, for tests of several devices."""

from tests.training.conftest import env, states, trainer

__all__ = ["env", "states", "trainer"]
