"""The two trained reference lines, read from finished runs of `told` and `never_explores`.

They stand beside the oracles' returns, and stand in for them where no oracle reaches.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dream_jax.config import Config, ConfigError
from dream_jax.oracles.bounds import Bounds
from dream_jax.runs import provenance
from dream_jax.runs.folder import RUN_FILE
from dream_jax.runs.summary import OTHERS, REFERENCE_LINES, split_summary

Lines = Mapping[str, Mapping[str, float]]  # by agent and split, mean returns


def read(folders: Sequence[str], config: Config) -> dict[str, dict[str, float]]:
    """The lines for a run with `config`.

    Raises:
      ConfigError: a folder has no finished run of one of the two agents in the same environment, or
        two folders have the same agent.
    """
    lines: dict[str, dict[str, float]] = {}
    for folder in folders:
        agent, returns = _of_run(folder, config)
        if agent in lines:
            raise ConfigError(f"--lines={folder}: a second run of {agent}; give one of each agent")
        lines[agent] = returns
    return lines


def _of_run(folder: str, config: Config) -> tuple[str, dict[str, float]]:
    example = "give the --out of a finished run with --config=told or --config=never_explores"
    try:
        theirs = provenance.config_of(provenance.read_json(Path(folder) / RUN_FILE))
        splits = provenance.read_json(Path(folder) / "summary.json")["splits"]
        returns = {split: float(part["return_mean"]) for split, part in splits.items()}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"--lines={folder} holds no finished run; {example}") from error
    if theirs.agent not in REFERENCE_LINES:
        raise ConfigError(f"--lines={folder} is a run of {theirs.agent}; {example}")
    for name, here, there in (
        ("benchmark", config.benchmark, theirs.benchmark),
        ("env.horizon", config.env.horizon, theirs.env.horizon),
    ):
        if here != there:
            raise ConfigError(f"--lines={folder} was trained with {name}={there!r}, not {here!r}")
    return theirs.agent, returns


def in_summary(summary: Mapping[str, Any], lines: Lines) -> dict[str, Any]:
    """summary.json with the lines, and returns normalised by them where they were not."""
    nan = {"optimal": np.nan, "no_exploration": np.nan}
    splits = {}
    for split, part in summary["splits"].items():
        there = {name: part[name] for name in (*nan, *OTHERS) if part.get(name) is not None}
        known = laid_over({split: Bounds(**(nan | there))}, lines)[split]
        splits[split] = dict(part) | split_summary(part["return_per_seed"], known)
    return dict(summary) | {"splits": splits}


def laid_over(bounds: Mapping[str, Bounds], lines: Lines) -> dict[str, Bounds]:
    """The bounds of each split, with the lines that were trained."""
    return {
        split: known._replace(**{a: lines[a][split] for a in lines if split in lines[a]})
        for split, known in bounds.items()
    }
