"""CSV files, as UTF-8, written so that a reader sees the old file or the whole new one."""

import csv
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """One line per row."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with scratch.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(header)
            writer.writerows(rows)
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def write_records(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """One line per record; the keys of the first one are the columns of all."""
    header = list(rows[0])
    write_csv(path, header, ([row[name] for name in header] for row in rows))
