"""Which parameters of a test belong to the quick tier."""

import pytest


def quick(values, *kept):
    """`values` for `pytest.mark.parametrize`: all but those in `kept` are slow."""
    return [value if value in kept else slow(value) for value in values]


def slow(value):
    """One set of parameters that is not in the quick tier."""
    values = value if isinstance(value, tuple) else (value,)
    return pytest.param(*values, marks=pytest.mark.slow)
