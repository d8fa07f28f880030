"""Training for tests."""


def trained(runner):
    """(state, metrics) after one chunk, leaves [seeds, ...]."""
    state, metrics = zip(*runner.chunk(runner.init()), strict=True)
    return runner.join(state), runner.join(metrics)
