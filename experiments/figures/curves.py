"""Learning curves: rows of metrics.jsonl, and how they are drawn."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dream_jax.runs.files import json_lines


def curve(
    rows: Sequence[Mapping[str, Any]], name: str, x_name: str = "env_steps"
) -> tuple[np.ndarray, np.ndarray]:
    """x, the mean over seeds, [n], and returns [seeds, n], for the evaluations that every seed has.

    Args:
      rows: of metrics.jsonl.
      name: the column of the returns.
      x_name: the column of x.
    """
    seeds = sorted({row["seed"] for row in rows})
    of_seed = [[row for row in rows if row["seed"] == seed] for seed in seeds]
    common = min(map(len, of_seed))
    values = [
        [np.nan if r.get(name) is None else r[name] for r in mine[:common]] for mine in of_seed
    ]
    x = np.mean([[r[x_name] for r in mine[:common]] for mine in of_seed], axis=0)
    return x, np.array(values, float)


def plot_mean(
    axes: Any, x: np.ndarray, returns: np.ndarray, label: str, colour: str | None = None
) -> None:
    """Draw the mean of `returns` [seeds, n] over x [n], with a band of one standard deviation."""
    mean, sd = returns.mean(axis=0), returns.std(axis=0, ddof=min(1, len(returns) - 1))
    marker = "o" if len(x) == 1 else ""
    (line,) = axes.plot(x, mean, color=colour, marker=marker, label=label)
    axes.fill_between(x, mean - sd, mean + sd, color=line.get_color(), alpha=0.15, lw=0)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a metrics.jsonl, but for a damaged one at its end."""
    return json_lines(path)
