"""Commands side by side: how many at once, on which cores, and what an interruption leaves."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from experiments.cli import parallel_commands as side_by_side
from experiments.cli import process as common
from experiments.cli.parallel_commands import Command


def script(tmp_path, name, text):
    return Command([sys.executable, "-c", text], tmp_path / "logs" / f"{name}.log")


def test_each_ends_with_its_status_and_its_log(tmp_path):
    good = script(tmp_path, "good", "print('fine')")
    bad = script(tmp_path, "bad", "import sys; print('a\\nerror: b', flush=True); sys.exit(3)")
    quiet = script(tmp_path, "quiet", "")
    ended = {one.command.log.stem: one for one in side_by_side.run([good, bad, quiet], 2)}
    assert {name: one.status for name, one in ended.items()} == {"good": 0, "bad": 3, "quiet": 0}
    assert good.log.read_text() == "fine\n"
    assert ended["bad"].last_line == "b"
    assert ended["quiet"].last_line == "it printed nothing"
    quiet_again = quiet._replace(log=bad.log)  # its log has an earlier run's words
    ((_, status, _, last),) = side_by_side.run([quiet_again], 1)
    assert (status, last) == (0, "it printed nothing")
    assert bad.log.read_text() == "a\nerror: b\n"


def test_the_logs_of_those_that_run_are_shown_to_who_watches(tmp_path):
    seen = []
    slow = script(tmp_path, "slow", "import time; time.sleep(0.6)")
    list(side_by_side.run([slow], 1, seen.append))
    assert seen[0] == [slow.log]
    assert seen[-1] == []


@pytest.mark.parametrize("workers", [1, 2])
def test_so_many_at_once(tmp_path, workers):
    text = "import time; print(time.time(), flush=True); time.sleep(0.6); print(time.time())"
    list(side_by_side.run([script(tmp_path, k, text) for k in range(3)], workers))
    spans = sorted(
        tuple(map(float, log.read_text().split())) for log in (tmp_path / "logs").iterdir()
    )
    overlap = spans[1][0] < spans[0][1]
    assert overlap == (workers == 2)
    assert spans[2][0] > spans[0][1]  # the third waits for a place


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux")
def test_cores_are_dealt_out(tmp_path):
    every = common.cores()
    assert side_by_side.shares(1) == [every]
    many = len(every) + 1
    assert side_by_side.shares(many) == [every] * many
    dealt = side_by_side.shares(len(every))
    assert sorted(core for share in dealt for core in share) == every
    text = "import os; print(*sorted(os.sched_getaffinity(0)))"
    commands = [script(tmp_path, k, text) for k in range(len(every))]
    list(side_by_side.run(commands, len(every)))
    seen = [[int(core) for core in one.log.read_text().split()] for one in commands]
    assert seen == dealt
    assert common.cores() == every  # our own are as they were


def size(path):
    return path.stat().st_size if path.exists() else 0


def interrupted(commands, workers, times, number=signal.SIGINT, said=b"KeyboardInterrupt"):
    """Run them in a process that gets a signal so many times once `workers` of them are ready."""
    listed = [(one.line, str(one.log)) for one in commands]
    program = (
        "import pathlib\n"
        "from experiments.cli import parallel_commands as s\n"
        f"commands = [s.Command(line, pathlib.Path(log)) for line, log in {listed!r}]\n"
        f"list(s.run(commands, {workers}))\n"
    )
    logs = [one.log for one in commands[:workers]]
    before = [size(log) for log in logs]
    parent = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE)
    deadline = time.monotonic() + 30
    while not all(size(log) > old for log, old in zip(logs, before, strict=True)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    for _ in range(times):
        parent.send_signal(number)
        time.sleep(0.3)
    assert said in parent.communicate(timeout=30)[1]


def test_an_interruption_lets_them_save(tmp_path):
    text = (
        "import signal, sys, time\n"
        "def save(*_):\n"
        "    time.sleep(0.5); print('saved'); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, save)\n"
        "print('ready', flush=True); time.sleep(60)\n"
    )
    commands = [script(tmp_path, k, text) for k in range(3)]
    interrupted(commands, workers=2, times=1)
    assert [one.log.read_text() for one in commands[:2]] == ["ready\nsaved\n"] * 2
    assert not commands[2].log.exists()  # was never begun
    # The warning of a scheduler, which may come any number of times.
    interrupted(commands[:1], 1, 2, signal.SIGUSR2, b"Asked: SIGUSR2")
    assert commands[0].log.read_text() == "ready\nsaved\n" * 2  # nothing of the first time is lost


def test_a_second_interruption_kills(tmp_path):
    text = (
        "import os, signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print(os.getpid(), flush=True); time.sleep(60)\n"
    )
    command = script(tmp_path, "deaf", text)
    interrupted([command], workers=1, times=2)
    pid = int(command.log.read_text())
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:  # whoever adopts it may take a moment to bury it
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            return
        if state == "Z":
            return
        time.sleep(0.1)
    raise AssertionError("it still runs")
