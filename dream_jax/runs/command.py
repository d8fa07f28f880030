"""A run as the command line makes it: in its folder, with lines of progress, to an exit status."""

import contextlib
import functools
import sys
from collections.abc import Callable

from dream_jax.runs import live_line
from dream_jax.runs import summary as summaries
from dream_jax.runs.analytic import ComputedRun
from dream_jax.runs.extend import StoppedWhileAdding, start
from dream_jax.runs.files import NotWritten
from dream_jax.runs.folder import RunRequest
from dream_jax.runs.on_disk import OnDisk
from dream_jax.runs.rows import NotFinite
from dream_jax.runs.signals import RESUME_ME, StopSignal


def run(request: RunRequest, started_s: float) -> int:
    """Train, or compute, what was requested.

    Args:
      request: its folder has been checked.
      started_s: Unix time of the start of the process.

    Returns:
      The exit status: 0 finished; 75 stopped with a checkpoint; 1 a number was not finite in a
      seed, or a file could not be written.

    Raises:
      ConfigError: the run is not possible on this machine, or its folder is damaged.
    """
    log: Callable[[str], None] = functools.partial(print, flush=True)
    if not request.extendable:
        computed = ComputedRun(request.config, request.seeds, OnDisk(request), started_s)
        log(nothing_to_do(computed) if computed.was_there else summaries.describe(computed.summary))
        return 0
    live = live_line.of_terminal(sys.stdout)
    try:
        with live.shown() if live else contextlib.nullcontext():
            log = live.log if live else log
            training = start(request, started_s, StopSignal.of_command, log)
            if training.finished:
                log(nothing_to_do(training))
                return 0
            training.train(live.evaluated if live else None)
    except StoppedWhileAdding as stopped:
        log(str(stopped))
        return RESUME_ME
    except (NotFinite, NotWritten) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if not training.finished:
        return RESUME_ME
    for seed, failure in training.failed.items():
        print(f"error: seed {seed} failed, the others finished: {failure.reason}", file=sys.stderr)
    return 1 if training.failed else 0


def nothing_to_do(run: object) -> str:
    """The line about a run that was finished before it was resumed."""
    return f"{getattr(run, 'out', None)}: finished; nothing to do"
