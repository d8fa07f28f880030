"""A run's folder as its storage: locked, and never without what was kept before."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from dream_jax.config import ConfigError
from dream_jax.oracles.bounds import Bounds
from dream_jax.runs import checkpoint, provenance
from dream_jax.runs.checkpoint import Restored
from dream_jax.runs.files import FolderLock, json_lines, remove_scratch, whole_file
from dream_jax.runs.folder import (
    NO_CHANGES,
    RUN_FILE,
    RUN_NAMES,
    Changes,
    RunRequest,
    check_folder,
    delete,
    prepare_folder,
)
from dream_jax.runs.lines import Lines
from dream_jax.runs.metrics import MetricsWriter, write_json
from dream_jax.runs.rows import Row, best_step, failures_of
from dream_jax.runs.storage import FROM_THE_START, Progress, Resumed, lines_of
from dream_jax.scaling import seeds as scaling
from dream_jax.training.trainer import Trainer
from dream_jax.viz import plots

CHECKPOINTS = "checkpoints"


class OnDisk:
    """Keeps a run in its folder.

    The folder is locked from `claim` to `release`. Nothing in it changes before the run has
    something to keep, so that a start that fails loses no older run.
    """

    def __init__(self, request: RunRequest):
        self.out = request.out
        self._request = request
        self._checkpoints = request.out / CHECKPOINTS
        self._lock = FolderLock(request.out)
        self._changes: Changes = NO_CHANGES
        self._resumed: Resumed = FROM_THE_START
        self._prepared, self._new = False, False
        self._writer: MetricsWriter | None = None
        self.last_step: int | None = None  # the newest whole checkpoint of this run

    @property
    def init_from(self) -> str | None:
        return self._request.init_from or self._saved().get("init_from")

    @property
    def lines(self) -> Lines:
        return self._request.lines or self._saved().get("lines", {})

    def _saved(self) -> dict[str, Any]:
        """config.json of the run that is resumed; empty if there is none."""
        if self._request.resume and (self.out / RUN_FILE).exists():
            return provenance.read_json(self.out / RUN_FILE)
        return {}

    def claim(self) -> None:
        """Lock the folder. Raises ConfigError if another run has it, or it may not be used."""
        if self._lock.held:
            return
        self._lock.acquire()
        try:
            if not self._prepared:
                # Again: another run may have come and gone since it was checked.
                self._changes = check_folder(self._request)
            elif checkpoint.latest_step(self._checkpoints) != self.last_step:
                raise ConfigError(f"{self.out} went on without this run; load it anew")
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        self._lock.release(discard=True)

    def read(self, trainer: Trainer, log: Callable[[str], None]) -> Resumed:
        self.claim()
        try:
            if self._request.resume:
                resumed = self._read(trainer, log)
                self._resumed = resumed._replace(state=None)  # it has the replays
                return resumed
            return FROM_THE_START
        except BaseException:
            self.release()
            raise

    def _read(self, trainer: Trainer, log: Callable[[str], None]) -> Resumed:
        if checkpoint.latest_step(self._checkpoints) is None:
            log(f"no checkpoint in {self._checkpoints}: starting anew")
            return FROM_THE_START
        try:
            shape = scaling.state_shape(trainer, len(self._request.seeds))
            found = checkpoint.restore_newest(self._checkpoints, shape)
            progress = Progress(*(found.metadata[name] for name in Progress._fields))
            rows = self.rows_of(found.metadata, log)
            failed = failures_of(found.metadata)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ConfigError(f"--resume: {self._cause()}{error}") from error
        for step, reason in found.damaged.items():
            log(f"checkpoint {step} is damaged, going on from checkpoint {found.step} ({reason})")
        self.last_step = found.step
        self._check_length(progress)
        log(f"resumed from {self._checkpoints} at {progress.trials:,} trials")
        self._describe_changes(progress, log)
        summary = None if self._changes or found.damaged else self._summary(progress)
        return Resumed(found.state, progress, rows, failed, summary)

    def _cause(self) -> str:
        """Begins the message about a checkpoint that cannot be used."""
        fields = self._changes.fields
        if fields:
            return f"{', '.join(fields)} cannot be changed in {self.out}: "
        return f"{self.out} is damaged: "

    def rows_of(self, metadata: Mapping[str, Any], log: Callable[[str], None]) -> list[Row]:
        """The rows up to a checkpoint. Those that metrics.jsonl lost are in the checkpoint.

        Raises ValueError if they are lost, and the checkpoint is an older one without rows.
        """
        path, count = self.out / "metrics.jsonl", metadata["rows"]
        there = json_lines(path)[:count] if path.exists() else []
        kept = metadata.get("metrics")
        if kept is None:
            if len(there) < count:
                raise ValueError(
                    f"{path} has {len(there)} whole rows, its checkpoint was saved after {count}; "
                    "use --overwrite to start anew"
                )
            return there
        lost = sum(there[k : k + 1] != [row] for k, row in enumerate(kept))
        if lost:
            log(f"{path}: {lost} rows are damaged or missing; they come from the checkpoint")
        return kept

    def _check_length(self, progress: Progress) -> None:
        """Raises ConfigError if the run cannot be as long as was asked for."""
        training = self._request.config.training
        if progress.trials > training.trials:
            raise ConfigError(
                f"--resume: {self.out} has trained on {progress.trials} trials already, more than "
                f"training.trials={training.trials}"
            )
        period = training.evaluation_period_trials
        if (training.trials - progress.trials) % period:
            near = progress.trials + period * max(1, (training.trials - progress.trials) // period)
            raise ConfigError(
                f"training.trials={training.trials} must be {progress.trials}, which "
                f"{self.out} has trained on, and a multiple of training.evaluation_period_trials="
                f"{period} more, for example {near}"
            )

    def _describe_changes(self, progress: Progress, log: Callable[[str], None]) -> None:
        """Say what goes on in another way than it began."""
        for name, (was, now) in self._changes.fields.items():
            log(f"{name}: {was!r} until trial {progress.trials:,}, then {now!r}")
        optimizer = self._request.config.optimizer
        longer = "training.trials" in self._changes.fields
        if longer and optimizer.final_learning_rate_fraction != 1:
            log(
                "the learning rate falls until the end of the run, so this run is not one that had "
                "all its trials from the start (optimizer.final_learning_rate_fraction="
                f"{optimizer.final_learning_rate_fraction})"
            )
        was, now = provenance.read_json(self.out / RUN_FILE).get("versions"), provenance.versions()
        for name in ("jax", "jaxlib", "flax", "optax", "backend"):
            if isinstance(was, dict) and was.get(name) not in (None, now[name]):
                log(f"{name} was {was[name]}, now it is {now[name]}: results may differ in bits")

    def _summary(self, progress: Progress) -> dict[str, Any] | None:
        """summary.json, if the run has finished and the file is whole."""
        done = progress.trials >= self._request.config.training.trials
        return self._finished_summary() if done else None

    def _finished_summary(self) -> dict[str, Any] | None:
        try:
            summary = provenance.read_json(self.out / "summary.json")
        except (OSError, ValueError):
            return None
        whole = {"splits", "wall_s", "trials", "updates"} <= set(summary)
        return summary if whole and summary.get("seeds") == list(self._request.seeds) else None

    def computed(self) -> tuple[list[Row], dict[str, Any]] | None:
        path = self.out / "metrics.jsonl"
        if not self._request.resume or not path.exists():
            return None
        summary, rows = self._finished_summary(), json_lines(path)
        whole = [row.get("seed") for row in rows] == list(self._request.seeds)
        return (rows, summary) if whole and summary is not None else None

    def repair(self) -> None:
        self._mend(self._resumed.rows)

    def _mend(self, rows: Sequence[Row]) -> None:
        """Make metrics.jsonl hold these rows and no other, if it does not."""
        path = self.out / "metrics.jsonl"
        if (
            not path.exists()
            or json_lines(path) != list(rows)
            or not path.read_bytes().endswith(b"\n")
        ):
            with MetricsWriter(self.out, rows, self._request.log):
                pass

    def begin(self, found: Restored) -> None:
        """Note the changes of a resumed run, before seeds that it gets catch up."""
        self.last_step = found.step
        self._prepare(found.metadata["trials"])

    def _prepare(self, trials: int | None = None) -> None:
        """Make the folder that of this run. Called when there is something to keep.

        trials: that each seed has trained on; by default as it was resumed.
        """
        if self._prepared:
            return
        self._new = self._request.overwrite or not (self.out / RUN_FILE).exists()
        self._prepared = True
        summary = self.out / "summary.json"
        summary.unlink(missing_ok=True)  # it says that the run has finished
        if trials is None:
            trials = self._resumed.progress.trials
        prepare_folder(self._request, self._changes, trials)
        remove_scratch(self.out)
        if self.last_step is not None:
            checkpoint.delete_after(self._checkpoints, self.last_step)  # damaged

    def discard(self) -> None:
        if self._prepared and self._new:
            delete(self.out, RUN_NAMES)

    @contextlib.contextmanager
    def writer(self, rows: Sequence[Row]) -> Iterator[Callable[[Row], None]]:
        self.claim()
        before = list(rows)

        def write(row: Row) -> None:
            if self._writer is None:
                self._prepare()
                self._writer = MetricsWriter(self.out, before, self._request.log)
            self._writer.write(row)

        try:
            yield write
        finally:
            writer, self._writer = self._writer, None
            if writer is not None:
                writer.close()

    def save(self, state: Any, progress: Progress, rows: Sequence[Row], failed: Any) -> None:
        self._prepare()
        if self._writer is not None:
            self._writer.sync()
        else:
            self._mend(rows)
        metadata = progress._asdict() | {
            "seeds": list(self._request.seeds),
            "failed": {str(seed): failure._asdict() for seed, failure in failed.items()},
            "metrics": list(rows),
        }
        there = [*checkpoint.steps(self._checkpoints), progress.trials]
        protected = {failure.checkpoint for failure in failed.values()}
        checkpoint.save(
            self._checkpoints,
            progress.trials,
            state,
            metadata,
            keep=self._request.config.training.checkpoints_kept,
            protected={*protected, best_step(rows, there)} - {None},
        )
        self.last_step = progress.trials

    def describe_checkpoint(self) -> str:
        step = checkpoint.latest_step(self._checkpoints)
        if step is not None:
            return f"the last good checkpoint is {self._checkpoints / str(step)}"
        return f"no checkpoint yet in {self.out}"

    def draw(self, rows: Sequence[Row], bounds: Mapping[str, Bounds], title: str) -> None:
        with whole_file(self.out / "curves.png") as file:
            plots.curves(file, rows, lines_of(bounds), title)

    def summarise(self, summary: Mapping[str, Any]) -> None:
        self._prepare()
        write_json(self.out / "summary.json", summary)
