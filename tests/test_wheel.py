"""The wheel is complete and works from an empty folder, with the dependencies of this Python.

`pip install` of the wheel into an empty environment: see CONTRIBUTING.md.
"""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, unpacked as an installation is."""
    there = tmp_path_factory.mktemp("wheel")
    source = there / "source"  # setuptools leaves folders beside what it builds
    names = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    for name in names:
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    line = [sys.executable, "-m", "pip", "wheel", ".", "--no-deps", "--no-build-isolation"]
    subprocess.run([*line, "-q", "-w", str(there)], cwd=source, check=True)
    (file,) = there.glob("*.whl")
    with zipfile.ZipFile(file) as archive:
        archive.extractall(there / "site")
    return there / "site"


def run(wheel, place, *words):
    return subprocess.run(
        [sys.executable, *words],
        cwd=place,
        env=os.environ | {"PYTHONPATH": str(wheel), "JAX_PLATFORMS": "cpu", "DISPLAY": ""},
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_it_has_three_packages_and_all_their_files(wheel):
    names = {path.name for path in wheel.iterdir() if not path.name.endswith(".dist-info")}
    assert names == {"dream_jax", "experiments", "benchmarks"}
    tracked = subprocess.run(
        ["git", "ls-files", *names], cwd=ROOT, capture_output=True, text=True, check=True
    )
    missing = [
        name
        for name in tracked.stdout.splitlines()
        if (ROOT / name).is_file() and not name.endswith(".md") and not (wheel / name).is_file()
    ]
    assert missing == []


@pytest.mark.slow
def test_it_works_from_an_empty_folder(wheel, tmp_path):
    code = (
        "import time, jax; began = time.process_time(); import dream_jax; "
        "print(dream_jax.__file__, time.process_time() - began)"
    )
    done = run(wheel, tmp_path, "-c", code)
    assert done.returncode == 0, done.stderr
    file, seconds = done.stdout.split()
    assert Path(file).parent == wheel / "dream_jax"
    assert float(seconds) < 2.0  # of the processor, beyond jax
    done = run(wheel, tmp_path, "-m", "experiments.map", "--smoke", "--out=run")
    assert (done.returncode, done.stderr) == (0, "")
    assert {"summary.json", "report.html"} <= {path.name for path in (tmp_path / "run").iterdir()}
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
