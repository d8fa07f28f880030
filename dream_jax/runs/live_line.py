"""A line at the bottom of the terminal: what a run is doing, for how long, and the time left."""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import TextIO

from dream_jax.runs.metrics import duration

_PERIOD_S = 0.5
_WIDTH = 24  # of the bar


def of_terminal(out: TextIO) -> "LiveLine | None":
    """The live line of a terminal; None where `out` is none, such as a file or a pipe."""
    if not out.isatty() or os.environ.get("TERM", "dumb") == "dumb":
        return None
    return LiveLine(out)


class LiveLine:
    """Lines of progress, with a live line below them. `shown` starts and ends it."""

    def __init__(self, out: TextIO, clock: Callable[[], float] = time.monotonic):
        self._out, self._clock = out, clock
        self._lock = threading.Lock()
        self._began = clock()
        self._doing = "compiling evaluation and training"
        self._first: float | None = None  # the share of the run that was done when training began
        self._share = 0.0

    def log(self, line: str) -> None:
        """Print a line above the live one."""
        with self._lock:
            self._out.write(f"\r\x1b[K{line}\n")
            self._out.flush()
        if line.startswith("compiled in"):
            self._doing, self._began = "training", self._clock()
        self.draw()

    def evaluated(self, event: object) -> None:
        """For `on_evaluation` of a run."""
        run = event.run  # type: ignore[attr-defined]
        training = run.config.training
        self._share = run.trials / training.trials
        if self._first is None:
            self._first = self._share - training.evaluation_period_trials / training.trials
        if self._share >= 1:
            self._doing, self._began = "the last evaluation, page and GIFs", self._clock()
        self.draw()

    def text(self) -> str:
        """The live line."""
        elapsed = self._clock() - self._began
        if self._doing != "training":
            return f"{self._doing}, {duration(elapsed)}"
        full = round(_WIDTH * self._share)
        bar = "#" * full + "-" * (_WIDTH - full)
        if self._first is None:
            return f"[{bar}] training, {duration(elapsed)}"
        left = elapsed * (1 - self._share) / (self._share - self._first)
        return f"[{bar}] {self._share:4.0%}, about {duration(left)} left"

    def draw(self) -> None:
        with self._lock:
            self._out.write(f"\r\x1b[K{self.text()}")
            self._out.flush()

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        """Redraws the line until the end of the block, and then removes it."""
        ended = threading.Event()

        def redraw() -> None:
            while not ended.wait(_PERIOD_S):
                self.draw()

        thread = threading.Thread(target=redraw, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            self._out.write("\r\x1b[K")
            self._out.flush()
