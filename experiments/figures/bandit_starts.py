"""How much the bandit's result owes to the first values of the tables and to the step size."""

import csv
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dream_jax.bandit import learners
from dream_jax.config import ConfigError
from experiments.figures import bandit_runs
from experiments.figures.bandit_runs import Case
from experiments.figures.tables import write_csv

NAME = "starts.csv"
_HEADER = ("method", "step_size", "exploration_start", "exploitation_start", "actions", "seed")


class Start(NamedTuple):
    """A learner's settings: levels of `learners.LEVELS`, and a step size (0: sample averages)."""

    method: str
    step_size: float
    exploration: str
    exploitation: str

    @property
    def words(self) -> str:
        """For tables, for example "neutral, optimistic"."""
        return f"{self.exploration}, {self.exploitation}"


Measured = dict[tuple[Start, int], np.ndarray]  # by start and A: [seeds] trials


def all_starts(step_sizes: Sequence[float], methods: Sequence[str]) -> list[Start]:
    """Every pairing of first values of the two tables, for every step size and method."""
    levels = list(learners.LEVELS)
    return [Start(*x) for x in itertools.product(methods, step_sizes, levels, levels)]


def measure(
    config: Any, starts: Sequence[Start], seeds: Sequence[int], known: Measured
) -> Iterator[tuple[Start, int, np.ndarray]]:
    """Trials of each start and A that is not `known`, as they settle; see `trials_of_cases`.

    Args:
      config: a `BanditConfig`; its action counts, epsilon and number of trials count here.
      starts: which to measure.
      seeds: of each.
      known: what need not be measured again.
    """
    for method in dict.fromkeys(start.method for start in starts):
        left = [
            (start, actions)
            for start in starts
            for actions in sorted(config.action_counts)
            if start.method == method and (start, actions) not in known
        ]
        cases = [Case(actions, options(config, start, actions)) for start, actions in left]
        for i, trials in bandit_runs.trials_of_cases(config, method, 1, cases, seeds):
            yield (*left[i], trials)


def options(config: Any, start: Start, actions: int) -> learners.Options:
    """The settings of a learner with this start for A actions."""
    plain = learners.Options(config.epsilon, start.step_size)
    chosen = learners.starting_from(
        learners.METHODS[start.method],
        plain,
        float(actions),
        learners.LEVELS[start.exploration],
        learners.LEVELS[start.exploitation],
    )
    return learners.Options(*(float(x) for x in chosen))


def write(path: Path, measured: Measured, seeds: Sequence[int]) -> None:
    """starts.csv: one row per start, A and seed; no trials where a seed did not settle."""
    rows = [
        (*start, actions, seed, "" if np.isnan(value) else int(value))
        for (start, actions), values in sorted(measured.items())
        for seed, value in zip(seeds, values, strict=True)
    ]
    write_csv(path, (*_HEADER, "trials"), rows)


def read(path: Path) -> tuple[Measured, list[int]]:
    """The contents of a starts.csv and its seeds; nothing where there is no file.

    Raises ConfigError if it is damaged.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return of_rows(list(csv.DictReader(file)))
    except FileNotFoundError:
        return {}, []
    except (ValueError, KeyError, TypeError, csv.Error) as error:
        raise ConfigError(f"{path} is damaged: {error}; delete it, and run it again") from error


def of_rows(rows: Sequence[Mapping[str, Any]]) -> tuple[Measured, list[int]]:
    """The trials and the seeds in the rows of a starts.csv.

    Raises ValueError if seeds are missing.
    """
    found: dict[tuple[Start, int], dict[int, float]] = {}
    for row in rows:
        levels = row["exploration_start"], row["exploitation_start"]
        start = Start(row["method"], float(row["step_size"]), *levels)
        trials = np.nan if row["trials"] in ("", None) else float(row["trials"])
        found.setdefault((start, int(row["actions"])), {})[int(row["seed"])] = trials
    seeds = sorted({seed for values in found.values() for seed in values})
    if any(sorted(values) != seeds for values in found.values()):
        raise ValueError("seeds are missing")
    return {key: np.array([values[s] for s in seeds]) for key, values in found.items()}, seeds


def fits(measured: Mapping[tuple[Start, int], np.ndarray]) -> list[dict[str, Any]]:
    """For each start the mean trials by A and the exponent of A, from sizes that all settled."""
    rows = []
    for start in sorted({start for start, _ in measured}):
        points = sorted((a, values) for (s, a), values in measured.items() if s == start)
        fit = bandit_runs.fit(start.method, "A^x, H=1", points)
        means = {a: None if np.isnan(v).any() else float(v.mean()) for a, v in points}
        settled = {a: int((~np.isnan(v)).sum()) for a, v in points}
        rows.append({**start._asdict(), **fit, "mean_trials": means, "seeds_settled": settled})
    return rows


class Pairing(NamedTuple):
    """A start of RL2 against one of DREAM, with the same step size."""

    rl2: Start
    dream: Start
    fewer: bool  # DREAM needs fewer trials at every A; a learner that does not settle needs more
    slower: (
        bool | None
    )  # the interval of DREAM's exponent is below RL2's; None: some seed did not settle


def pairings(measured: Mapping[tuple[Start, int], np.ndarray], step_size: float) -> list[Pairing]:
    """Every start of RL2 against every first value of DREAM's Q_exp.

    DREAM's exploration does not depend on its Q_task at all, so one of its starts stands for all.
    """
    rows = {
        Start(row["method"], row["step_size"], row["exploration"], row["exploitation"]): row
        for row in fits(measured)
        if row["step_size"] == step_size
    }
    mine = [s for s in rows if s.method == "dream" and s.exploitation == "neutral"]
    found = []
    for rl2 in (s for s in rows if s.method == "rl2"):
        for dream in mine:
            sizes = rows[rl2]["mean_trials"]
            means = [(sizes[a], rows[dream]["mean_trials"][a]) for a in sizes]
            fewer = all(few is not None and (many is None or few < many) for many, few in means)
            # A fit without the sizes that did not settle would be too low.
            known = all(None not in pair for pair in means)
            low, high = rows[rl2]["ci95"], rows[dream]["ci95"]
            found.append(Pairing(rl2, dream, fewer, low[0] > high[1] if known else None))
    return found
