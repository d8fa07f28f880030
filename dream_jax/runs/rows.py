"""The rows of metrics.jsonl after each evaluation, and the summary.json of a finished run."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from dream_jax.config import Config
from dream_jax.envs.splits import in_order
from dream_jax.oracles.bounds import Bounds
from dream_jax.runs import milestones, verdict
from dream_jax.runs import summary as summaries
from dream_jax.runs import trials as fixed_trials
from dream_jax.runs.metrics import to_json
from dream_jax.scaling import seeds as scaling

Row = dict[str, Any]
Counts = dict[str, np.ndarray]  # by name of a row's column, [seeds]


class NotFinite(FloatingPointError):
    """A loss of every seed that trained is NaN or infinite. Earlier checkpoints are good."""


class Failure(NamedTuple):
    """Why a seed trains no more."""

    reason: str
    trials: int  # when it failed
    checkpoint: int | None  # the last one in which the seed is good; it is not deleted


def failures(
    found: Mapping[int, str], seeds: Sequence[int], trials: tuple[int, int], checkpoint: int | None
) -> dict[int, Failure]:
    """The seeds that failed in a chunk.

    Args:
      found: what is not finite, by place of the seed.
      seeds: of the run.
      trials: at the beginning and at the end of the chunk.
      checkpoint: the newest one.
    """
    began, ended = trials
    return {
        seeds[place]: Failure(
            f"{reason}; in seed {seeds[place]}, trials {began:,} to {ended:,}", began, checkpoint
        )
        for place, reason in found.items()
    }


def failures_of(metadata: Mapping[str, Any]) -> dict[int, Failure]:
    """Those in the metadata of a checkpoint, by seed."""
    return {int(seed): Failure(**about) for seed, about in metadata.get("failed", {}).items()}


def best_step(rows: Sequence[Row], steps: Sequence[int]) -> int | None:
    """The checkpoint with the highest return, averaged over the seeds; of equals the newest.

    Validation problems decide if there are any, else training problems; never those of the test.

    Args:
      rows: of metrics.jsonl.
      steps: the checkpoints, by their numbers of trials.

    Returns:
      None if no checkpoint was evaluated.
    """
    split = "validation" if any("validation_return" in row for row in rows) else "train"
    returns: dict[int, list[float]] = {}
    for row in rows:
        value = row.get(f"{split}_return")
        if row["trials"] in steps and value is not None and np.isfinite(value):
            returns.setdefault(row["trials"], []).append(value)
    return max(returns, key=lambda step: (np.mean(returns[step]), step), default=None)


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
    live: Sequence[bool],
) -> list[Row]:
    """One row of metrics.jsonl per seed that still trains. live: of each seed."""
    rows = []
    for i, seed in enumerate(seeds):
        if not live[i]:
            continue
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
    row["exploration_return"] = float(results["test"].exploration_return[i].mean())
    informed = results["train"].encoder_return
    if informed is not None:
        row["train_return_encoder"] = float(informed[i].mean())
    return row


def make_summary(
    config: Config,
    seeds: Sequence[int],
    returns: Mapping[str, Sequence[float | None]],  # by split, the mean return of each seed
    bounds: Mapping[str, Bounds],
    milestones: Mapping[str, Any],  # those of `runs.milestones`
    counts: Mapping[str, int],
    compile_s: float,
    wall_s: float,
    failed: Mapping[int, Failure] | None = None,  # by seed; their returns are None
    meaning: str = "",  # one sentence; "": there is none
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
    if meaning:
        summary["verdict"] = meaning
    if failed:
        summary["failed"] = {str(seed): failure._asdict() for seed, failure in failed.items()}
    return to_json(summary)


def final_summary(
    config: Config,
    seeds: Sequence[int],
    results: fixed_trials.Results,
    bounds: Mapping[str, Bounds],
    rows: Sequence[Row],
    counts: Counts,
    compile_s: float,
    wall_s: float,
    failed: Mapping[int, Failure],
    held_out: bool,  # the test problems are not those of training
) -> dict[str, Any]:
    """summary.json of a run that was trained, from its final evaluation and all its rows."""
    live = np.array([seed not in failed for seed in seeds])
    found = {split: results[split].trial_return.mean(axis=1).tolist() for split in results}
    returns = {
        split: [value if on else None for value, on in zip(values, live, strict=True)]
        for split, values in found.items()
    }
    informed = results["train"].encoder_return
    means = verdict.Returns(
        float(np.mean(results["train"].trial_return[live])),
        float(np.mean(results["test"].trial_return[live])),
        None if informed is None else float(np.mean(informed[live])),
        held_out,
        config.agent if config.agent in summaries.REFERENCE_LINES else None,
    )
    return make_summary(
        config,
        seeds,
        returns,
        bounds,
        milestones.reached_95(rows, seeds, bounds)
        | {"return_at_env_steps": milestones.return_at_env_steps(rows, seeds)},
        {name: int(values[live].mean()) for name, values in counts.items()},
        compile_s,
        wall_s,
        failed,
        verdict.sentence(means, bounds, rows),
    )
