"""A line at the bottom of the terminal: what is done, for how long, and the time left of a run."""

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import TextIO

from dream_jax.runs.metrics import duration

_PERIOD_S = 0.5
_WIDTH = 24  # of the bar


def of_terminal(out: TextIO) -> "LiveLine | None":
    """The live line of a terminal; None where `out` is none, such as a file or a pipe."""
    return LiveLine(out) if is_terminal(out) else None


def is_terminal(out: TextIO) -> bool:
    """Whether a line of `out` can be written anew."""
    return out.isatty() and os.environ.get("TERM", "dumb") != "dumb"


@contextlib.contextmanager
def busy(what: str, out: TextIO | None = None) -> Iterator[None]:
    """Show what is being done, and for how long, while the block runs.

    Args:
      what: for example "compiling and evaluating".
      out: where to; by default standard error, so that results can be piped. Nothing is written
        where it is no terminal.
    """
    out = out or sys.stderr
    if not is_terminal(out):
        yield
        return
    with Line(what, out).shown():
        yield


def bar_of(share: float) -> str:
    """A bar that is full at 1."""
    full = round(_WIDTH * share)
    return f"[{'#' * full}{'-' * (_WIDTH - full)}]"


class Line:
    """A line that is written anew twice a second: what is done, and for how long."""

    def __init__(self, doing: str, out: TextIO, clock: Callable[[], float] = time.monotonic):
        self._out, self._clock = out, clock
        self._lock = threading.Lock()
        self._doing, self._began = doing, clock()

    def text(self) -> str:
        """The line."""
        return f"{self._doing}, {duration(self._clock() - self._began)}"

    def draw(self) -> None:
        with self._lock:
            self._out.write(f"\r\x1b[K{self.text()}")
            self._out.flush()

    def log(self, line: str) -> None:
        """Print a line above this one."""
        with self._lock:
            self._out.write(f"\r\x1b[K{line}\n")
            self._out.flush()

    def erase(self) -> None:
        """Remove the line until it is drawn again, to write to the terminal by other means."""
        with self._lock:
            self._out.write("\r\x1b[K")
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
            self.erase()


class LiveLine(Line):
    """Lines of progress, with a live line below them. `shown` starts and ends it."""

    def __init__(self, out: TextIO, clock: Callable[[], float] = time.monotonic):
        super().__init__("compiling evaluation and training", out, clock)
        self._first: float | None = None  # the share of the run that was done when training began
        self._share = 0.0

    def log(self, line: str) -> None:
        super().log(line)
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
        if self._doing != "training":
            return super().text()
        elapsed = self._clock() - self._began
        bar = bar_of(self._share)
        if self._first is None:
            return f"{bar} training, {duration(elapsed)}"
        left = elapsed * (1 - self._share) / (self._share - self._first)
        return f"{bar} {self._share:4.0%}, about {duration(left)} left"
