"""The seconds of a run, and its speed."""

import time
from typing import NamedTuple


class Clock:
    """Seconds that a run has taken. The time while it is stopped does not count."""

    def __init__(self, started_s: float, earlier_s: float):
        """
        Args:
          started_s: Unix time of the start.
          earlier_s: seconds that the run took in earlier processes.
        """
        self._started_s: float | None = started_s
        self._earlier_s = earlier_s

    def seconds(self) -> float:
        now = time.time()
        return now - (now if self._started_s is None else self._started_s) + self._earlier_s

    def stop(self) -> None:
        self._earlier_s, self._started_s = self.seconds(), None

    def go_on(self) -> None:
        if self._started_s is None:
            self._started_s = time.time()


class Pace(NamedTuple):
    """Where a call of `Run.train` began."""

    began_s: float  # Unix time
    trials: int  # of each seed
    env_steps: int  # of all seeds

    def speed(self, trials: int, total_trials: int, env_steps: int) -> tuple[float, float]:
        """Environment steps per second since then, and the seconds that are left."""
        elapsed_s = max(time.time() - self.began_s, 1e-9)
        done = (trials - self.trials) / max(total_trials - self.trials, 1)
        return (env_steps - self.env_steps) / elapsed_s, elapsed_s * (1.0 - done) / done
