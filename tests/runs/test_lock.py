"""One writer per folder, whatever happens to it."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from dream_jax.config import ConfigError
from dream_jax.runs.files import LOCK_FILE, FolderLock, holds_files, locked, whole_file
from tests.folders import snapshot
from tests.settings import message

HOLD = """
import sys, time
from pathlib import Path
from dream_jax.runs.files import FolderLock
lock = FolderLock(Path(sys.argv[1]))
lock.acquire()
print("held", flush=True)
time.sleep(60)
"""


def test_another_process_is_refused_until_the_first_is_killed(tmp_path):
    out = tmp_path / "run"
    first = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(out)],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    try:
        assert first.stdout is not None and first.stdout.readline() == b"held\n"
        text = message(FolderLock(out).acquire)
        assert text.startswith(f"--out={out} is in use by another run; ")
    finally:
        first.kill()
        first.wait()
        first.stdout.close()
    assert (out / LOCK_FILE).exists() and not holds_files(out)
    with locked(out):
        assert "is in use" in message(FolderLock(out).acquire)  # in this process too
    assert not (out / LOCK_FILE).exists()


def test_one_of_many_threads_gets_it(tmp_path):
    got, refused, start = [], [], threading.Barrier(8)

    def try_it():
        lock = FolderLock(tmp_path / "run")
        start.wait()
        try:
            lock.acquire()
            got.append(lock)
        except ConfigError as error:
            refused.append(str(error))

    threads = [threading.Thread(target=try_it) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(got), len(refused)) == (1, 7)
    got[0].release()


@pytest.mark.parametrize("written", [False, True])
def test_folders_that_were_made_for_nothing_go(tmp_path, written):
    lock = FolderLock(tmp_path / "a" / "b" / "c")
    lock.acquire()
    lock.acquire()  # it has it already
    if written:
        (tmp_path / "a" / "b" / "notes.txt").write_text("precious")
    lock.release(discard=True)
    lock.release()
    left = {"a": None, "a/b": None, "a/b/notes.txt": b"precious"} if written else {}
    assert snapshot(tmp_path) == left


def test_a_folder_that_was_there_stays(tmp_path):
    with locked(tmp_path):
        pass
    assert tmp_path.exists()


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("precious")
    assert message(FolderLock(tmp_path / "file" / "run").acquire).startswith("--out=")
    assert snapshot(tmp_path) == {"file": b"precious"}


def test_a_file_is_whole_or_as_it_was(tmp_path):
    path = tmp_path / "file"
    with whole_file(path) as file:
        file.write(b"old")
    with pytest.raises(OSError, match="disk"), whole_file(path) as file:
        file.write(b"ne")
        raise OSError("the disk went away")
    assert snapshot(tmp_path) == {"file": b"old"}
