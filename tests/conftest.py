"""Shared by all tests: two CPU devices, a compilation cache, the command line in-process."""

import contextlib
import io
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import jax
import pytest

DEVICES = max(2, os.cpu_count() or 1)
LONG = {
    f"test_{name}"
    for name in ("baselines", "files", "learning", "loop", "devices", "sweep", "throughput")
}


def pytest_configure(config):
    # A file of the cache that was cut short is compiled again; that is worth no failure.
    config.addinivalue_line("filterwarnings", "ignore:Error reading persistent compilation cache")
    base = os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache"))
    # One per process of pytest-xdist: they would read what others are still writing.
    folder = str(Path(base, "dream_jax_tests", os.environ.get("PYTEST_XDIST_WORKER", "main")))
    os.environ["JAX_COMPILATION_CACHE_DIR"] = folder  # for processes that tests start
    jax.config.update("jax_compilation_cache_dir", folder)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
    jax.config.update("jax_num_cpu_devices", DEVICES)


def pytest_collection_modifyitems(items):
    """Files that take minutes go first, so that no worker ends alone with one."""
    items.sort(key=lambda item: item.path.stem not in LONG)


@pytest.fixture(scope="module")
def quick_compilation():
    """Compile fast rather than well: right for programs that run for a second or two."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


class Outcome(NamedTuple):
    status: int
    stdout: str
    stderr: str
    handlers_restored: bool  # of SIGINT and SIGTERM


@pytest.fixture(scope="session")
def command():
    """`command("bus", *flags)`: what `python -m experiments.bus` does, in this process."""
    from experiments.cli import process as common

    def run(benchmark, *flags) -> Outcome:
        stdout, stderr = io.StringIO(), io.StringIO()
        handlers = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
        try:
            with (
                contextlib.redirect_stdout(stdout),
                contextlib.redirect_stderr(stderr),
                mock.patch("experiments.cli.process.cores", return_value=list(range(DEVICES))),
            ):
                status = common.main(benchmark, [str(flag) for flag in flags])
        finally:
            restored = all(signal.getsignal(n) == handler for n, handler in handlers.items())
            for number, handler in handlers.items():
                signal.signal(number, handler)
        return Outcome(status, stdout.getvalue(), stderr.getvalue(), restored)

    return run


@pytest.fixture(scope="session")
def spawn():
    """`spawn("bus", *flags)`: the same in a process of its own, a `subprocess.Popen`."""
    code = (
        "import sys; from experiments.cli import process; "
        f"process.cores = lambda: [0] * {DEVICES}; "
        "sys.exit(process.main(sys.argv[1], sys.argv[2:]))"
    )
    environment = os.environ | {
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",  # as `quick_compilation`
        "PYTHONPATH": str(Path(__file__).parents[1]),
    }

    def start(benchmark, *flags, before=""):
        return subprocess.Popen(
            [sys.executable, "-c", before + code, benchmark, *(str(flag) for flag in flags)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start
