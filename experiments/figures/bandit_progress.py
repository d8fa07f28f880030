"""What a run of the bandit has to measure, how far it is, and about how long the rest takes."""

import time
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any

from dream_jax.runs.metrics import duration
from experiments.figures.bandit_starts import Start
from experiments.figures.bandit_tables import Setting

# Of one trial of all seeds and sizes that run together, on one core of an AMD EPYC that others use
# too, with 30 seeds.
_SECONDS_PER_TRIAL = 1e-3


class Progress:
    """Counts the sizes that have been measured.

    Args:
      sizes: every key that will be measured, with the trials that its seeds are expected to need.
      known: the keys that have been measured before.
      seeds: how many.
      clock: seconds; replaced in tests.
    """

    def __init__(
        self,
        sizes: Mapping[Hashable, float],
        known: Iterable[Hashable],
        seeds: int,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._sizes, self._clock, self._began_s = sizes, clock, clock()
        self._before = set(known) & set(sizes)
        self._done: set[Hashable] = set()
        self._seeds = seeds
        self._expected_s_per_trial = _SECONDS_PER_TRIAL * max(1.0, seeds / 30)

    def announcement(self) -> str:
        """What will be measured, and about how long it takes."""
        left = len(self._sizes) - len(self._before)
        kept = f", {len(self._before)} of them measured before" if self._before else ""
        work = self._work(set(self._sizes) - self._before)
        time_s = duration(self._expected_s_per_trial * work) if left else "0s"
        return f"{len(self._sizes)} sizes, {self._seeds} seeds each{kept}: about {time_s}"

    def done(self, key: Hashable) -> str:
        """A size has been measured: how many there are now, and the time that is left."""
        self._done.add(key)
        count = len(self._before) + len(self._done)
        left = set(self._sizes) - self._before - self._done
        if not left:
            return f"[{count} of {len(self._sizes)}]"
        # The first sizes are tiny beside what compiling takes, so the announcement's estimate
        # counts as much as a quarter of the work.
        share = self._work(self._sizes) / 4
        spent = self._clock() - self._began_s + share * self._expected_s_per_trial
        speed = spent / (share + self._work(self._done))
        return f"[{count} of {len(self._sizes)}, about {duration(speed * self._work(left))} left]"

    def _work(self, keys: Iterable[Hashable]) -> float:
        """The sum of the expected trials."""
        return max(1.0, sum(self._sizes[key] for key in keys))


def sizes(config: Any, methods: Iterable[str], starts: Iterable[Start]) -> dict[Hashable, float]:
    """Every size that a config has measured, with the trials expected.

    Keys are a `Setting`, or a start with A.
    """
    found: dict[Hashable, float] = {}
    for method in methods:
        for horizon in sorted({1, *config.horizons}):
            for actions in counts(config, horizon):
                found[Setting(method, actions, horizon)] = _trials(config, method, actions, horizon)
    for start in starts:
        for actions in config.action_counts:
            # Together with the others of its method, of which it is a small part.
            found[start, actions] = _trials(config, start.method, actions, 1) / 4
    return found


def counts(config: Any, horizon: int) -> list[int]:
    """The numbers of actions that are measured with a number of exploration steps."""
    wanted = set(config.horizon_action_counts if horizon in config.horizons else ())
    return sorted(wanted | set(config.action_counts if horizon == 1 else ()))


def _trials(config: Any, method: str, actions: int, horizon: int) -> float:
    """Trials until every seed has settled, from the exponents of docs/results.md."""
    sequences = actions**horizon
    needed = 25.0 * sequences**2 if method == "rl2" else 3.0 * sequences
    return 2.0 * min(needed, config.max_trials)
