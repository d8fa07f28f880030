"""Stopping a run after its current chunk: Ctrl-C, a scheduler's signals, a notebook's Stop."""

import signal
import threading
from typing import Any

RESUME_ME = 75  # exit status EX_TEMPFAIL of sysexits.h: nothing is lost, `--resume` goes on
# Sent before a time limit, by Slurm for example. Windows has none of them.
WARNINGS: tuple[int, ...] = tuple(
    getattr(signal, name) for name in ("SIGUSR1", "SIGUSR2") if hasattr(signal, name)
)


class StopSignal:
    """A context that notes the first of some signals and lets the current chunk end.

    `requested` is then the signal's name. Outside the main thread Python allows no signal
    handlers, so there the context does nothing.
    """

    def __init__(
        self, ending: tuple[int, ...], second: Any, note: str, asking: tuple[int, ...] = ()
    ):
        """
        Args:
          ending: signals, of which a second one is handled by `second`.
          second: that handler.
          note: printed after the signal's name when the first one comes.
          asking: signals that may come any number of times.
        """
        self.requested: str | None = None
        self._ending, self._asking = ending, asking
        self._second, self._note = second, note
        self._before: dict[int, Any] = {}

    @classmethod
    def of_command(cls) -> "StopSignal":
        """SIGINT, SIGTERM, SIGUSR1 and SIGUSR2. A second SIGINT or SIGTERM ends the process.

        Schedulers send SIGUSR1 or SIGUSR2 before a time limit, and SIGTERM at it.
        """
        note = "stopping after this chunk, with a checkpoint"
        return cls((signal.SIGINT, signal.SIGTERM), signal.SIG_DFL, note, WARNINGS)

    @classmethod
    def of_library(cls) -> "StopSignal":
        """SIGINT, which a notebook's Stop button sends. A second one raises KeyboardInterrupt."""
        note = "stopping after this chunk; once more to stop at once"
        return cls((signal.SIGINT,), signal.default_int_handler, note)

    def __enter__(self) -> "StopSignal":
        if threading.current_thread() is threading.main_thread():
            numbers = (*self._ending, *self._asking)
            self._before = {number: signal.getsignal(number) for number in numbers}
            for number in numbers:
                signal.signal(number, self._noted)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            if handler is not None:  # None: it was not set from Python
                signal.signal(number, handler)

    def _noted(self, number: int, frame: Any) -> None:
        if self.requested is None:
            self.requested = signal.Signals(number).name
            print(f"{self.requested}: {self._note}", flush=True)
        if number in self._ending:
            for each in self._ending:
                signal.signal(each, self._second)
