"""What orbax says besides its results, and how it is silenced."""

import contextlib
import functools
import logging
import sys
from collections.abc import Iterator
from typing import Any

import absl.logging


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silences orbax: some 60 lines per checkpoint, and a traceback of each task that fails."""
    loggers = (absl.logging.get_absl_logger(), logging.getLogger("asyncio"))
    before = [logger.disabled for logger in loggers]
    for logger in loggers:
        logger.disabled = True
    try:
        yield
    finally:
        for logger, disabled in zip(loggers, before, strict=True):
            logger.disabled = disabled


@functools.cache
def drop_late_complaints() -> None:
    """From the first failure on, print no traceback of a closed event loop.

    Where one of tensorstore's operations fails, orbax closes their event loop. The others report to
    it later, from threads of tensorstore, which hand each exception to `sys.unraisablehook`.
    """
    before = sys.unraisablehook

    def hook(about: Any) -> None:
        closed = str(about.exc_value) == "Event loop is closed"
        if not (closed and isinstance(about.exc_value, RuntimeError)):
            before(about)

    sys.unraisablehook = hook
