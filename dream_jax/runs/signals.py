"""Stopping a run after its current chunk: Ctrl-C, SIGTERM, and a notebook's Stop button."""

import signal
import threading
from typing import Any


class StopSignal:
    """A context that notes the first of some signals and lets the current chunk end.

    `requested` is then the signal's name. Outside the main thread Python allows no signal
    handlers, so there the context does nothing.
    """

    def __init__(self, numbers: tuple[int, ...], second: Any, note: str):
        """
        Args:
          numbers: of the signals.
          second: the handler of a second signal.
          note: printed after the signal's name when the first one comes.
        """
        self.requested: str | None = None
        self._numbers, self._second, self._note = numbers, second, note
        self._before: dict[int, Any] = {}

    @classmethod
    def of_command(cls) -> "StopSignal":
        """SIGINT and SIGTERM. A second one ends the process."""
        note = "stopping after this chunk, with a checkpoint"
        return cls((signal.SIGINT, signal.SIGTERM), signal.SIG_DFL, note)

    @classmethod
    def of_library(cls) -> "StopSignal":
        """SIGINT, which a notebook's Stop button sends. A second one raises KeyboardInterrupt."""
        note = "stopping after this chunk; once more to stop at once"
        return cls((signal.SIGINT,), signal.default_int_handler, note)

    def __enter__(self) -> "StopSignal":
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.getsignal(number) for number in self._numbers}
            for number in self._numbers:
                signal.signal(number, self._noted)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            if handler is not None:  # None: it was not set from Python
                signal.signal(number, handler)

    def _noted(self, number: int, frame: Any) -> None:
        self.requested = signal.Signals(number).name
        print(f"{self.requested}: {self._note}", flush=True)
        for each in self._numbers:
            signal.signal(each, self._second)
