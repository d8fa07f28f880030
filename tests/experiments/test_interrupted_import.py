"""Ctrl-C while a command imports its libraries."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("error", "expected"),
    [("KeyboardInterrupt", "interrupted\n"), ("ValueError('why')", "ValueError: why\n")],
)
def test_ends_in_one_line_and_other_errors_keep_their_traceback(error, expected):
    code = f"import sys; sys.argv = ['-m']; import experiments; raise {error}"
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode != 0
    assert ended.stderr.endswith(expected)
    assert ("Traceback" in ended.stderr) == (error != "KeyboardInterrupt")
