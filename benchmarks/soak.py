"""A long training run, watched: `python -m benchmarks.soak --hours=2 [--benchmark=map] [--json]`.

Trains in a process of its own for the given time and then ends it with SIGTERM. Memory, open files
and threads are sampled throughout, and JAX logs every program that it compiles. The time counts
from the evaluation at which replay is full. Its first quarter is the warm-up, in which the page
compiles its program. After it, memory must stay within 1 %, the number of open files must not
change, nothing may be compiled, and logs may only grow by the same bytes per evaluation.

Settings of training follow as --config.KEY=VALUE.
"""

import contextlib
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import command
from dream_jax.config import Config, ConfigError
from dream_jax.runs import resolve
from dream_jax.runs.signals import RESUME_ME
from experiments.cli import flags

EVALUATIONS = 20_000  # more than the time allows
WARM_UP = 0.25  # of the time
FLAT = 0.01  # of memory
START_TIMEOUT_S = 4 * 3_600  # until replay is full, on a busy machine
LOGS = ("metrics.jsonl", "visits.jsonl")


class Sample(NamedTuple):
    """The process at one moment."""

    time_s: float  # since replay was full
    memory_kb: int  # resident
    files: int  # open descriptors
    threads: int
    compiled: int  # programs so far
    evaluations: int  # rows of metrics.jsonl
    log_bytes: int  # of all that it printed, and of the logs in its folder
    checkpoints: int


def start(
    config: Config, preset: str, overrides: dict[str, str], out: Path, log: Any
) -> subprocess.Popen:
    """Training that ends much later than the soak."""
    trials = EVALUATIONS * config.training.evaluation_period_trials
    line = [sys.executable, "-m", f"experiments.{config.benchmark}", f"--config={preset}"]
    line += [f"--config.{key}={value}" for key, value in overrides.items()]
    line += [f"--out={out}", f"--config.training.trials={trials}"]
    environment = os.environ | {"JAX_LOG_COMPILES": "1"}
    return subprocess.Popen(line, stdout=log, stderr=subprocess.STDOUT, env=environment)


class Watch:
    """Samples a training process."""

    def __init__(self, process: subprocess.Popen, out: Path, log: Path, rows: int):
        """rows: of metrics.jsonl when replay is full."""
        self._process, self._out, self._log, self._full = process, out, log, rows
        self._read, self._compiled = 0, 0  # bytes of the log, and programs in them
        self._began: float | None = None

    def sample(self) -> Sample:
        """Raises OSError if the process is gone."""
        folder = Path(f"/proc/{self._process.pid}")
        status = dict(
            line.split(":", 1) for line in (folder / "status").read_text().splitlines() if line
        )
        rows = self._lines(self._out / "metrics.jsonl")
        if self._began is None and rows >= self._full:
            self._began = time.monotonic()
        return Sample(
            -1.0 if self._began is None else time.monotonic() - self._began,
            int(status["VmRSS"].split()[0]),
            len(os.listdir(folder / "fd")),
            int(status["Threads"]),
            self._programs(),
            rows,
            self._read + sum(_size(self._out / name) for name in LOGS),
            sum(name.isdecimal() for name in _names(self._out / "checkpoints")),
        )

    def _programs(self) -> int:
        with self._log.open("rb") as file:
            file.seek(self._read)
            new = file.read()
        new = new[: new.rfind(b"\n") + 1]  # whole lines
        self._read += len(new)
        self._compiled += new.count(b"Finished XLA compilation of")
        return self._compiled

    @staticmethod
    def _lines(path: Path) -> int:
        with contextlib.suppress(OSError):
            return path.read_bytes().count(b"\n")
        return 0


def _size(path: Path) -> int:
    with contextlib.suppress(OSError):
        return path.stat().st_size
    return 0


def _names(folder: Path) -> list[str]:
    with contextlib.suppress(OSError):
        return os.listdir(folder)
    return []


def watch(
    watcher: Watch,
    seconds: float,
    every_s: float,
    tell: Callable[[Sample], None],
) -> list[Sample]:
    """Samples from the moment on when replay is full. Raises OSError if the process ends early."""
    began, samples = time.monotonic(), list[Sample]()
    while not samples or samples[-1].time_s < seconds:
        sample = watcher.sample()
        tell(sample)
        if sample.time_s >= 0.0:
            samples.append(sample)
        elif time.monotonic() - began > START_TIMEOUT_S:
            raise command.Ended(f"replay was not full within {START_TIMEOUT_S} s")
        time.sleep(every_s)
    return samples


