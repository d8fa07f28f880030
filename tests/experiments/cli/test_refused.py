"""Bad input is one line, and nothing is written."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.experiments.cli.refused import REFUSED
from tests.folders import one_line, snapshot

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_one_line_and_nothing_written(command, place, case):
    flags, offending, remedy = REFUSED[case]
    before = snapshot(place)
    outcome = command("bus", *flags)
    assert outcome.status == 2
    line = one_line(outcome.stderr)
    assert offending in line
    assert remedy in line
    assert snapshot(place) == before


@pytest.mark.parametrize("case", ["unknown key", "output is not ours"])
def test_bad_input_in_a_process_of_its_own(place, case):
    flags, offending, remedy = REFUSED[case]
    before = snapshot(place)
    done = subprocess.run(
        [sys.executable, "-m", "experiments.bus", *flags],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    line = one_line(done.stderr)
    assert offending in line
    assert remedy in line
    assert done.stdout == ""
    assert snapshot(place) == before


@pytest.fixture(scope="module")
def finished(command, tmp_path_factory):
    """A folder with a finished run, of an analytic preset: made in a second."""
    out = tmp_path_factory.mktemp("finished") / "run"
    assert command("bus", "--config=optimal", f"--out={out}").status == 0
    return out


@pytest.mark.parametrize(
    "flags, offending, remedy",
    [
        (["--config=optimal"], "--out=", "--resume or --overwrite"),
        (["--config=optimal", "--resume", "--seeds=2"], "not 2", "--seeds=1"),
        (["--config=no_exploration", "--resume"], "'no_exploration'", "'optimal'"),
        (
            ["--config=optimal", "--resume", "--config.td.discount=0.5"],
            "not 0.5",
            "td.discount=0.99",
        ),
        (["--config=dream", "--overwrite", "--config.td.discount=2"], "=2.0", "between 0 and 1"),
        (
            ["--config=dream", "--overwrite", "--config.replay.capacity_trials=1024000000"],
            "replay.capacity_trials=1,024,000,000",
            "at most about",
        ),
    ],
)
def test_a_run_is_not_touched(command, finished, flags, offending, remedy):
    before = snapshot(finished)
    outcome = command("bus", *flags, f"--out={finished}")
    assert outcome.status == 2
    line = one_line(outcome.stderr)
    assert offending in line
    assert remedy in line
    assert snapshot(finished) == before


def test_a_damaged_run_is_not_resumed(command, tmp_path):
    for text in ("{", "[]", '{"config": 3, "seeds": [0]}', '{"config": {"td": {"x": 1}}}'):
        (tmp_path / "config.json").write_text(text)
        before = snapshot(tmp_path)
        outcome = command("bus", "--config=optimal", "--resume", f"--out={tmp_path}")
        assert outcome.status == 2
        assert "config.json" in one_line(outcome.stderr)
        assert snapshot(tmp_path) == before


def test_a_replay_that_does_not_fit_is_refused_before_anything_is_made(command, tmp_path):
    out = tmp_path / "run"
    flags = ["--smoke", "--config.replay.capacity_trials=1000000000", f"--out={out}"]
    outcome = command("cooking", *flags)
    assert outcome.status == 2
    line = one_line(outcome.stderr)
    assert "replay.capacity_trials=1,000,000,000 needs " in line
    # The number of trials that it says would fit has to be one that fits.
    numbers = [int(x.replace(",", "")) for x in re.findall(r"\d[\d,]*\d", line)]
    capacity, needed, free, fits = numbers
    assert needed / capacity * fits <= free
    assert not out.exists()
