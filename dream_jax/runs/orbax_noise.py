"""What orbax says besides its results, and how it is silenced."""

import contextlib
import functools
import logging
import sys
import threading
import time
from collections.abc import Collection, Iterator
from typing import Any

import absl.logging

_LONGEST_WAIT_S = 10.0  # for threads that an operation left behind


@functools.cache
def _drop_late_complaints() -> None:
    """From now on, print no traceback of a closed event loop.

    Where one of tensorstore's operations fails, orbax closes their event loop. The others report to
    it at once or later, from threads of tensorstore, and hand each exception to
    `sys.unraisablehook`. So the hook is there before the first operation, and stays.
    """
    before = sys.unraisablehook

    def hook(about: Any) -> None:
        closed = str(about.exc_value) == "Event loop is closed"
        if not (closed and isinstance(about.exc_value, RuntimeError)):
            before(about)

    sys.unraisablehook = hook


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silences orbax: some 60 lines per checkpoint, and a traceback of each task that fails."""
    _drop_late_complaints()
    loggers = (absl.logging.get_absl_logger(), logging.getLogger("asyncio"))
    before = [logger.disabled for logger in loggers]
    threads = set(threading.enumerate())
    for logger in loggers:
        logger.disabled = True
    try:
        yield
    finally:
        _join_new(threads)
        for logger, disabled in zip(loggers, before, strict=True):
            logger.disabled = disabled


def _join_new(before: Collection[threading.Thread]) -> None:
    """Wait for orbax's threads that are not in `before`.

    An operation that fails may leave one behind. It would fail later, and say so, when Python ends.
    """
    until = time.monotonic() + _LONGEST_WAIT_S
    for thread in set(threading.enumerate()) - set(before):
        if type(thread).__module__.startswith("orbax."):
            thread.join(max(until - time.monotonic(), 0.0))
