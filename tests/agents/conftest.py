"""The agent that several files test."""

import pytest

from tests.agents.dream_case import Rich


@pytest.fixture(scope="session")
def rich():
    return Rich()
