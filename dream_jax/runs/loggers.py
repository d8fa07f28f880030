"""Where rows of metrics go beside metrics.jsonl: TensorBoard, a CSV file, Weights & Biases.

A logger has `write(row)` and `close()`. It is made with the rows that a resumed run keeps.
"""

import contextlib
import csv
import hashlib
import importlib
import importlib.util
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from dream_jax.config import ConfigError, nearest
from dream_jax.runs.files import whole_file

Row = Mapping[str, Any]
NAMES = ("csv", "wandb")  # those that are asked for
CSV = "metrics.csv"
# Of TensorBoard: the folder of an axis, and the column that is its step.
_AXES = (("", "env_steps"), ("by_updates", "updates"), ("by_seconds", "wall_s"))


class Logger(Protocol):
    def write(self, row: Row) -> None:
        """One row: numbers by name, None where a number is not finite."""

    def close(self) -> None: ...


def check(names: Sequence[str]) -> tuple[str, ...]:
    """The names. Raises ConfigError for an unknown one, or one whose package is missing."""
    for name in names:
        if name not in NAMES:
            raise ConfigError(f"unknown logger {name!r}; {nearest(name, NAMES)}")
        if name == "wandb" and importlib.util.find_spec("wandb") is None:
            raise ConfigError("log=wandb: the package wandb is not installed; pip install wandb")
    return tuple(dict.fromkeys(names))


def make(names: Sequence[str], directory: Path, kept: Sequence[Row]) -> list[Logger]:
    """TensorBoard, and the loggers that are asked for.

    Args:
      names: some of `NAMES`.
      directory: of the run.
      kept: the rows that the run has written before.
    """
    made: list[Logger] = [TensorBoard(directory / "tensorboard", kept)]
    made += [CsvFile(directory / CSV, kept)] if "csv" in names else []
    made += [WeightsAndBiases(directory, kept)] if "wandb" in names else []
    return made


class TensorBoard:
    """Rows as scalars over environment steps, updates and seconds, a run of TensorBoard each.

    It does nothing if tensorboardX is missing.
    """

    def __init__(self, directory: Path, kept: Sequence[Row]):
        self._library: Any = None
        with contextlib.suppress(Exception):  # missing or broken: never a reason not to train
            self._library = importlib.import_module("tensorboardX")
        self._directory = directory
        self._writers: dict[tuple[str, Any], Any] = {}
        # Hides the rows that an interrupted run logged after those that are kept.
        self._purge = {
            (axis, row.get("seed")): int(row.get(column) or 0) + 1
            for row in kept
            for axis, column in _AXES
        }

    def write(self, row: Row) -> None:
        if self._library is None:
            return
        for axis, column in _AXES:
            if row.get(column) is None:
                continue
            writer = self._writer(axis, row.get("seed"))
            for name, value in row.items():
                if name not in ("seed", column) and isinstance(value, int | float):
                    writer.add_scalar(name, value, int(row[column]))
            writer.flush()

    def close(self) -> None:
        for writer in self._writers.values():
            writer.close()

    def _writer(self, axis: str, seed: Any) -> Any:
        if (axis, seed) not in self._writers:
            folder = self._directory / axis / f"seed_{seed}"
            self._writers[axis, seed] = self._library.SummaryWriter(
                str(folder), purge_step=self._purge.get((axis, seed))
            )
        return self._writers[axis, seed]


class CsvFile:
    """Rows as CSV. A column that comes later has empty cells before."""

    def __init__(self, path: Path, kept: Sequence[Row]):
        self._path = path
        self._rows = [dict(row) for row in kept]
        self._columns: list[str] = []
        self._write_all()

    def write(self, row: Row) -> None:
        self._rows.append(dict(row))
        if any(name not in self._columns for name in row):
            self._write_all()
            return
        with self._path.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, self._columns, lineterminator="\n").writerow(dict(row))

    def close(self) -> None:
        pass

    def _write_all(self) -> None:
        self._columns = list(dict.fromkeys(name for row in self._rows for name in row))
        text = io.StringIO()
        if self._columns:
            writer = csv.DictWriter(text, self._columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(self._rows)
        with whole_file(self._path) as file:
            file.write(text.getvalue().encode())


class WeightsAndBiases:
    """Rows in one run of Weights & Biases, each number as NAME/seed_N.

    wandb's own environment variables choose project, entity and mode. A failure of wandb is no
    reason not to train: it is told once, and nothing more is sent.
    """

    def __init__(self, directory: Path, kept: Sequence[Row]):
        self._run: Any = None
        library = importlib.import_module("wandb")
        with self._told():
            # The same id when the run is resumed; rows that were sent already come no second time.
            self._run = library.init(
                dir=str(directory), name=directory.name, id=_id(directory), resume="allow"
            )

    def write(self, row: Row) -> None:
        if self._run is None:
            return
        seed = row.get("seed")
        numbers = {
            f"{name}/seed_{seed}": x for name, x in row.items() if isinstance(x, int | float)
        }
        with self._told():
            self._run.log(numbers)

    def close(self) -> None:
        if self._run is not None:
            with self._told():
                self._run.finish()

    @contextlib.contextmanager
    def _told(self) -> Any:
        try:
            yield
        except Exception as error:
            self._run = None
            print(f"wandb stopped: {type(error).__name__}: {error}; training goes on", flush=True)


def _id(directory: Path) -> str:
    """Of the run in wandb, the same for the same folder."""
    return hashlib.sha256(str(directory.absolute()).encode()).hexdigest()[:16]
