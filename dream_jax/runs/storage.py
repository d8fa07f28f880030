"""Where a run keeps what it makes: in its folder, or nowhere."""

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from dream_jax.config import Config, ConfigError
from dream_jax.oracles.bounds import Bounds
from dream_jax.runs import checkpoint, provenance
from dream_jax.runs.folder import RUN_FILE, RUN_NAMES, RunRequest, delete, prepare_folder
from dream_jax.runs.metrics import MetricsWriter, write_json
from dream_jax.runs.rows import Row
from dream_jax.scaling import seeds as scaling
from dream_jax.training.trainer import Trainer
from dream_jax.types import TrainState
from dream_jax.viz import plots


class Progress(NamedTuple):
    """How far a run has come: the metadata of its checkpoints."""

    rows: int  # of metrics.jsonl
    trials: int  # of each seed
    evaluations: int
    wall_s: float
    compile_s: float


class Resumed(NamedTuple):
    """Where a run goes on from."""

    state: TrainState | None  # leaves [seeds, ...]; None: the run starts from the beginning
    progress: Progress
    rows: list[Row]  # of metrics.jsonl so far


FROM_THE_START = Resumed(None, Progress(0, 0, 0, 0.0, 0.0), [])


class Storage(Protocol):
    """What a run calls to keep its results."""

    @property
    def out(self) -> Path | None:
        """The folder."""

    def read(self, trainer: Trainer, seeds: int, log: Callable[[str], None]) -> Resumed:
        """Where the run goes on from. Changes nothing. Raises ConfigError if that is damaged."""

    def prepare(self, config: Config, seeds: Sequence[int]) -> None:
        """Get ready to keep a run."""

    def discard(self) -> None:
        """Undo `prepare` for a run that failed before its first row, if it made a new run."""

    def writer(self, rows: int) -> contextlib.AbstractContextManager:
        """A context with a function that keeps a row, after the first `rows` that are kept."""

    def save(self, state: Any, progress: Progress) -> None:
        """Keep a checkpoint. state: the TrainState of all seeds, leaves [seeds, ...]."""

    def describe_checkpoint(self) -> str:
        """What is kept, for a message about a failure."""

    def draw(self, rows: Sequence[Row], bounds: Mapping[str, Bounds], title: str) -> None:
        """Keep a picture of the learning curves."""

    def summarise(self, summary: Mapping[str, Any]) -> None:
        """Keep summary.json."""


class InMemory:
    """Keeps nothing."""

    out: Path | None = None

    def read(self, trainer: Trainer, seeds: int, log: Callable[[str], None]) -> Resumed:
        return FROM_THE_START

    def prepare(self, config: Config, seeds: Sequence[int]) -> None:
        pass

    def discard(self) -> None:
        pass

    def writer(self, rows: int) -> contextlib.AbstractContextManager:
        return contextlib.nullcontext(lambda row: None)

    def save(self, state: Any, progress: Progress) -> None:
        pass

    def describe_checkpoint(self) -> str:
        return "nothing is kept of a run without a folder"

    def draw(self, rows: Sequence[Row], bounds: Mapping[str, Bounds], title: str) -> None:
        pass

    def summarise(self, summary: Mapping[str, Any]) -> None:
        pass


class OnDisk:
    """Keeps a run in its folder."""

    def __init__(self, request: RunRequest):
        self.out = request.out
        self._request = request
        self._checkpoints = request.out / "checkpoints"
        self._made: tuple[bool, bool] = (False, False)  # by `prepare`: the run, its folder

    def read(self, trainer: Trainer, seeds: int, log: Callable[[str], None]) -> Resumed:
        if not self._request.resume:
            return FROM_THE_START
        if checkpoint.latest_step(self._checkpoints) is None:
            log(f"no checkpoint in {self._checkpoints}: starting anew")
            return FROM_THE_START
        metrics = self.out / "metrics.jsonl"
        try:
            shape = scaling.state_shape(trainer, seeds)
            state, metadata = checkpoint.restore(self._checkpoints, shape)
            progress = Progress(*(metadata[name] for name in Progress._fields))
            lines = metrics.read_text().splitlines()[: progress.rows]
            rows = [json.loads(line) for line in lines]
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ConfigError(f"--resume: {self.out} is damaged: {error}") from error
        if len(rows) < progress.rows:
            raise ConfigError(
                f"--resume: {metrics} has {len(rows)} rows, its checkpoint was saved after "
                f"{progress.rows}; use --overwrite to start anew"
            )
        log(f"resumed from {self._checkpoints} at {progress.trials:,} trials")
        return Resumed(state, progress, rows)

    def prepare(self, config: Config, seeds: Sequence[int]) -> None:
        new_folder = not self.out.exists()
        new_run = self._request.overwrite or not (self.out / RUN_FILE).exists()
        prepare_folder(self._request, provenance.record(config, seeds))
        self._made = new_run, new_folder

    def discard(self) -> None:
        new_run, new_folder = self._made
        if new_run:
            delete(self.out, RUN_NAMES)
        if new_folder:
            with contextlib.suppress(OSError):  # there is something else in it
                self.out.rmdir()

    @contextlib.contextmanager
    def writer(self, rows: int) -> Any:
        with MetricsWriter(self.out, resume_rows=rows) as writer:
            yield writer.write

    def save(self, state: Any, progress: Progress) -> None:
        checkpoint.save(self._checkpoints, progress.trials, state, progress._asdict())

    def describe_checkpoint(self) -> str:
        step = checkpoint.latest_step(self._checkpoints)
        kept = f"the last good checkpoint is {self._checkpoints}/{step}" if step else None
        return f"{kept or 'no checkpoint yet'}, rows so far in {self.out}"

    def draw(self, rows: Sequence[Row], bounds: Mapping[str, Bounds], title: str) -> None:
        plots.curves(self.out / "curves.png", rows, lines_of(bounds), title)

    def summarise(self, summary: Mapping[str, Any]) -> None:
        write_json(self.out / "summary.json", summary)


def lines_of(bounds: Mapping[str, Bounds]) -> dict[str, dict[str, float]]:
    """The bounds that are known, by split and name, as `plots.curves` takes them."""
    return {
        split: {name: x for name, x in known._asdict().items() if x is not None and np.isfinite(x)}
        for split, known in bounds.items()
    }
