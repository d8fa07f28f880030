"""The folder of a sweep: the file that describes it, its jobs and their results."""

import contextlib
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from dream_jax import config as configs
from dream_jax.config import Config, ConfigError
from dream_jax.runs import provenance
from dream_jax.runs.files import holds_files
from dream_jax.runs.folder import refuse_differences, refuse_files

SWEEP_FILE, JOBS = "sweep.json", "jobs"


class JobFiles(NamedTuple):
    """The files of a job, beside the one that describes it."""

    job: Path

    @property
    def log(self) -> Path:
        return self.job.with_suffix(".log")

    @property
    def result(self) -> Path:
        """What the job found, by number of the point. It says that the job is done."""
        return self.job.with_suffix(".result.json")

    @property
    def progress(self) -> Path:
        """How far the job is."""
        return self.job.with_suffix(".progress.json")

    @property
    def checkpoints(self) -> Path:
        """Of all lanes, while the job trains."""
        return self.job.with_suffix(".checkpoints")

    @property
    def lock(self) -> Path:
        """One process at a time runs the job."""
        return self.job.with_suffix(".lock")

    @property
    def best(self) -> Path:
        """A run folder of the job's best point, until the sweep takes or deletes it."""
        return self.job.with_suffix(".best")

    def remove_scratch(self) -> None:
        """Delete what a job that is done no longer needs."""
        shutil.rmtree(self.checkpoints, ignore_errors=True)
        self.progress.unlink(missing_ok=True)


def record(
    config: Config, seeds: Sequence[int], points: Sequence[Mapping[str, str]], points_per_job: int
) -> dict[str, Any]:
    """The contents of sweep.json."""
    return {
        "schema_version": provenance.SCHEMA_VERSION,
        "config": configs.to_dict(config),
        "seeds": list(seeds),
        "points": list(points),
        "points_per_job": points_per_job,
    }


def check(out: Path, wanted: Mapping[str, Any], resume: bool, overwrite: bool) -> None:
    """Check that a sweep may use its folder. Writes nothing.

    Args:
      out: the folder.
      wanted: the `record` of the sweep.
      resume: a sweep in the folder must be this one.
      overwrite: a sweep in the folder may be any.

    Raises:
      ConfigError: the folder may not be used.
    """
    refuse_files(out)
    if not holds_files(out):
        return
    if not (resume or overwrite):
        raise ConfigError(f"--out={out} exists; give another, --resume or --overwrite")
    saved = None
    with contextlib.suppress(OSError, ValueError):
        saved = json.loads((out / SWEEP_FILE).read_text(encoding="utf-8"))
    if not isinstance(saved, dict) or "points" not in saved:
        raise ConfigError(f"--out={out} holds files but no sweep of ours; give another folder")
    if not resume:
        return
    wanted = json.loads(json.dumps(wanted))  # as JSON reads it back
    for name in ("seeds", "points_per_job", "points"):
        if saved.get(name) != wanted[name]:
            was, now = (_short(each.get(name)) for each in (saved, wanted))
            raise ConfigError(f"--resume: {out} is a sweep with {name} {was}, not {now}")
    try:
        old, new = (provenance.config_of(each) for each in (saved, wanted))
    except (KeyError, ConfigError) as error:
        raise ConfigError(f"--resume: {out / SWEEP_FILE}: {error}") from error
    refuse_differences(out, old, new)


def result(job: Path) -> dict[str, Any] | None:
    """What a job found, by number of the point; None while it has no result."""
    try:
        return provenance.read_json(JobFiles(job).result)
    except (OSError, ValueError):
        return None


def _short(value: Any, most: int = 80) -> str:
    text = json.dumps(value)
    return text if len(text) <= most else f"{text[:most]}..."
