"""A run as the command line makes it: in its folder, with lines of progress, to an exit status."""

import functools
import sys

from dream_jax.agents import registry
from dream_jax.runs import summary as summaries
from dream_jax.runs.analytic import ComputedRun
from dream_jax.runs.folder import RunRequest
from dream_jax.runs.loop import NotFinite, Run
from dream_jax.runs.signals import StopSignal
from dream_jax.runs.storage import OnDisk


def run(request: RunRequest, started_s: float) -> int:
    """Train, or compute, what was requested.

    Args:
      request: its folder has been checked.
      started_s: Unix time of the start of the process.

    Returns:
      The exit status: 0 done, or stopped with a checkpoint; 1 a loss was not finite.

    Raises:
      ConfigError: the run is not possible on this machine, or its folder is damaged.
    """
    config, seeds, storage = request.config, request.seeds, OnDisk(request)
    if registry.find(config.agent).analytic:
        print(summaries.describe(ComputedRun(config, seeds, storage, started_s).summary))
        return 0
    log = functools.partial(print, flush=True)
    try:
        Run(config, seeds, storage, started_s, StopSignal.of_command, log).train()
    except NotFinite as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0
