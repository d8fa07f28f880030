"""Runs a command as a process: JAX's settings, signals, and from an exception to an exit status."""

import contextlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from dream_jax.config import ConfigError
from dream_jax.runs import jax_setup
from dream_jax.runs.files import NotWritten
from dream_jax.runs.jax_setup import cores
from dream_jax.runs.signals import RESUME_ME, WARNINGS

PIPE_CLOSED = 128 + signal.SIGPIPE  # as a shell reports a process that the signal ends
_IMPORTED_AT = time.time()


def process_start_s() -> float:
    """Unix time at which this process started, so that wall-clock includes the imports."""
    try:
        with open("/proc/self/stat") as file:
            ticks = float(file.read().rsplit(")", 1)[1].split()[19])
        with open("/proc/uptime") as file:
            uptime = float(file.read().split()[0])
        return time.time() - uptime + ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return _IMPORTED_AT


def set_up_jax() -> None:
    """One CPU device per core of `cores()`, and a cache of compiled programs on disk.

    Call this before JAX touches its devices. With an accelerator the CPU devices are idle.
    """
    # Without a home that it can write to, matplotlib warns, and then works.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    jax_setup.set_up_jax(len(cores()))


def main(benchmark: str, argv: Sequence[str] | None = None) -> int:
    """Run `python -m experiments.<benchmark>`; returns the exit status.

    0 done; 1 training failed, or a file could not be written; 2 bad input; 75 stopped by a signal
    with everything kept, so that `--resume` goes on; 130 Ctrl-C before training began; 141 the
    reader of the output has gone.
    """
    from experiments.cli import flags as cli

    def work() -> int:
        set_up_jax()  # before a module of the user's may touch devices
        given = cli.read_flags(benchmark, sys.argv[1:] if argv is None else argv, trains=True)
        config = cli.read_config(benchmark, given)
        if given.print_config:
            print(cli.as_json(config))
            return 0
        request = cli.run_request(config, given)
        from dream_jax.runs import command

        return command.run(request, process_start_s())

    with _early_signals():
        return exit_status(work, "interrupted before training began")


def exit_status(work: Callable[[], int], interrupted: str) -> int:
    """The exit status of `work`, which prints what it has to say.

    Args:
      work: returns its exit status.
      interrupted: the line to print after Ctrl-C.

    Returns:
      That of `work`; 2 after one line on stderr for bad input; 1 for a file that cannot be written;
      130 after Ctrl-C; 141 where nobody reads the output any more, as after `| head`.
    """
    _print_any_text()
    try:
        status = _status(work, interrupted)
        sys.stdout.flush()
        return status
    except SystemExit:  # after --help
        _flush_quietly()
        raise
    except BrokenPipeError:
        _flush_quietly()
        return PIPE_CLOSED


def _status(work: Callable[[], int], interrupted: str) -> int:
    try:
        return work()
    except ConfigError as error:
        print(f"error: {_one_line(error)}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        raise
    except NotWritten as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:  # a disk that is full, or went away
        print(f"error: {error}; what was written before is kept", file=sys.stderr)
        return 1
    except Asked as asked:
        print(f"{asked}: {interrupted}", file=sys.stderr)
        return RESUME_ME
    except KeyboardInterrupt:
        print(interrupted, file=sys.stderr)
        return 130


def _one_line(error: Exception) -> str:
    """The message; those of other libraries may have several lines."""
    return " ".join(line.strip() for line in str(error).splitlines())


def interruptible(work: Callable[[], int], interrupted: str) -> int:
    """`exit_status`, where the signals of schedulers end the work as Ctrl-C does, with 75."""
    with _early_signals():
        return exit_status(work, interrupted)


@contextlib.contextmanager
def handled(numbers: Sequence[int], handler: Any) -> Iterator[None]:
    """A handler of signals; outside the main thread, where Python allows none, it does nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, old in before.items():
            if old is not None:  # None: it was not set from Python
                signal.signal(number, old)


class Asked(KeyboardInterrupt):
    """A scheduler asked the process to end, by a signal."""

    def __init__(self, number: int):
        super().__init__(signal.Signals(number).name)
        self.number = number


def _early_signals() -> contextlib.AbstractContextManager:
    """Before training begins there is nothing to save: the process ends, and may be started anew.

    While it trains, `dream_jax.runs.signals` handles signals.
    """

    def ask(number: int, frame: Any) -> None:
        raise Asked(number)

    return handled((signal.SIGTERM, *WARNINGS), ask)


def _print_any_text() -> None:
    """Escape what the terminal's encoding lacks, for example in a path, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)  # a stream in a notebook has none
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def _flush_quietly() -> None:
    """Flush the output; drop it where nobody reads it, or Python would complain at its exit."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
