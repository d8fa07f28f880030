"""Runs commands at the same time on this machine, each on its own cores."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from dream_jax.runs.signals import WARNINGS
from experiments.cli import process

POLL_S = 0.2


class Command(NamedTuple):
    """A command, and where its output goes."""

    line: list[str]
    log: Path  # the output is appended to this file
    environment: Mapping[str, str] | None = None  # None: this process's


class Ended(NamedTuple):
    """A command that has ended."""

    command: Command
    status: int  # exit status
    wall_s: float
    last_line: str  # of its output, without "error: "


class _Running(NamedTuple):
    command: Command
    process: subprocess.Popen
    share: list[int]
    began_s: float
    log_bytes: int  # written by earlier runs

    def ended(self) -> Ended:
        text = self.command.log.read_bytes()[self.log_bytes :].decode(errors="replace")
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        last = lines[-1].removeprefix("error: ") if lines else "it printed nothing"
        wall_s = time.monotonic() - self.began_s
        return Ended(self.command, self.process.returncode, wall_s, last)


def shares(workers: int) -> list[list[int]]:
    """The cores of each of `workers`. With more workers than cores, each may use all of them."""
    every = process.cores()
    if workers > len(every):
        return [every] * workers
    return [every[k::workers] for k in range(workers)]


def run(
    commands: Sequence[Command],
    workers: int,
    watch: Callable[[Sequence[Path]], None] | None = None,
) -> Iterator[Ended]:
    """Run at most `workers` commands at once, started in the order given. Yields each as it ends.

    `watch` is called again and again with the logs of those that run.

    After Ctrl-C, SIGTERM, SIGUSR1 or SIGUSR2 no command is started or yielded. The running ones get
    a SIGTERM, at which a training run saves a checkpoint, and `run` waits for them. A second Ctrl-C
    or SIGTERM kills them. Then `run` raises KeyboardInterrupt after Ctrl-C, and else its subclass
    `process.Asked`. Closing the iterator also sends the SIGTERM and waits.
    """
    left, free = list(commands), shares(workers)
    running: list[_Running] = []
    with _noted_signals() as noted:
        try:
            handled = 0  # signals
            while running or (left and not noted):
                while left and free and not noted:
                    running.append(_start(left.pop(0), free.pop(0)))
                if len(noted) > handled:
                    handled = len(noted)
                    _stop(running, kill=handled > 1)
                for one in list(running):
                    if one.process.poll() is not None:
                        running.remove(one)
                        free.append(one.share)
                        if not noted:
                            yield one.ended()
                if watch is not None and not noted:
                    watch([one.command.log for one in running])
                time.sleep(POLL_S)
        finally:
            _stop(running, kill=False)
            for one in running:
                one.process.wait()
    if noted:
        raise KeyboardInterrupt if noted[0] == signal.SIGINT else process.Asked(noted[0])


def _start(command: Command, share: list[int]) -> _Running:
    command.log.parent.mkdir(parents=True, exist_ok=True)
    # In a session of its own, or Ctrl-C in the terminal would reach it besides the SIGTERM.
    with command.log.open("ab") as file, _on(share):
        before = file.tell()
        started = subprocess.Popen(
            command.line,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=command.environment,
            start_new_session=True,
        )
    return _Running(command, started, share, time.monotonic(), before)


def _stop(running: Sequence[_Running], kill: bool) -> None:
    for one in running:
        (one.process.kill if kill else one.process.terminate)()


@contextlib.contextmanager
def _noted_signals() -> Iterator[list[int]]:
    """A list that grows with every SIGINT and SIGTERM, and with a first SIGUSR1 or SIGUSR2.

    An exception could strike between two statements, after a process has started and before it is
    in the list of running ones.
    """
    noted: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield noted  # only the main thread can handle signals
        return

    def note(number: int, frame: Any) -> None:
        if number in WARNINGS and noted:
            return  # they may come any number of times
        noted.append(number)
        if len(noted) == 1:
            text = "stopping the running commands; interrupt again to kill them"
            print(text, file=sys.stderr, flush=True)

    numbers = (signal.SIGINT, signal.SIGTERM, *WARNINGS)
    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _on(share: list[int]) -> Iterator[None]:
    """A process that is started inside this context inherits these cores."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, share)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
