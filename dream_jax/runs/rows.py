"""The rows of metrics.jsonl after each evaluation, and the summary.json of a finished run."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from dream_jax.config import Config
from dream_jax.envs.splits import in_order
from dream_jax.oracles.bounds import Bounds
from dream_jax.runs import summary as summaries
from dream_jax.runs import trials as fixed_trials
from dream_jax.runs.metrics import to_json
from dream_jax.scaling import seeds as scaling

Row = dict[str, Any]
Counts = dict[str, np.ndarray]  # by name of a row's column, [seeds]


def count(runner: scaling.SeedRunner, state: scaling.SeedGroups) -> Counts:
    """Environment steps, trials and updates so far."""
    counted = [
        {
            "env_steps": group.exploration_steps + group.exploitation_steps,
            "trials": group.trials,
            "updates": group.learners[0].updates,
        }
        for group in state
    ]
    return jax.device_get(runner.join(tuple(counted)))


def make_rows(
    seeds: Sequence[int],
    counts: Counts,
    metrics: Mapping[str, np.ndarray],  # [seeds] each
    results: fixed_trials.Results,
    wall_s: float,
    compile_s: float,
) -> list[Row]:
    """One row of metrics.jsonl per seed."""
    rows = []
    for i, seed in enumerate(seeds):
        row = {
            "seed": seed,
            **{name: int(values[i]) for name, values in counts.items()},
            "wall_s": wall_s,
            "compile_s": compile_s,
            **returns_of(results, i),
            **{name: float(values[i]) for name, values in sorted(metrics.items())},
        }
        rows.append(to_json(row))
    return rows


def returns_of(results: fixed_trials.Results, i: int) -> dict[str, float]:
    """The columns of a row that come from evaluating the i-th seed."""
    row = {
        f"{split}_return": float(results[split].trial_return[i].mean())
        for split in in_order(results)
    }
    row["exploration_length"] = float(results["test"].exploration_length[i].mean())
    informed = results["train"].encoder_return
    if informed is not None:
        row["train_return_encoder"] = float(informed[i].mean())
    return row


def make_summary(
    config: Config,
    seeds: Sequence[int],
    returns: Mapping[str, Sequence[float]],  # by split, the mean return of each seed
    bounds: Mapping[str, Bounds],
    milestones: Mapping[str, Any],  # those of `runs.milestones`
    counts: Mapping[str, int],
    compile_s: float,
    wall_s: float,
) -> dict[str, Any]:
    """summary.json."""
    splits = {
        split: summaries.split_summary(returns[split], bounds[split]) for split in in_order(returns)
    }
    summary = {
        "benchmark": config.benchmark,
        "config": config.preset,
        "seeds": list(seeds),
        "splits": splits,
        **milestones,
        "wall_s": wall_s,
        "compile_s": compile_s,
        **counts,
    }
    return to_json(summary)
