"""Commands side by side on this machine, each with cores of its own."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

POLL_S = 0.2


class Command(NamedTuple):
    line: list[str]
    log: Path  # what it prints is added to it


class Ended(NamedTuple):
    command: Command
    status: int
    wall_s: float

    def last_line(self) -> str:
        """What it printed last, without "error: "."""
        text = self.command.log.read_text(errors="replace")
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return lines[-1].removeprefix("error: ") if lines else "it wrote nothing"


def cores() -> list[int]:
    """Those that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def shares(workers: int) -> list[list[int]]:
    """`cores()` dealt out to `workers`; with more of them than cores, none is kept to any."""
    every = cores()
    if workers > len(every):
        return [every] * workers
    return [every[k::workers] for k in range(workers)]


def run(commands: Sequence[Command], workers: int) -> Iterator[Ended]:
    """At most `workers` at once, begun in the order given; yields each as it ends.

    If interrupted, those that run get one SIGTERM, at which a training run keeps a checkpoint, and
    are waited for; interrupted again, they are killed.
    """
    left, free = list(commands), shares(workers)
    running: list[tuple[Command, subprocess.Popen, list[int], float]] = []
    try:
        while left or running:
            while left and free:
                command, share = left.pop(0), free.pop(0)
                running.append((command, _start(command, share), share, time.monotonic()))
            for one in list(running):
                command, process, share, began = one
                if process.poll() is not None:
                    running.remove(one)
                    free.append(share)
                    yield Ended(command, process.returncode, time.monotonic() - began)
            time.sleep(POLL_S)
    except BaseException:
        processes = [process for _, process, _, _ in running]
        for process in processes:
            process.send_signal(signal.SIGTERM)
        try:
            for process in processes:
                process.wait()
        except BaseException:
            for process in processes:
                process.kill()
            raise
        raise


def _start(command: Command, share: list[int]) -> subprocess.Popen:
    command.log.parent.mkdir(parents=True, exist_ok=True)
    # A session of its own: Ctrl-C in the terminal would reach it beside the SIGTERM above.
    with command.log.open("a") as file, _on(share):
        return subprocess.Popen(
            command.line, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
        )


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
