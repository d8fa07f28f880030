"""The folder of a run: which files a run owns, and when it may be used, resumed or overwritten."""

import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from dream_jax import config as configs
from dream_jax.agents import registry
from dream_jax.config import Config, ConfigError
from dream_jax.runs import provenance
from dream_jax.runs.files import holds_files
from dream_jax.runs.metrics import write_json

LARGEST_SEEDS = 10_000  # of one run
MERGED = "checkpoints.merged"  # the folder of a checkpoint with seeds that were added
LARGEST_SEED = 2**31 - 1  # seeds are 32-bit integers on the device
ADDED = "added_seeds"  # the folder in which seeds that a run gets later catch up
RUN_FILE = "config.json"
# Everything that a run writes into its folder, and everything that --overwrite deletes.
RUN_NAMES = (
    RUN_FILE,
    "metrics.jsonl",
    "metrics.csv",
    "wandb",
    "summary.json",
    "curves.png",
    "checkpoints",
    MERGED,
    ADDED,
    "videos",
    "tensorboard",
    "report.html",
    "visits.jsonl",
    # of experiments.bandit
    "complexity.csv",
    "starts.csv",
    "complexity.png",
    "complexity.svg",
    "curves.csv",
    "figure3.png",
    "figure3.svg",
)


class RunRequest(NamedTuple):
    """A run that somebody asked for."""

    config: Any  # Config, or the dataclass that an experiment has instead
    out: Path
    seeds: tuple[int, ...]
    resume: bool
    overwrite: bool
    allow_changes: bool = False  # of the config, at a resume
    init_from: str | None = None  # a run's folder or an agent's file, whose parameters come first
    log: tuple[str, ...] = ()  # where rows go beside metrics.jsonl: some of `loggers.NAMES`
    # Returns of the trained reference lines by agent and split (`runs.lines`). None: none, or those
    # of the run that is resumed.
    lines: Mapping[str, Mapping[str, float]] | None = None

    @property
    def extendable(self) -> bool:
        """Whether it trains: a run that is computed is made anew instead."""
        return isinstance(self.config, Config) and not registry.find(self.config.agent).analytic


class Changes(NamedTuple):
    """What a request adds to the run in its folder."""

    fields: dict[str, tuple[Any, Any]]  # of the config by path: old value, new value
    added_seeds: tuple[int, ...]

    def __bool__(self) -> bool:
        return bool(self.fields or self.added_seeds)


NO_CHANGES = Changes({}, ())


def check_folder(request: RunRequest) -> Changes:
    """Check that the run may use its folder. Writes nothing.

    Returns:
      What the request changes in the run that is there.

    Raises:
      ConfigError: the folder cannot be written to, holds other files, or holds a run that was
        neither to be resumed nor overwritten, or that cannot be resumed with this config.
    """
    out = request.out
    try:
        str(out.absolute()).encode()
    except UnicodeEncodeError as error:  # checkpoints could not be saved
        raise ConfigError(
            f"--out={out}: Python cannot decode this path in the locale's encoding; set "
            "PYTHONUTF8=1, or give a path in ASCII"
        ) from error
    refuse_files(out)
    if not holds_files(out):
        return NO_CHANGES
    if not (request.resume or request.overwrite):
        raise ConfigError(f"--out={out} exists; give another, --resume or --overwrite")
    saved = saved_run(out)
    return changes_of(request, saved) if request.resume else NO_CHANGES


def refuse_files(out: Path) -> None:
    """Raises ConfigError if `out` cannot be written to, or it or one of its parents is a file."""
    try:
        if out.exists() and not out.is_dir():
            raise ConfigError(f"--out={out} is a file; give a folder, for example {out}_run")
        for parent in out.parents:
            if parent.exists() and not parent.is_dir():
                raise ConfigError(f"--out={out}: {parent} is a file, not a folder")
        there = next(path for path in (out, *out.absolute().parents) if path.exists())
    except OSError as error:  # a name too long, a folder that may not be read
        raise ConfigError(f"--out={out}: {error.strerror}; give a folder of your own") from error
    if there.is_dir() and not os.access(there, os.R_OK | os.W_OK | os.X_OK):
        raise ConfigError(f"--out={out}: {there} cannot be written to; give another folder")


