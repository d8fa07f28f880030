"""When a run reached 0.95, and its returns at fixed numbers of environment steps.

Both are read off the rows of metrics.jsonl after training. Nothing is stopped or chosen by them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from dream_jax.oracles.bounds import Bounds
from dream_jax.runs.summary import solved

SPLITS = ("train", "test")  # a milestone is of both
CONFIRMING = 2  # evaluations after the first that must also be at 0.95
STEP_BUDGETS = (250_000, 500_000, 1_000_000, 2_000_000, 5_000_000)

Row = Mapping[str, Any]


def reached_95(
    rows: Sequence[Row], seeds: Sequence[int], bounds: Mapping[str, Bounds]
) -> dict[str, list[Any]]:
    """Seconds, environment steps and updates at which each seed reached 0.95; None if never.

    It is the first evaluation whose normalised return is at least 0.95 on training and on test
    problems, there and at the two evaluations that follow.

    Args:
      rows: of metrics.jsonl.
      seeds: of the run, in the order of the result.
      bounds: the oracles' returns by split.
    """
    found = [_first_confirmed(_of_seed(rows, seed), bounds) for seed in seeds]
    return {
        "time_to_95_s": [None if row is None else row["wall_s"] for row in found],
        "env_steps_to_95": [None if row is None else row["env_steps"] for row in found],
        "updates_to_95": [None if row is None else row["updates"] for row in found],
    }


def return_at_env_steps(rows: Sequence[Row], seeds: Sequence[int]) -> dict[str, list[Any]]:
    """Test returns of each seed at each of `STEP_BUDGETS`: at the last evaluation within it.

    None for a seed that trained for fewer steps, or was not evaluated within the budget.
    """
    found: dict[str, list[Any]] = {}
    for budget in STEP_BUDGETS:
        found[str(budget)] = []
        for seed in seeds:
            mine = _of_seed(rows, seed)
            within = [row for row in mine if row["env_steps"] <= budget]
            reached = within and mine[-1]["env_steps"] >= budget
            found[str(budget)].append(within[-1]["test_return"] if reached else None)
    return found


def _of_seed(rows: Sequence[Row], seed: int) -> list[Row]:
    return [row for row in rows if row["seed"] == seed]


def _first_confirmed(rows: Sequence[Row], bounds: Mapping[str, Bounds]) -> Row | None:
    good = [
        all(row.get(f"{split}_return") is not None for split in SPLITS)
        and all(solved(row[f"{split}_return"], bounds[split]) for split in SPLITS)
        for row in rows
    ]
    for k in range(len(rows) - CONFIRMING):
        if all(good[k : k + CONFIRMING + 1]):
            return rows[k]
    return None
