"""Memory of training on a CPU, against what a run prints before it compiles:

    python -m benchmarks.memory [--benchmarks=map,cooking] [--config=dream] [--json]

Each benchmark trains in a process of its own for two evaluations, first with an empty cache of
compiled programs and then with a full one. The peak is that of the whole process.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import command
from dream_jax.config import ConfigError
from dream_jax.runs import resolve

CLOSE = 0.10  # of the peak
EVALUATIONS = 2
TIMEOUT_S = 3_600
_PRINTED = re.compile(r"memory: about ([\d,]+) MB, ([\d,]+) MB if .* are cached")


class Measured(NamedTuple):
    """One run. All in MB."""

    printed: int
    peak: int
    trained: int  # after the last evaluation


def run(benchmark: str, config: str, cached: bool, cache: str) -> Measured:
    """Train until `EVALUATIONS` rows are there. Raises command.Ended if training ends before."""
    with tempfile.TemporaryDirectory() as folder:
        out, log = Path(folder, "run"), Path(folder, "log.txt")
        line = [sys.executable, "-m", f"experiments.{benchmark}", f"--config={config}"]
        environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": cache}
        with log.open("wb") as file:
            process = subprocess.Popen(
                [*line, f"--out={out}"], stdout=file, stderr=subprocess.STDOUT, env=environment
            )
        try:
            peak, trained = _watch(process, out)
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=TIMEOUT_S)
        finally:
            process.kill()
            process.wait()
        text = log.read_text(errors="replace")
    found = _PRINTED.search(text)
    if found is None or not peak:
        raise command.Ended(f"{benchmark}: {(text.splitlines() or ['it printed nothing'])[-1]}")
    return Measured(int(found[2 if cached else 1].replace(",", "")), peak, trained)


def _watch(process: subprocess.Popen, out: Path) -> tuple[int, int]:
    """MB at the peak and at the end."""
    peak = now = 0
    began = time.monotonic()
    while process.poll() is None and time.monotonic() - began < TIMEOUT_S:
        with contextlib.suppress(OSError, KeyError):
            text = Path(f"/proc/{process.pid}/status").read_text()
            fields = dict(line.split(":", 1) for line in text.splitlines() if line)
            peak, now = (int(fields[key].split()[0]) // 1024 for key in ("VmHWM", "VmRSS"))
        with contextlib.suppress(OSError):
            if (out / "metrics.jsonl").read_bytes().count(b"\n") >= EVALUATIONS:
                break
        time.sleep(0.2)
    return peak, now


def measure(argv: Sequence[str]) -> int:
    """Measures and prints. 1 if a printed figure is more than 10 % from the peak."""
    line = command.command_line("memory", f"\n{__doc__}")
    line.text("benchmarks", "map,cooking,distracting_bus", "trained on")
    line.text("config", "dream", "preset")
    values = line.read(argv)
    names = values.benchmarks.split(",")
    for name in names:
        resolve.preset(name, values.config)
    if not Path("/proc/self/status").exists():
        raise ConfigError("this reads /proc, which this system does not have; run it on Linux")
    result: dict[str, Any] = {}
    wrong = False
    for name in names:
        with tempfile.TemporaryDirectory() as cache:
            for cached in (False, True):
                found = run(name, values.config, cached, cache)
                error = found.printed / found.peak - 1.0
                wrong |= abs(error) > CLOSE
                key = f"{name}, {'cached' if cached else 'compiled'}"
                result[key] = found._asdict() | {"error": round(error, 3)}
                print(key, result[key], file=sys.stderr, flush=True)
    command.show(result, values.json)
    return 1 if wrong else 0


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0, 1 if a printed figure is far off, 2 for bad input."""
    return command.run(measure, sys.argv[1:] if argv is None else argv)


if __name__ == "__main__":
    sys.exit(main())
