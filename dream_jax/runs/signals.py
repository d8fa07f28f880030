"""Ctrl-C and SIGTERM, taken note of where a run can stop."""

import signal
from typing import Any


class StopSignal:
    """Notes the first Ctrl-C or SIGTERM, so that the chunk at hand ends; a second one kills."""

    def __init__(self) -> None:
        self.requested: str | None = None

    def __enter__(self) -> "StopSignal":
        numbers = (signal.SIGINT, signal.SIGTERM)
        self._before = {number: signal.signal(number, self._note) for number in numbers}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: Any) -> None:
        self.requested = signal.Signals(number).name
        print(f"{self.requested}: stopping after this chunk, with a checkpoint", flush=True)
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_DFL)
