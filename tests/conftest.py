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

from tests import small_run
from tests.folders import snapshot

DEVICES = max(2, os.cpu_count() or 1)
EMITTERS = "--xla_cpu_use_fusion_emitters"
if jax.__version_info__ < (0, 11) and EMITTERS not in os.environ.get("XLA_FLAGS", ""):
    # The older emitters, which jax 0.11 no longer has, take half the time to compile. Read when the
    # first program is compiled, here and in processes that tests start.
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {EMITTERS}=false".strip()
# Files whose names begin alike share a finished run or compiled programs, so one worker has them.
# They take longest and go first; no worker then ends alone with one.
TOGETHER = {
    "tests/runs/test_loop": "a finished run",
    "tests/runs/test_files": "a finished run",
    "tests/runs/test_extend": "a finished run",
    "tests/runs/test_best_checkpoint": "a finished run",
    "tests/experiments/test_evaluate_command": "a finished run",
    "tests/experiments/test_pictures": "a finished run",
    "tests/runs/test_pretrained": "a finished run",
    "tests/test_api": "a finished run",
    "tests/browser/": "a finished run",
    "tests/experiments/test_report_command": "a finished run",
    "tests/training/test_trainer": "states of a trainer",
    "tests/scaling/test_trainer_on_devices": "states of a trainer",
    "tests/agents/test_dream_": "DREAM's agent",
    **{
        f"tests/{name}": name
        for name in ("scaling/test_devices", "agents/test_baselines", "training/test_learning")
    },
}

# Files whose tests share nothing and take long, so that each worker gets some.
APART = {"tests/docs/test_blocks.py"}


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
    # Programs of tests run for milliseconds; `well_compiled` is for those that do not.
    jax.config.update("jax_disable_most_optimizations", True)
    if any("::" in argument for argument in config.args):  # tests asked for by name, slow or not
        config.option.markexpr = ""


def group(nodeid):
    """What a test shares with others, or its file, or the test itself."""
    file = nodeid.split("::", 1)[0]
    if file in APART:
        return nodeid
    return next((name for start, name in TOGETHER.items() if file.startswith(start)), file)


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: group(item.nodeid) not in TOGETHER.values())


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid):
            return group(nodeid)

    return Scheduling(config, log)


@pytest.fixture
def processes_compile_fast(monkeypatch):
    """Processes that the test starts compile as quickly as this one, for programs as slow."""
    monkeypatch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")


@pytest.fixture
def well_compiled():
    """For programs that run for longer than they take to compile."""
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", True)


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
def finished_run(command, tmp_path_factory):
    """(folder, outcome) of the run of `small_run`. Tests read it, and write nothing there."""
    out = tmp_path_factory.mktemp("finished") / "run"
    outcome = command("bus", *small_run.FLAGS, f"--out={out}")
    assert (outcome.status, outcome.stderr) == (0, "")
    before = snapshot(out)
    yield out, outcome
    assert snapshot(out) == before


@pytest.fixture(scope="session")
def spawn():
    """`spawn("bus", *flags)`: the same in a process of its own, a `subprocess.Popen`."""
    code = (
        "import sys; from experiments.cli import process; "
        f"process.cores = lambda: [0] * {DEVICES}; "
        "sys.exit(process.main(sys.argv[1], sys.argv[2:]))"
    )
    environment = os.environ | {
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
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
