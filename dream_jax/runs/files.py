"""Files that a crash cannot leave half written, and the lock of a folder."""

import contextlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import filelock

from dream_jax.config import ConfigError

LOCK_FILE = ".lock"
_SCRATCH = re.compile(r"\..+\.\d+\.tmp")  # of `whole_file`


class NotWritten(OSError):
    """A file of a run cannot be written. The message is one line, and says what is kept."""


@contextlib.contextmanager
def whole_file(path: str | Path, mode: str = "wb", encoding: str | None = None) -> Iterator[IO]:
    """A file to write. It appears under its name when it is complete and on the disk.

    A reader sees the old file or the new one. After an error the old one is still there.
    """
    path = Path(path)
    scratch = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with scratch.open(mode, encoding=encoding) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
        sync_folder(path.parent)
    finally:
        with contextlib.suppress(OSError):
            scratch.unlink(missing_ok=True)


def remove_scratch(folder: Path) -> None:
    """Delete what a killed process had half written by `whole_file`. Hold the folder's lock."""
    for path in folder.rglob(".*.tmp"):
        if _SCRATCH.fullmatch(path.name) and path.is_file():
            path.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a loss of power, where the system can."""
    with contextlib.suppress(OSError):  # some file systems sync no folders
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


class FolderLock:
    """One writer per folder. The system frees the lock when its process ends, however it ends."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._made: list[Path] = []  # folders that `acquire` made, the innermost first
        self._lock: filelock.FileLock | None = None

    @property
    def held(self) -> bool:
        return self._lock is not None

    def acquire(self) -> None:
        """Make the folder if it is missing, and lock it. Nothing happens where it is locked here.

        Raises:
          ConfigError: another process, or another run of this one, has the lock, or the folder
            cannot be written to.
        """
        if self.held:
            return
        folder = self._folder
        try:
            missing = [path for path in (folder, *folder.parents) if not path.exists()]
            folder.mkdir(parents=True, exist_ok=True)
            self._made = missing
            # Not bound to a thread: a run may be trained in another one than it was made in.
            lock = filelock.FileLock(folder / LOCK_FILE, thread_local=False)
            lock.acquire(blocking=False)
        except filelock.Timeout as error:
            raise ConfigError(
                f"--out={folder} is in use by another run; wait until it ends, or give another "
                "folder"
            ) from error
        except OSError as error:
            self._remove_made()
            raise ConfigError(
                f"--out={folder}: {error.strerror or error}; give a folder of your own"
            ) from error
        self._lock = lock

    def release(self, discard: bool = False) -> None:
        """Unlock the folder. `discard`: remove it if nothing is in it and `acquire` made it."""
        if self._lock is None:
            return
        lock, self._lock = self._lock, None
        with contextlib.suppress(OSError):
            # While it is locked: who waits for it then finds that its file is gone.
            (self._folder / LOCK_FILE).unlink(missing_ok=True)
        lock.release()
        if discard:
            self._remove_made()

    def _remove_made(self) -> None:
        made, self._made = self._made, []
        with contextlib.suppress(OSError):  # there is something in it
            for folder in made:
                folder.rmdir()


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder. Raises ConfigError if another process has it."""
    lock = FolderLock(folder)
    lock.acquire()
    try:
        yield
    finally:
        lock.release(discard=True)


def holds_files(folder: Path) -> bool:
    """Whether a folder holds anything but the lock that a killed process left."""
    return folder.exists() and any(path.name != LOCK_FILE for path in folder.iterdir())


def json_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a file of JSON lines, up to the first line that a crash or a disk damaged.

    Raises OSError if the file cannot be read.
    """
    found: list[dict[str, Any]] = []
    for line in path.read_bytes().split(b"\n")[:-1]:  # what follows the last end is not whole
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            break
        if not isinstance(value, dict):
            break
        found.append(value)
    return found
