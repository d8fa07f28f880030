"""Commands side by side on this machine, each with cores of its own."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from experiments.cli import process as common

POLL_S = 0.2


class Command(NamedTuple):
    line: list[str]
    log: Path  # what it prints is added to it
    environment: Mapping[str, str] | None = None  # None: that of this process


class Ended(NamedTuple):
    command: Command
    status: int
    wall_s: float
    last_line: str  # it printed, without "error: "


class _Running(NamedTuple):
    command: Command
    process: subprocess.Popen
    share: list[int]
    began_s: float
    log_bytes: int  # of earlier runs

    def ended(self) -> Ended:
        text = self.command.log.read_bytes()[self.log_bytes :].decode(errors="replace")
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        last = lines[-1].removeprefix("error: ") if lines else "it wrote nothing"
        wall_s = time.monotonic() - self.began_s
        return Ended(self.command, self.process.returncode, wall_s, last)


def shares(workers: int) -> list[list[int]]:
    """The cores dealt out to `workers`; with more of them than cores, none is kept to any."""
    every = common.cores()
    if workers > len(every):
        return [every] * workers
    return [every[k::workers] for k in range(workers)]


def run(commands: Sequence[Command], workers: int) -> Iterator[Ended]:
    """At most `workers` at once, begun in the order given; yields each as it ends.

    After Ctrl-C or SIGTERM nothing more is begun or yielded: those that run get one SIGTERM, at
    which a training run keeps a checkpoint, and are waited for; after a second one they are killed.
    Then KeyboardInterrupt is raised. Whoever stops iterating earlier stops them in the same way.
    """
    left, free = list(commands), shares(workers)
    running: list[_Running] = []
    with _noted_signals() as noted:
        try:
            told = 0
            while running or (left and not noted):
                while left and free and not noted:
                    running.append(_start(left.pop(0), free.pop(0)))
                if len(noted) > told:
                    told = len(noted)
                    _tell(running, kill=told > 1)
                for one in list(running):
                    if one.process.poll() is not None:
                        running.remove(one)
                        free.append(one.share)
                        if not noted:
                            yield one.ended()
                time.sleep(POLL_S)
        finally:
            _tell(running, kill=False)
            for one in running:
                one.process.wait()
    if noted:
        raise KeyboardInterrupt


def _start(command: Command, share: list[int]) -> _Running:
    command.log.parent.mkdir(parents=True, exist_ok=True)
    # A session of its own: Ctrl-C in the terminal would reach it beside the SIGTERM.
    with command.log.open("ab") as file, _on(share):
        before = file.tell()
        process = subprocess.Popen(
            command.line,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=command.environment,
            start_new_session=True,
        )
    return _Running(command, process, share, time.monotonic(), before)


def _tell(running: Sequence[_Running], kill: bool) -> None:
    for one in running:
        (one.process.kill if kill else one.process.terminate)()


@contextlib.contextmanager
def _noted_signals() -> Iterator[list[int]]:
    """A list that grows with every SIGINT and SIGTERM: none may strike between two statements,
    where a process has been started and nobody knows it yet."""
    noted: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield noted  # they are not ours to handle
        return

    def note(number: int, frame: Any) -> None:
        noted.append(number)
        if len(noted) == 1:
            print("stopping what runs; once more: kill it", file=sys.stderr, flush=True)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _on(share: list[int]) -> Iterator[None]:
    """A process that is started in here inherits these cores."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, share)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
