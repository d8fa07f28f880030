"""The CSV files of a run of the bandit: complexity.csv and curves.csv."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dream_jax.config import ConfigError
from experiments.figures.tables import write_csv


class Setting(NamedTuple):
    """One problem size and one method: a number of trials per seed."""

    method: str
    actions: int  # A
    horizon: int  # H


def write_complexity(
    path: Path, complexity: Mapping[Setting, np.ndarray], seeds: Sequence[int]
) -> None:
    """Trials until exploration is optimal, [seeds] per setting; empty where they are NaN."""
    rows = [
        (*setting, seed, "" if np.isnan(value) else int(value))
        for setting, values in sorted(complexity.items())
        for seed, value in zip(seeds, values, strict=True)
    ]
    write_csv(path, ("method", "actions", "horizon", "seed", "trials"), rows)


def read_complexity(path: Path, seeds: Sequence[int]) -> dict[Setting, np.ndarray]:
    """The rows of a complexity.csv; {} if there is none. Raises ConfigError if it is damaged."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return of_rows(list(csv.DictReader(file)), seeds)
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError, csv.Error) as error:
        raise ConfigError(f"--resume: {path} is damaged: {error!r}; use --overwrite") from error


def of_rows(rows: Sequence[Mapping[str, Any]], seeds: Sequence[int]) -> dict[Setting, np.ndarray]:
    """[seeds] trials per setting, from the rows of a complexity.csv.

    Raises ValueError if seeds are missing.
    """
    found: dict[Setting, dict[int, float]] = {}
    for row in rows:
        setting = Setting(row["method"], int(row["actions"]), int(row["horizon"]))
        trials = np.nan if row["trials"] in ("", None) else float(row["trials"])
        found.setdefault(setting, {})[int(row["seed"])] = trials
    if any(sorted(values) != sorted(seeds) for values in found.values()):
        raise ValueError("seeds are missing")
    return {
        setting: np.array([values[seed] for seed in seeds]) for setting, values in found.items()
    }


def write_curves(path: Path, curves: Mapping[str, Any]) -> None:
    """The `Snapshot`s of each method, leaves [records, seeds]: mean and standard deviation."""
    rows, names = [], next(iter(curves.values()))._fields[1:]
    for method, curve in curves.items():
        for i, trials in enumerate(curve.trials[:, 0]):
            values = [getattr(curve, name)[i] for name in names]
            rows.append(
                (method, trials, *(f"{f(v):.6g}" for v in values for f in (np.mean, np.std)))
            )
    header = [f"{name}_{statistic}" for name in names for statistic in ("mean", "sd")]
    write_csv(path, ("method", "trials", *header), rows)
