"""Fixtures that tests of the trainer share, here and in tests/scaling: made once for both."""

import pytest

from tests.training import held_out


@pytest.fixture
def env():
    return held_out.env()


@pytest.fixture
def trainer():
    return held_out.trainer()


@pytest.fixture
def states():
    """States of seed 0 before and after each iteration, and the losses. Tests only read them."""
    return held_out.states()
