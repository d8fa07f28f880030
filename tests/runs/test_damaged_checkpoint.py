"""Checkpoints on full disks and with damaged files: one line, and the newest whole one is used."""

import contextlib
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from dream_jax.runs import checkpoint
from dream_jax.runs.orbax_noise import quiet
from tests.runs.test_checkpoint import assert_bit_equal


def test_a_damaged_checkpoint_is_named_in_one_line(tmp_path):
    state = {"x": np.arange(1000)}
    checkpoint.save(tmp_path, 1, state, {})
    files = [path for path in (tmp_path / "1" / "arrays").rglob("d/*") if path.is_file()]
    assert files
    for path in files:
        path.write_bytes(b"")
    with pytest.raises(ValueError, match=f"^checkpoint 1 in {tmp_path} cannot be read: ") as error:
        checkpoint.restore(tmp_path, state)
    assert "\n" not in str(error.value)


def large_files(folder):
    """The files that hold the arrays."""
    return [path for path in folder.rglob("d/*") if path.is_file()]


@pytest.mark.parametrize("damage", ["cut", "flipped", "no description", "another description"])
def test_the_newest_whole_checkpoint_is_used(tmp_path, damage):
    generator = np.random.default_rng(0)
    states = [{"x": generator.normal(size=1000)} for _ in range(3)]
    for step, state in enumerate(states):
        checkpoint.save(tmp_path, step + 1, state, {"step_was": step + 1}, keep=3)
    description = tmp_path / "3" / "metadata" / "metadata"
    if damage == "cut":
        for path in large_files(tmp_path / "3"):
            path.write_bytes(path.read_bytes()[:100])
    elif damage == "flipped":
        path = max(large_files(tmp_path / "3"), key=lambda x: x.stat().st_size)
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    elif damage == "no description":
        description.unlink()
    else:
        description.write_text(description.read_text().replace('"step_was": 3', '"step_was": 4'))
    found = checkpoint.restore_newest(tmp_path, states[0])
    assert_bit_equal(found.state, states[1])
    assert (found.step, found.metadata, list(found.damaged)) == (2, {"step_was": 2}, [3])
    assert "\n" not in found.damaged[3]
    checkpoint.delete_after(tmp_path, found.step)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "2"]


def test_no_whole_checkpoint_is_one_line(tmp_path):
    checkpoint.save(tmp_path, 1, {"x": np.arange(9)}, {})
    (tmp_path / "1" / "metadata" / "metadata").write_text("{")
    with pytest.raises(checkpoint.Damaged, match=f"^no whole checkpoint in {tmp_path}: ") as error:
        checkpoint.restore_newest(tmp_path, {"x": np.arange(9)})
    assert "\n" not in str(error.value)


def test_protected_checkpoints_stay(tmp_path):
    for step in range(1, 6):
        checkpoint.save(tmp_path, step, {"x": np.ones(1)}, {}, keep=2, protected={2})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2", "4", "5"]


def test_a_full_disk_is_one_line_and_leaves_no_half(tmp_path, monkeypatch, capfd):
    checkpoint.save(tmp_path, 1, {"x": np.ones(1)}, {})
    text = (
        'RESOURCE_EXHAUSTED: Error writing "x": Failed writing: "d": Failed to write 9 bytes to '
        "file 19: No space left on device [os_error_code='28']\nmore"
    )

    def full(*_, **__):
        (tmp_path / "2.orbax-checkpoint-tmp").mkdir()
        raise ValueError(text)

    monkeypatch.setattr(checkpoint.ocp.CheckpointManager, "save", full)
    message = "^checkpoint 2 cannot be written: No space left on device$"
    with pytest.raises(OSError, match=message):
        checkpoint.save(tmp_path, 2, {"x": np.ones(1)}, {})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1"]
    assert capfd.readouterr().err == ""


LIMITED = """
import resource, sys
import numpy as np
from dream_jax.runs import checkpoint
state = {f"x{k}": np.random.default_rng(k).random(10_000) for k in range(30)}
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    checkpoint.save(sys.argv[1], 1, state, {})
except OSError as error:
    print(error)
"""


def test_a_file_that_cannot_grow_is_one_line(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path / "checkpoints")],
        capture_output=True,
        text=True,
    )
    assert done.stdout == "checkpoint 1 cannot be written: File too large\n", done.stderr
    assert done.stderr == ""
    assert not list((tmp_path / "checkpoints").iterdir())


EARLY = """
import sys
import numpy as np
from dream_jax.runs import checkpoint

class Task:
    def __del__(self):
        raise RuntimeError("Event loop is closed")

def full(*_, **__):
    Task()
    raise ValueError("full")

checkpoint.ocp.CheckpointManager.save = full
try:
    checkpoint.save(sys.argv[1], 1, {"x": np.ones(1)}, {})
except OSError as error:
    print(error)
"""


def test_a_task_that_complains_before_its_operation_has_failed_is_not_heard(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", EARLY, str(tmp_path)], capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("checkpoint 1 cannot be written: full\n", "")


class _Left(threading.Thread):
    __module__ = "orbax.checkpoint"


@pytest.mark.parametrize("fails", [False, True])
def test_threads_that_orbax_leaves_behind_are_waited_for(fails):
    thread = _Left(target=time.sleep, args=(0.3,))
    with pytest.raises(ValueError) if fails else contextlib.nullcontext(), quiet():
        thread.start()
        if fails:
            raise ValueError
    assert not thread.is_alive()


DAMAGED = """
import sys
from pathlib import Path
import numpy as np
from dream_jax.runs import checkpoint
state = {f"x{k}": np.random.default_rng(k).random(300) for k in range(6)}
for number in range(12):
    folder = Path(sys.argv[1]) / str(number)
    checkpoint.save(folder, 1, state, {})
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    file = files[number % len(files)]
    file.write_bytes(file.read_bytes()[: number % 2 * 50])
    try:
        checkpoint.restore_newest(folder, state)
    except ValueError as error:
        print(error)
"""


def test_whatever_is_damaged_is_one_line_and_no_traceback(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", DAMAGED, str(tmp_path)], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) >= 3
    assert all(line.startswith("no whole checkpoint in ") for line in lines)
