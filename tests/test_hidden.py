"""The commands' packages hide no folder of the user's without a word."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run(place, code):
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=place,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )


@pytest.mark.parametrize("package", ["experiments", "benchmarks"])
def test_a_folder_that_is_hidden_is_named(tmp_path, package):
    code = f"import {package}; print({package}.__file__)"
    assert run(tmp_path, code).stderr == ""
    mine = tmp_path / package
    mine.mkdir()
    (mine / "notes.txt").touch()
    assert run(tmp_path, code).stderr == ""  # no code of theirs
    (mine / "mine.py").touch()
    done = run(tmp_path, code)
    assert done.stderr == (
        f"{package} is the package of dream_jax in {ROOT / package}; Python does not find "
        f"{mine}, which has no __init__.py\n"
    )
    assert done.stdout == f"{ROOT / package / '__init__.py'}\n"
    (mine / "__init__.py").touch()  # theirs comes first
    done = run(tmp_path, code)
    assert (done.stdout, done.stderr) == (f"{mine / '__init__.py'}\n", "")


def test_importing_the_library_needs_neither_display_nor_network_nor_tensorflow(tmp_path):
    code = (
        "import sys, socket; socket.socket.connect = None; import dream_jax.api; "
        "bad = {'tensorflow', 'torch', 'tkinter', 'matplotlib.pyplot'} & set(sys.modules); "
        "assert not bad, bad"
    )
    run(tmp_path, code)
