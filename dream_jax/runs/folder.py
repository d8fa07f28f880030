"""The folder of a run: which files a run owns, and when it may be used, resumed or overwritten."""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from dream_jax import config as configs
from dream_jax.config import ConfigError
from dream_jax.runs import provenance
from dream_jax.runs.metrics import write_json

LARGEST_SEEDS = 10_000  # of one run
RUN_FILE = "config.json"
# Everything that a run writes into its folder, and everything that --overwrite deletes.
RUN_NAMES = (
    RUN_FILE,
    "metrics.jsonl",
    "summary.json",
    "curves.png",
    "checkpoints",
    "videos",
    "tensorboard",
    "report.html",
    "visits.jsonl",
    # of experiments.bandit
    "complexity.csv",
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


def check_folder(request: RunRequest) -> None:
    """Check that the run may use its folder. Writes nothing.

    Raises:
      ConfigError: the folder cannot be written to, holds other files, or holds a run that was
        neither to be resumed nor overwritten, or that cannot be resumed with this config.
    """
    out = request.out
    refuse_files(out)
    if not out.exists() or not any(out.iterdir()):
        return
    if not (request.resume or request.overwrite):
        raise ConfigError(f"--out={out} exists; give another, --resume or --overwrite")
    saved = saved_run(out)
    if request.resume:
        _check_same_run(request, saved)


def refuse_files(out: Path) -> None:
    """Raises ConfigError if `out` cannot be written to, or it or one of its parents is a file."""
    try:
        str(out.absolute()).encode()
    except UnicodeEncodeError as error:  # checkpoints could not be saved
        raise ConfigError(
            f"--out={out}: Python cannot decode this path in the locale's encoding; set "
            "PYTHONUTF8=1, or give a path in ASCII"
        ) from error
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


def prepare_folder(request: RunRequest, saved: dict) -> None:
    """Make the folder with its config.json; delete the old run first if that was asked for."""
    out = request.out
    try:
        if request.overwrite:
            delete(out, RUN_NAMES)
        out.mkdir(parents=True, exist_ok=True)
        if not (out / RUN_FILE).exists():
            write_json(out / RUN_FILE, saved)
    except OSError as error:
        raise ConfigError(f"--out={out}: {error.strerror}; give a folder of your own") from error


def refuse_differences(out: Path, old: Any, new: Any) -> None:
    """Raises ConfigError if a run with the config `old` cannot go on with the config `new`."""
    differing = configs.differences(old, new)
    if differing:
        path, (was, now) = next(iter(differing.items()))
        raise ConfigError(
            f"--resume: {out} was trained with {path}={was!r}, not {now!r}"
            + (f" (and {len(differing) - 1} more)" if len(differing) > 1 else "")
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
        if isinstance(saved["config"], dict) and isinstance(saved["seeds"], list):
            return saved
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise ConfigError(
        f"{flag}{out} holds files but no run of ours (no {RUN_FILE} of one); give another folder"
    )


def _check_same_run(request: RunRequest, saved: dict) -> None:
    try:
        old = provenance.config_of(saved, type(request.config))
    except ConfigError as error:
        raise ConfigError(f"--resume: {request.out / RUN_FILE}: {error}") from error
    seeds = tuple(saved["seeds"])
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
    refuse_differences(request.out, old, request.config)
