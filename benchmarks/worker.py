"""A contender in a process of its own, which measures on request: JSON lines in and out.

Contenders have their own processes, so that thread pools and peak memory are not shared. The
processes are alive at the same time, so that measurements can be interleaved. A waiting process
uses no CPU.
"""

import contextlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Handlers = dict[str, Callable[..., dict[str, Any]]]


class WorkerError(RuntimeError):
    """A contender failed. The message is one line."""


class Worker:
    """A process that runs `serve`.

    `send("measure", what="update", seconds=2.0)` calls its handler "measure", and `receive` waits
    for the result.

    Args:
      module: run as `python -m module`.
      arguments: for `serve`'s `make`, as JSON.
      environment: variables added to this process's own.
    """

    def __init__(self, module: str, arguments: dict[str, Any], environment: dict[str, str]):
        self.module = module
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed in `close`
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, json.dumps(arguments)],
            cwd=Path(__file__).parents[1],
            env=os.environ | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )

    def send(self, what: str, /, **arguments: Any) -> None:
        """Sends a request and returns at once."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # `receive` reports the reason
            self._process.stdin.write(json.dumps([what, arguments]) + "\n")
            self._process.stdin.flush()

    def receive(self, what: str) -> dict[str, Any]:
        """The result of the request `what`. Raises WorkerError if the process has ended."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise WorkerError(f"{self.module} failed in {what!r}: {self._last_error()}")
        return json.loads(line)

    def close(self) -> None:
        """Ends the process, by force after 10 seconds."""
        with contextlib.suppress(BrokenPipeError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._errors.close()

    def _last_error(self) -> str:
        self._process.wait()
        self._errors.seek(0)
        lines = [line.strip() for line in self._errors if line.strip()]
        return lines[-1] if lines else f"exit status {self._process.returncode}"


class Requests:
    """The worker's side: an iterator over (what, arguments). Each wants one `answer`.

    It ends when standard input does.
    """

    def __init__(self) -> None:
        self._channel = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)  # keeps whatever a library prints apart from the answers

    def __iter__(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for line in sys.stdin:
            what, arguments = json.loads(line)
            yield what, arguments

    def answer(self, result: dict[str, Any]) -> None:
        """Sends the result of the current request."""
        print(json.dumps(result), file=self._channel, flush=True)


def serve(make: Callable[[dict[str, Any]], Handlers]) -> None:
    """Answers requests with the handlers that `make` makes of this process's arguments."""
    requests = Requests()
    handlers = make(json.loads(sys.argv[1]))
    for what, arguments in requests:
        requests.answer(handlers[what](**arguments))


def repeat(call: Callable[[], Any], seconds: float) -> tuple[int, float]:
    """Calls until `seconds` have passed, at least once. Returns (calls, seconds taken)."""
    calls, began = 0, time.perf_counter()
    while True:
        call()
        calls += 1
        taken = time.perf_counter() - began
        if taken >= seconds:
            return calls, taken


def peak_memory_bytes() -> int:
    """Peak resident memory of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def cores() -> int:
    """Number of CPU cores that this process may run on."""
    return len(os.sched_getaffinity(0))
