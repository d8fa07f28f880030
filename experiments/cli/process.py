"""What every benchmark's module runs: one command, from flags to summary.json."""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable

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


def cores() -> list[int]:
    """Those that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def set_up_jax() -> None:
    """One CPU device per core of `cores()`, and a compilation cache that outlives the process.

    Must run before JAX touches its devices. On accelerators the CPU devices lie idle.
    """
    import jax

    with contextlib.suppress(RuntimeError):  # JAX is in use already: with the devices it has
        jax.config.update("jax_num_cpu_devices", len(cores()))
    if not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        base = os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache"))
        jax.config.update("jax_compilation_cache_dir", os.path.join(base, "dream_jax"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def main(benchmark: str, argv: list[str] | None = None) -> int:
    """Run `python -m experiments.<benchmark>`; returns the exit status.

    0 done, or stopped by a signal with a checkpoint kept; 1 training failed; 2 bad input; 130
    interrupted before training began.
    """
    from experiments.cli import flags as cli

    def work() -> int:
        set_up_jax()  # before a module of the user's may touch devices
        arguments = cli.parse(benchmark, sys.argv[1:] if argv is None else argv)
        from dream_jax.runs import analytic
        from dream_jax.runs import loop as training

        if arguments.config.agent in analytic.AGENTS:
            return analytic.run(arguments, process_start_s())
        return training.run(arguments, process_start_s())

    return exit_status(work, "interrupted before training began")


def exit_status(work: Callable[[], int], interrupted: str) -> int:
    """That of `work`; 2 after one line on stderr for bad input, 1 for a file that cannot be
    written, 130 and the line `interrupted` after Ctrl-C."""
    from dream_jax.config import ConfigError

    try:
        return work()
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:  # a disk that is full, or went away
        print(f"error: {error}; what was written before is kept", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(interrupted, file=sys.stderr)
        return 130


def interruptible(work: Callable[[], int], interrupted: str) -> int:
    """`exit_status`, where SIGTERM, from a scheduler, ends the work as Ctrl-C does."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return exit_status(work, interrupted)
    finally:
        signal.signal(signal.SIGTERM, before)