def verdicts(samples: Sequence[Sample], seconds: float, checkpoints: int) -> dict[str, Any]:
    """What was measured after the warm-up, and `failed`: what is not as it should be.

    checkpoints: that a run keeps, at most, while it writes one.
    """
    after = [sample for sample in samples if sample.time_s >= WARM_UP * seconds]
    if len(after) < 6:
        raise ConfigError(f"{len(after)} samples after the warm-up; give more --hours")
    third = len(after) // 3
    first, last = after[:third], after[-third:]

    def typical(part: Sequence[Sample], field: str) -> float:
        return statistics.median(getattr(sample, field) for sample in part)

    def rate(part: Sequence[Sample]) -> float:
        """Bytes of logs per evaluation."""
        rows = part[-1].evaluations - part[0].evaluations
        return (part[-1].log_bytes - part[0].log_bytes) / max(rows, 1)

    growth = typical(last, "memory_kb") / typical(first, "memory_kb") - 1.0
    compiled = after[-1].compiled - after[0].compiled
    half = len(after) // 2
    rates = rate(after[:half]), rate(after[half:])
    most = max(sample.checkpoints for sample in after)
    files = [int(typical(part, "files")) for part in (first, last)]
    failed = {
        f"memory grew by {growth:.2%}": abs(growth) > FLAT,
        f"open files went from {files[0]} to {files[1]}": files[0] != files[1],
        f"{compiled} programs were compiled": compiled > 0,
        f"logs grew by {rates[0]:.0f}, then {rates[1]:.0f} bytes per row": rates[1]
        > 1.1 * rates[0] + 1.0,
        f"{most} checkpoints were kept": most > checkpoints,
    }
    return {
        "seconds": round(after[-1].time_s, 1),
        "samples": len(samples),
        "rows": after[-1].evaluations,
        "memory_mb": [round(typical(part, "memory_kb") / 1024, 1) for part in (first, last)],
        "memory_range_mb": [
            round(bound(sample.memory_kb for sample in after) / 1024, 1) for bound in (min, max)
        ],
        "memory_growth": round(growth, 5),
        "open_files": files,
        "open_files_most": max(sample.files for sample in after),
        "threads": [int(typical(part, "threads")) for part in (first, last)],
        "compiled_before": after[0].compiled,
        "compiled_after": compiled,
        "log_bytes_per_row": [round(one, 1) for one in rates],
        "log_bytes": after[-1].log_bytes,
        "checkpoints_most": most,
        "failed": [what for what, wrong in failed.items() if wrong],
    }


def measure(argv: Sequence[str]) -> int:
    """Trains, watches and prints what was found. 1 if something grew or was compiled."""
    line = command.command_line("soak", f"\n{__doc__}")
    line.text("benchmark", "map", "trained on")
    line.text("config", "dream", "preset")
    line.number("hours", 2.0, "from the moment on when replay is full", above=0.0)
    line.number("sample_s", 10.0, "seconds between samples", above=0.0)
    rest, overrides = flags.split_overrides(argv)
    values = line.read(rest)
    config = resolve.preset(values.benchmark, values.config, overrides=overrides)
    seconds = 3600.0 * values.hours
    if not Path("/proc/self/status").exists():
        raise ConfigError("the soak reads /proc, which this system does not have; run it on Linux")
    with tempfile.TemporaryDirectory() as folder:
        out, log = Path(folder, "run"), Path(folder, "log.txt")
        with log.open("wb") as file:
            process = start(config, values.config, overrides, out, file)
        full = -(-config.replay.capacity_trials // config.training.evaluation_period_trials)
        try:
            watcher = Watch(process, out, log, full)
            samples = watch(watcher, seconds, values.sample_s, _tell(seconds))
            process.send_signal(signal.SIGTERM)
            status = process.wait(timeout=600)
        except (OSError, KeyError) as error:
            tail = log.read_text(errors="replace").splitlines()[-1:]
            raise command.Ended(f"training ended: {(tail or ['it printed nothing'])[0]}") from error
        finally:
            process.kill()
            process.wait()
    # Besides those that are kept: the best one, and one that is being written.
    result = verdicts(samples, seconds, config.training.checkpoints_kept + 2)
    result["exit_status"] = status
    if status != RESUME_ME:
        result["failed"].append(f"exit status {status}, not {RESUME_ME}")
    command.show({"benchmark": values.benchmark, "config": values.config} | result, values.json)
    return 1 if result["failed"] else 0


def _tell(seconds: float) -> Callable[[Sample], None]:
    """Prints a line on stderr every minute."""
    told = [time.monotonic()]

    def tell(sample: Sample) -> None:
        if time.monotonic() - told[0] >= 60.0:
            told[0] = time.monotonic()
            done_s = max(sample.time_s, 0.0)
            print(
                f"{done_s:,.0f} of {seconds:,.0f} s: {sample.memory_kb / 1024:,.0f} MB, "
                f"{sample.files} open files, {sample.threads} threads, {sample.compiled} programs, "
                f"{sample.evaluations:,} rows, {sample.checkpoints} checkpoints",
                file=sys.stderr,
                flush=True,
            )

    return tell


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0, 1 if training ended or something grew or was compiled, 2 for bad input."""
    return command.run(measure, sys.argv[1:] if argv is None else argv)


if __name__ == "__main__":
    sys.exit(main())
