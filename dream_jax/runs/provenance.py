"""config.json of a run: its config, seeds, software and commit, and how an older file is read.

A file has a schema version. `config_of` reads a file of an older version as the run was then: every
field that has been added since gets the value that it had then, listed below, and never today's
default. A file that cannot be read so is refused with the difference.
"""

import copy
import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dream_jax import config as configs
from dream_jax.config import Config, ConfigError
from dream_jax.runs.metrics import versions

SCHEMA_VERSION = 3
_GIT_TIMEOUT_S = 10

# Fields that a file of a version may lack, with the value that does what runs of that version did.
# Whoever adds a field to `Config` adds a line for it, under the schema version of the day.
_THEN: dict[int, dict[str, Any]] = {
    1: {
        "env.quality": "fast",
        "env.start_region": "authors",
        "losses.bottleneck_dual": False,
        "losses.bottleneck_target": 0.0,
        "losses.bottleneck_dual_rate": 0.02,
        "losses.decoder_folds": 1,
        "end_to_end.distance_weight": 1.0,
        "end_to_end.posterior": "gaussian",
        "end_to_end.latent_size": 16,
        "end_to_end.kl_weight": 0.1,
        "end_to_end.reward_weight": 10.0,
        "end_to_end.beliefs_per_trial": 8,
        "acting.random_exploration": False,
        "acting.random_action_counts": [],
        "acting.time_shift_fraction": 0.0,
        "optimizer.hold_fraction": 0.0,
        "optimizer.weight_decay": 0.0,
        "optimizer.decay_encoder": True,
        "replay.exploration_batch_fraction": 1.0,
        "augmentation.shift_pixels": 0.0,
        "augmentation.noise_std": 0.0,
        "training.trial_shards": 1,
        "pearl_ub.hypothesis": "fixed",
        "pearl_ub.exploitation": "bayes_optimal",
        "pearl_ub.prior": "family",
        "pearl_ub.ties": "random",
    },
    2: {
        "env.held_out": [],
        "env.validation_problems": 0,
        "trial.instruction_in_exploration": False,
        "end_to_end.exploration_return": False,
    },
    3: {"training.checkpoints_kept": 2},
}


def record(config: Any, seeds: Sequence[int]) -> dict[str, Any]:
    """The contents of config.json: all that decides a run, and what it runs on."""
    return {
        "schema_version": SCHEMA_VERSION,
        "config": configs.to_dict(config),
        "seeds": list(seeds),
        "git": git_state(),
        "versions": versions(),
    }


def config_of(saved: Mapping[str, Any], kind: type = Config) -> Any:
    """The config in the contents of a config.json, of any schema version up to today's.

    Args:
      saved: the JSON object.
      kind: the class of the config: `Config`, or what an experiment has instead.

    Raises:
      ConfigError: the version is newer than this code, or the fields are not those of `kind`.
    """
    version = saved.get("schema_version", 1)  # the first one was not written down
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise ConfigError(f"schema_version={version!r} is not a whole number like {SCHEMA_VERSION}")
    if version > SCHEMA_VERSION:
        raise ConfigError(
            f"schema_version={version} is newer than this code, which reads versions up to "
            f"{SCHEMA_VERSION}; update dream_jax"
        )
    values = copy.deepcopy(saved["config"])
    if kind is Config and isinstance(values, dict):
        _migrate(values, version)
    config = configs.from_dict(values, kind)  # first: it names unknown fields and wrong types
    missing = [
        path for path in configs.paths(configs.to_dict(config)) if path not in configs.paths(values)
    ]
    if missing:
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise ConfigError(
            f"it lacks {missing[0]}{more}; add what the run was trained with, or use the code that "
            "wrote it"
        )
    return config


def load(path: str | Path, kind: type = Config) -> Any:
    """The config in a JSON file: a saved config.json, or a file of fields alone.

    A saved one is read as the run was then. In a file of fields alone, a missing field keeps its
    default.

    Raises:
      ConfigError: the file cannot be read, is not JSON, does not hold such a config, or holds the
        many points of a sweep.
    """
    try:
        values = read_json(path)
        if isinstance(values.get("points"), list):
            raise ValueError(
                f"it holds the {len(values['points'])} points of a sweep; give the config of one, "
                "such as best/config.json in the sweep's folder"
            )
        return config_of(values, kind) if "config" in values else configs.from_dict(values, kind)
    except (OSError, ValueError) as error:  # of the file, its text, its JSON or its fields
        raise ConfigError(f"config file {str(path)!r}: {error}") from error


def read_json(path: str | Path) -> dict[str, Any]:
    """The object in a JSON file. Raises OSError or, for any other content, ValueError."""
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(values, dict):
        raise ValueError("it holds no JSON object")
    return values


def _migrate(values: dict[str, Any], version: int) -> None:
    """Change the fields of a `Config` of a version into those of today, in place."""
    if version == 1 and values.get("agent") == "random_exploration":
        values["agent"] = "dream"
        _set(values, "acting.random_exploration", True)
    if version <= 2 and values.get("agent") == "dream_end_to_end":
        values["agent"] = "dream_half_coupled"  # its name since version 3
    for then in range(version, SCHEMA_VERSION + 1):
        for path, value in _THEN.get(then, {}).items():
            _set(values, path, value)


def _set(values: dict[str, Any], path: str, value: Any) -> None:
    """Set a field that is missing."""
    group, _, field = path.partition(".")
    fields = values.setdefault(group, {})
    if isinstance(fields, dict):  # else `from_dict` refuses it by name
        fields.setdefault(field, value)


def git_state(folder: Path | None = None) -> dict[str, Any] | None:
    """{"commit", "dirty"} of the checkout that this code is in; None where it is in none.

    Dirty: a tracked file differs from the commit, or the package or the experiments hold a file
    that is neither tracked nor ignored.

    Args:
      folder: the one that holds the package `dream_jax`; this code's by default.
    """
    folder = folder or Path(__file__).parents[2]
    code = ("dream_jax", "experiments")
    try:
        # Code that is installed below somebody's checkout, for example in a virtual environment, is
        # not tracked there.
        _git(folder, "ls-files", "--error-unmatch", "dream_jax/config.py")
        commit = _git(folder, "rev-parse", "HEAD")
        changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
        new = _git(folder, "ls-files", "--others", "--exclude-standard", "--", *code)
    except (OSError, subprocess.SubprocessError):  # no git, no checkout, somebody else's, a timeout
        return None
    return {"commit": commit, "dirty": bool(changed or new)}


def _git(folder: Path, *arguments: str) -> str:
    # Variables like GIT_DIR, set where git runs this code, would name another checkout.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    done = subprocess.run(
        ["git", "--no-optional-locks", "-C", str(folder), *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=True,
        timeout=_GIT_TIMEOUT_S,
    )
    return done.stdout.strip()
