"""Rows of metrics, the line of progress, and JSON files."""

import contextlib
import importlib.metadata
import json
import math
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import jax
import numpy as np

from dream_jax.runs import loggers
from dream_jax.runs.files import whole_file

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "chex", "rlax", "orbax-checkpoint", "numpy")


class MetricsWriter:
    """Appends rows to DIR/metrics.jsonl, one JSON object a line, each flushed at once.

    A number that is not finite is written as null, because JSON has no such numbers. The rows also
    go to the loggers: to DIR/tensorboard if tensorboardX is installed, and where `log` says.

    Args:
      directory: of the run. It is made if it is missing.
      kept: the rows that the file begins with. Other rows of the file are dropped, so that a run
        resumed from an older checkpoint writes no row twice. Rows that the file lost come back.
      log: names of more loggers, some of `loggers.NAMES`.
    """

    def __init__(
        self,
        directory: str | Path,
        kept: Sequence[Mapping[str, Any]] = (),
        log: Sequence[str] = (),
    ):
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / "metrics.jsonl"
        text = b"".join(_line(row) for row in kept)
        if text and not (path.exists() and path.read_bytes().startswith(text)):
            with whole_file(path) as file:
                file.write(text)
        self._file = path.open("ab")
        self._file.truncate(len(text))
        self._loggers = loggers.make(log, directory, kept)
        self.rows = len(kept)  # written so far

    def write(self, row: Mapping[str, Any]) -> None:
        """Append one row: a mapping of names to numbers (numpy and JAX scalars too) or strings."""
        row = to_json(row)
        self._file.write(_line(row))
        self._file.flush()
        for logger in self._loggers:
            logger.write(row)
        self.rows += 1

    def sync(self) -> None:
        """Wait until the rows are on the disk, before a checkpoint that counts them."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()
        for logger in self._loggers:
            logger.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def progress_line(
    rows: Sequence[Mapping[str, Any]],
    total_updates: int,
    steps_per_s: float | None = None,
    left_s: float | None = None,
) -> str:
    """One line of progress, from the newest row of every seed.

    Args:
      rows: the rows of one evaluation, one per seed.
      total_updates: of one seed, at the end of the run.
      steps_per_s: environment steps per second, all seeds together.
      left_s: an estimate of the seconds that are left.
    """
    updates = max(int(row["updates"]) for row in rows)
    parts = [f"updates {updates:,}/{total_updates:,}"]
    if steps_per_s is not None:
        parts.append(f"{steps_per_s:,.0f} steps/s")
    for label, name in (
        ("train", "train_return"),
        ("validation", "validation_return"),
        ("test", "test_return"),
        ("encoder", "train_return_encoder"),
    ):
        values = _finite(row.get(name) for row in rows)
        if values:
            least = f" (min {min(values):.3f})" if len(rows) > 1 and label != "encoder" else ""
            parts.append(f"{label} {sum(values) / len(values):.3f}{least}")
    lengths = _finite(row.get("exploration_length") for row in rows)
    if lengths:
        parts.append(f"explore {sum(lengths) / len(lengths):.1f} steps")
    if left_s is not None:
        parts.append(f"{duration(left_s)} left")
    return " | ".join(parts)


def duration(seconds: float) -> str:
    """9.6 -> '10s', 130 -> '2m10s', 7980 -> '2h13m'."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"


def write_json(path: str | Path, value: Any) -> None:
    """Write JSON. A reader sees the whole old file or the whole new one."""
    text = json.dumps(to_json(value), indent=2, allow_nan=False) + "\n"
    with whole_file(path) as file:
        file.write(text.encode())


def to_json(value: Any) -> Any:
    """Plain Python for `json`: arrays become lists, numbers that are not finite become None."""
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    if isinstance(value, np.ndarray | np.generic | jax.Array):
        return to_json(np.asarray(value).tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"cannot write a {type(value).__name__} as JSON: {value!r}")


def versions() -> dict[str, Any]:
    """Software and devices of this process, for config.json."""
    devices = jax.devices()
    return {
        **{name: _version(name) for name in _PACKAGES},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "backend": jax.default_backend(),
        "devices": [f"{device.device_kind}:{device.id}" for device in devices],
        "cpu_count": os.cpu_count(),
        "cpu": _cpu(),
    }


def _cpu() -> str | None:
    """The processor's name, where the system tells it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or None


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _finite(values: Any) -> list[float]:
    return [float(x) for x in values if x is not None and math.isfinite(x)]


def _line(row: Mapping[str, Any]) -> bytes:
    return (json.dumps(row, allow_nan=False) + "\n").encode()