def prepare_folder(request: RunRequest, changes: Changes = NO_CHANGES, trials: int = 0) -> None:
    """Make the folder with its config.json; delete the old run first if that was asked for.

    Args:
      request: the run.
      changes: as `check_folder` returned them. They are added to config.json.
      trials: that each seed had trained on when they were made.

    Raises:
      OSError: the folder cannot be written to.
    """
    out, path = request.out, request.out / RUN_FILE
    if request.overwrite:
        delete(out, RUN_NAMES)
    out.mkdir(parents=True, exist_ok=True)
    record = provenance.record(request.config, request.seeds)
    lines = {"lines": request.lines} if request.lines else {}
    if not path.exists():
        source = {"init_from": request.init_from} if request.init_from else {}
        write_json(path, record | source | lines)
        return
    saved = provenance.read_json(path) | lines
    if lines and not changes:
        write_json(path, saved)
    elif changes:
        entry = {
            "trials": trials,
            "changed": {name: list(values) for name, values in changes.fields.items()},
            "added_seeds": list(changes.added_seeds),
            "git": record["git"],
            "versions": record["versions"],
        }
        new = {name: record[name] for name in ("schema_version", "config", "seeds")}
        write_json(path, saved | new | {"history": [*saved.get("history", []), entry]})


def refuse_differences(out: Path, old: Any, new: Any, unless: str = "") -> None:
    """Raises ConfigError if a run with the config `old` cannot go on with the config `new`.

    `unless`: the flag with which it could.
    """
    differing = configs.differences(old, new)
    if differing:
        path, (was, now) = next(iter(differing.items()))
        raise ConfigError(
            f"--resume: {out} was trained with {path}={was!r}, not {now!r}"
            + (f" (and {len(differing) - 1} more)" if len(differing) > 1 else "")
            + (f"; {unless} goes on with the new" if unless else "")
        )


def delete(out: Path, names: Iterable[str]) -> None:
    """Delete files and folders with these names in `out`, but never the target of a link."""
    for path in (out / name for name in names):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def saved_run(out: Path, flag: str = "--out=") -> dict[str, Any]:
    """config.json of the run in a folder. Raises ConfigError if the file is not one of ours.

    `flag` stands before the folder in the message.
    """
    try:
        saved = provenance.read_json(out / RUN_FILE)
        if isinstance(saved["config"], dict) and _are_seeds(saved["seeds"]):
            return saved
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise ConfigError(
        f"{flag}{out} holds files but no run of ours (no {RUN_FILE} of one); give another folder"
    )


def changes_of(request: RunRequest, saved: dict[str, Any]) -> Changes:
    """What a request adds to the run whose config.json is `saved`. Raises ConfigError.

    More trials and more seeds are always possible. Other fields need `allow_changes`.
    """
    out, seeds = request.out, tuple(saved["seeds"])
    try:
        old = provenance.config_of(saved, type(request.config))
    except ConfigError as error:
        raise ConfigError(f"--resume: {out / RUN_FILE}: {error}") from error
    source = saved.get("init_from")
    if request.init_from not in (None, source):
        raise ConfigError(
            f"--resume: {out} began with --init_from={source}, not {request.init_from}"
        )
    if not request.extendable:
        _refuse_other_seeds(request, seeds)
        refuse_differences(out, old, request.config)
        return NO_CHANGES
    lost = [seed for seed in seeds if seed not in request.seeds]
    if lost:
        raise ConfigError(
            f"--resume: {out} was trained with --first_seed={seeds[0]} --seeds={len(seeds)}; seeds "
            f"can be added, but seed {lost[0]} cannot be left out"
        )
    added = tuple(seed for seed in request.seeds if seed not in seeds)
    fields = configs.differences(old, request.config)
    if "benchmark" in fields:
        raise ConfigError(
            f"--resume: {out} was trained on {old.benchmark!r}; to go on with its parameters "
            f"elsewhere give a new folder and --init_from={out}"
        )
    longer = request.config.training.trials > old.training.trials
    if not request.allow_changes:
        kept = {"training.trials": old.training.trials} if longer else {}
        refuse_differences(out, old, configs.override(request.config, kept), "--allow_changes")
    return Changes(fields, added)


def _refuse_other_seeds(request: RunRequest, seeds: tuple[int, ...]) -> None:
    if len(seeds) != len(request.seeds):
        raise ConfigError(
            f"--resume: {request.out} was trained with --seeds={len(seeds)}, not "
            f"{len(request.seeds)}"
        )
    if seeds != request.seeds:
        raise ConfigError(
            f"--resume: {request.out} was trained with --first_seed={seeds[0]}, not "
            f"{request.seeds[0]}"
        )


def _are_seeds(values: Any) -> bool:
    return (
        isinstance(values, list)
        and 1 <= len(values) <= LARGEST_SEEDS
        and all(type(seed) is int and 0 <= seed <= LARGEST_SEED for seed in values)
        and len(set(values)) == len(values)
    )
