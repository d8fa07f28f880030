"""What a run keeps, and where: the protocol of a storage, and the one that keeps nothing."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from dream_jax.oracles.bounds import Bounds
from dream_jax.runs.lines import Lines
from dream_jax.runs.rows import Failure, Row
from dream_jax.training.trainer import Trainer
from dream_jax.types import TrainState


class Progress(NamedTuple):
    """How far a run has come: part of the metadata of its checkpoints."""

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
    failed: dict[int, Failure]  # seeds that train no more
    summary: dict[str, Any] | None  # of a run that has finished


FROM_THE_START = Resumed(None, Progress(0, 0, 0, 0.0, 0.0), [], {}, None)


class Storage(Protocol):
    """What a run calls to keep its results."""

    @property
    def out(self) -> Path | None:
        """The folder."""

    def read(self, trainer: Trainer, log: Callable[[str], None]) -> Resumed:
        """Where the run goes on from. Changes no file of a run.

        Raises ConfigError if that is damaged, or if another run writes to the folder.
        """

    def computed(self) -> tuple[list[Row], dict[str, Any]] | None:
        """The rows and summary of a computed run that is there already and is resumed."""

    def writer(self, rows: Sequence[Row]) -> contextlib.AbstractContextManager:
        """A context with a function that keeps a row, after those in `rows`.

        Only one run at a time may be in it. Files change when the first row comes.
        """

    def save(self, state: Any, progress: Progress, rows: Sequence[Row], failed: Any) -> None:
        """Keep a checkpoint. state: the TrainState of all seeds, leaves [seeds, ...]."""

    def describe_checkpoint(self) -> str:
        """What is kept, for a message about a failure."""

    def draw(self, rows: Sequence[Row], bounds: Mapping[str, Bounds], title: str) -> None:
        """Keep a picture of the learning curves."""

    def summarise(self, summary: Mapping[str, Any]) -> None:
        """Keep summary.json. It comes last, and says that the run has finished."""

    @property
    def init_from(self) -> str | None:
        """The run or the agent whose parameters the run starts with."""

    @property
    def lines(self) -> Lines:
        """Returns of the trained reference lines, by agent and split."""

    @property
    def last_step(self) -> int | None:
        """The newest checkpoint, by its number of trials."""

    def repair(self) -> None:
        """Write what a crash took from the files of a run that has finished, and nothing else."""

    def discard(self) -> None:
        """Delete what was made of a new run that failed before its first evaluation."""

    def release(self) -> None:
        """Let others use the folder. Leaves none that was made for nothing."""


class InMemory:
    """Keeps nothing."""

    out: Path | None = None
    last_step: int | None = None

    def __init__(self, init_from: str | None = None, lines: Lines | None = None):
        self.init_from, self.lines = init_from, lines or {}

    def read(self, trainer: Trainer, log: Callable[[str], None]) -> Resumed:
        return FROM_THE_START

    def computed(self) -> tuple[list[Row], dict[str, Any]] | None:
        return None

    def writer(self, rows: Sequence[Row]) -> contextlib.AbstractContextManager:
        return contextlib.nullcontext(lambda row: None)

    def save(self, state: Any, progress: Progress, rows: Sequence[Row], failed: Any) -> None:
        pass

    def describe_checkpoint(self) -> str:
        return "nothing is kept of a run without a folder"

    def draw(self, rows: Sequence[Row], bounds: Mapping[str, Bounds], title: str) -> None:
        pass

    def summarise(self, summary: Mapping[str, Any]) -> None:
        pass

    def repair(self) -> None:
        pass

    def discard(self) -> None:
        pass

    def release(self) -> None:
        pass


def lines_of(bounds: Mapping[str, Bounds]) -> dict[str, dict[str, float]]:
    """The bounds that are known, by split and name, as `plots.curves` takes them."""
    return {
        split: {name: x for name, x in known._asdict().items() if x is not None and np.isfinite(x)}
        for split, known in bounds.items()
    }
