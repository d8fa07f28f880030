"""The numbers of summary.json: the returns of a run beside those of the oracles."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dream_jax.envs.splits import split_names
from dream_jax.oracles import bounds as oracles
from dream_jax.oracles.bounds import Bounds
from dream_jax.types import Env
from dream_jax.viz.statistics import ci95

REFERENCE_LINES = ("told", "never_explores")  # agents that are trained to be compared with
OTHERS = ("no_reading", *REFERENCE_LINES)  # the references that only some runs have


def bounds_of(env: Env) -> dict[str, Bounds]:
    """The oracles' returns by split. Where they cannot be computed: nan, and a line on stderr."""
    try:
        return {split: oracles.bounds(env, split) for split in split_names(env)}
    except ValueError as error:
        print(f"returns are not normalised: {error}", file=sys.stderr, flush=True)
        return dict.fromkeys(split_names(env), Bounds(np.nan, np.nan))


def normalised(value: float, bounds: Bounds) -> float | None:
    """A return between 0, `Bounds.floor`, and 1, `Bounds.top`.

    These are the exact returns without exploration and of the best, or else the trained lines. None
    where the two are equal, or not known.
    """
    worth = bounds.top - bounds.floor
    return (value - bounds.floor) / worth if worth > 1e-6 else None


def solved(value: float, bounds: Bounds) -> bool:
    """Whether the normalised return is at least 0.95."""
    share = normalised(value, bounds)
    return share is not None and share >= 0.95


def split_summary(returns: Sequence[float | None], bounds: Bounds) -> dict[str, Any]:
    """One split of summary.json, from the mean return of each seed; None of one that failed."""
    good = [float(value) for value in returns if value is not None]
    others = bounds._asdict()
    declared = {name: others[name] for name in OTHERS if others[name] is not None}
    return {
        "return_mean": float(np.mean(good)),
        "return_ci95": ci95(good) if len(good) > 1 else None,
        "return_per_seed": [None if value is None else float(value) for value in returns],
        "optimal": bounds.optimal,
        "no_exploration": bounds.no_exploration,
        **declared,
        "normalised_per_seed": [
            None if value is None else normalised(value, bounds) for value in returns
        ],
    }


def describe(summary: Mapping[str, Any]) -> str:
    """The summary as a few lines for a person."""
    lines = []
    for split, part in summary["splits"].items():
        shares = part["normalised_per_seed"]
        per_seed = ", ".join("none" if value is None else f"{value:.3f}" for value in shares)
        names = [n for n in ("optimal", "no_exploration", *OTHERS) if n in part]
        known = ", ".join(f"{name.replace('_', ' ')} {_number(part[name])}" for name in names)
        lines.append(
            f"{split:10}  return {_number(part['return_mean'])}  ({known})  "
            f"normalised per seed {per_seed}"
        )
    times = [
        "never" if t is None else f"{t:.0f}s ({steps:,} steps)"
        for t, steps in zip(summary["time_to_95_s"], summary["env_steps_to_95"], strict=True)
    ]
    lines.append(f"time to 0.95 on both: {', '.join(times)}  (wall {summary['wall_s']:.0f}s)")
    if summary.get("verdict"):
        lines.append(summary["verdict"])
    for seed, failure in summary.get("failed", {}).items():
        lines.append(f"seed {seed} failed at trial {failure['trials']:,}: {failure['reason']}")
    return "\n".join(lines)


def _number(value: float | None) -> str:
    """None is a number that is not known, as in JSON."""
    return "nan" if value is None else f"{value:.3f}"
