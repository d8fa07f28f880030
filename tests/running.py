"""Training for tests."""


def trained(runner):
    """(state, metrics) after one chunk, leaves [seeds, ...]."""
    state, metrics = runner.chunk(runner.init())
    return runner.join(state), runner.join(metrics)
