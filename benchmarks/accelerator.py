"""The accelerator campaign: everything that a GPU or a TPU is asked, in one command.

python -m benchmarks.accelerator --out=DIR [--budget_s=540] [--parts=PATTERN,...] [--quick] [--list]

It needs no network, and works from a checkout. The most valuable parts come first. Every row goes
to DIR/rows.jsonl as it is measured, and the same command goes on after a stop: parts that are done
are left out. Each part is a process of its own (`benchmarks.accelerator_parts`). The parts of a
wave compile at the same time, several on a machine with many cores, and are then measured one by
one, while nothing else runs.

Compiled programs are in DIR/cache."""

import contextlib
import fnmatch
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import command
from benchmarks.worker import cores
from dream_jax.config import ConfigError
from dream_jax.runs.files import json_lines, whole_file

Row = dict[str, Any]
CORES_PER_PART = 2  # while it compiles
WHILE_LOOPS = "--xla_gpu_enable_command_buffer=+WHILE,+CONDITIONAL,+DYNAMIC_SLICE_FUSION"
# Trying out which kernels are fastest takes most of the time of compiling, and several processes
# that try at once disturb each other: on an H200 30 s with this, and 100 to 130 s without.
QUICK_TO_COMPILE = "--xla_gpu_autotune_level=0 --xla_gpu_enable_triton_gemm=false"
GRIDS = ("cooking", "distracting_bus", "map", "bus")


class Part(NamedTuple):
    """A measurement: a function of `accelerator_parts` with its arguments."""

    name: str  # unique
    part: str
    arguments: dict[str, Any]
    seconds: float = 15.0  # that it may measure, after it has compiled
    environment: dict[str, str] = {}


def _rates(benchmark: str, preset: str, seeds: int, **arguments: Any) -> Part:
    own = {"benchmark": benchmark, "preset": preset, "seeds": seeds, **arguments}
    return Part(f"rates-{benchmark}-{preset}-{seeds}", "rates", own)


def _learn(benchmark: str, preset: str, seeds: int, seconds: float) -> Part:
    own = {"benchmark": benchmark, "preset": preset, "seeds": seeds}
    name = f"learn-{benchmark}-{preset}-{seeds}"
    return Part(name, "learn", own, seconds, {"XLA_FLAGS": QUICK_TO_COMPILE})


def _with_changes(part: Part, name: str, **changes: Any) -> Part:
    own = part.arguments | {"changes": changes}
    return part._replace(name=f"{part.name}-{name}", arguments=own, seconds=8.0)


def _with_environment(part: Part, name: str, **environment: str) -> Part:
    return part._replace(name=f"{part.name}-{name}", environment=environment)


def waves() -> list[list[Part]]:
    """All parts, the most valuable wave first."""
    all_three = ("collect", "update", "train")
    one = _rates("cooking", "dream", 1, programs=all_three, trace=True)
    many = _rates("cooking", "dream", 64, programs=all_three)
    paper = _rates("cooking", "dream_paper", 1, trace=True)
    large = _rates("cooking", "dream_paper", 256)
    sizes = {"quality": "fast", "batches": [64, 1_024, 8_192, 65_536], "size": 8_192}
    fast = Part("render-fast", "render", sizes, 40.0)
    correct = [
        Part(f"correct-{b}-{p}", "correct", {"benchmark": b, "preset": p})
        for b, p in (("cooking", "dream"), ("cooking", "dream_paper"), ("sign", "dream"))
    ]
    learn = [_learn("sign", "dream", 5, 240.0), *(_learn(b, "dream", 64, 150.0) for b in GRIDS)]
    return [
        [Part("ceilings", "ceilings", {}), *correct[1:], one, many, paper, large, fast],
        learn,
        [*_torch(), *_cpu(one, paper), _rates("distracting_bus", "dream", 64), correct[0]],
        [*_graphs(), _rates("cooking", "dream", 8), _rates("cooking", "dream", 256)],
        [_rates("cooking", "dream_paper", n) for n in (8, 64)] + _precisions(large),
        [*_batches(), *_collecting(), _rates("sign", "dream", 1)],
        [_learn(benchmark, "dream", 1, 150.0) for benchmark in GRIDS],
        [_learn(benchmark, "dream", 256, 240.0) for benchmark in GRIDS],
        [Part("render-reference", "render", sizes | {"quality": "reference"}, 40.0)],
    ]


def _torch() -> list[Part]:
    return [
        Part(f"torch-cooking-{p}", "torch", {"benchmark": "cooking", "preset": p}, 12.0)
        for p in ("dream_paper", "dream")
    ]


def _cpu(*parts: Part) -> list[Part]:
    """The same on this machine's processor."""
    without = [part._replace(arguments=part.arguments | {"trace": False}) for part in parts]
    return [_with_environment(part, "cpu", JAX_PLATFORMS="cpu") for part in without]


def _graphs() -> list[Part]:
    """Training with whole loops in CUDA graphs."""
    return [
        _with_environment(_rates("cooking", p, n), "graphs", XLA_FLAGS=WHILE_LOOPS)
        for p, n in (("dream", 1), ("dream_paper", 1), ("dream", 64))
    ]


def _precisions(part: Part) -> list[Part]:
    return [
        _with_environment(part, name, JAX_DEFAULT_MATMUL_PRECISION=value)
        for name, value in (("float32", "highest"), ("bfloat16", "bfloat16"))
    ]


def _batches() -> list[Part]:
    """Updates with larger batches."""
    return [
        _with_changes(
            _rates("cooking", preset, 1, programs=("update",)),
            f"batch{trials}",
            **{"replay.batch_trials": trials},
        )
        for preset in ("dream", "dream_paper")
        for trials in (256, 2_048)
    ]


def _collecting() -> list[Part]:
    """Collecting with many actors."""
    return [
        _with_changes(
            _rates("cooking", "dream", 1, programs=("collect",)),
            f"trials{trials}",
            **{
                "training.trials_per_iteration": trials,
                "replay.capacity_trials": 2 * trials,
                "training.trials": 4 * trials,
                "training.evaluation_period_trials": trials,
            },
        )
        for trials in (2_048, 32_768)
    ]


class Child:
    """The process of a part."""

    def __init__(self, part: Part, quick: bool, cache: Path, tell: "queue.Queue[Any]"):
        self.part, self._tell, self.started = part, tell, time.time()
        asked = {"part": part.part, "arguments": part.arguments | {"quick": quick}}
        environment = {
            "XLA_PYTHON_CLIENT_PREALLOCATE": "false",  # several share the device
            "JAX_COMPILATION_CACHE_DIR": str(cache),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.accelerator_parts", json.dumps(asked)],
            cwd=Path(__file__).parents[1],
            env=os.environ | environment | part.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._errors: list[str] = []
        self._threads = [threading.Thread(target=f) for f in (self._read, self._read_errors)]
        for thread in self._threads:
            thread.start()

    def go(self, seconds: float) -> None:
        """Measure, for about so long."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # `_read` tells why
            self._process.stdin.write(f"go {seconds}\n")
            self._process.stdin.flush()

    @property
    def runs(self) -> bool:
        return self._process.poll() is None

    def stop(self) -> None:
        self._process.kill()

    def close(self) -> None:
        """End the process, and wait for all that it said."""
        self._process.kill()
        for thread in self._threads:
            thread.join()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._tell.put((self, json.loads(line)))
        status = self._process.wait()
        if status:
            self._threads[1].join()
        last = self._errors[-1] if self._errors else ""
        self._tell.put((self, {"ended": f"exit status {status}: {last}" if status else ""}))

    def _read_errors(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if line.strip():
                self._errors.append(line.strip())


class Campaign:
    """Runs waves of parts and keeps their rows."""

    def __init__(self, out: Path, quick: bool, budget_s: float):
        self._file, self._cache = out / "rows.jsonl", out / "cache"
        self._quick, self._end = quick, time.time() + budget_s
        self._told: queue.Queue[Any] = queue.Queue()
        if self._file.exists():  # a crash may have torn its last line
            with whole_file(self._file, "w") as file:
                file.writelines(json.dumps(row) + "\n" for row in json_lines(self._file))

    def done(self) -> set[str]:
        """The names of the parts that have been measured."""
        rows = json_lines(self._file) if self._file.exists() else []
        return {row["part"] for row in rows if row.get("status") == "done"}

    def run(self, wave: Sequence[Part]) -> None:
        """Compile the parts of a wave, then measure them one by one."""
        done = self.done()
        waiting = [part for part in wave if part.name not in done]
        at_once = max(1, cores() // CORES_PER_PART)
        while waiting and self._left > 0:
            batch, waiting = waiting[:at_once], waiting[at_once:]
            children = [Child(p, self._quick, self._cache, self._told) for p in batch]
            try:
                ready = self._until({child: "ready" for child in children}, self._left)
                for child in ready:
                    self._measure(child)
            finally:
                for child in children:
                    child.close()

    def _measure(self, child: Child) -> None:
        seconds = min(child.part.seconds, self._left)
        child.go(seconds)
        ended = self._until({child: "ended"}, min(2 * child.part.seconds, self._left))
        if not ended and child.runs:  # one that failed has said why
            child.stop()
            self._keep(child.part, {"status": "out of time"})

    def _until(self, awaited: dict[Child, str], seconds: float) -> list[Child]:
        """Keep what comes until all have said what is awaited: those that have, in order."""
        end, said = time.time() + seconds, []
        open_ = dict(awaited)
        while open_:
            try:
                child, message = self._told.get(timeout=max(end - time.time(), 0.01))
            except queue.Empty:
                break
            ((kind, value),) = message.items()
            if kind == "row":
                self._keep(child.part, value)
            elif kind == "ready":
                prepare_s = round(time.time() - child.started, 1)
                self._keep(child.part, {"what": "ready", "since_start_s": prepare_s, **value})
            elif value:
                self._keep(child.part, {"status": "failed", "reason": value})
            elif awaited.get(child) == "ended":
                self._keep(child.part, {"status": "done"})
            if open_.get(child) == kind and not (kind == "ended" and value):
                said.append(child)
            if open_.get(child) == kind or kind == "ended":
                open_.pop(child, None)
        return [child for child in awaited if child in said]

    def _keep(self, part: Part, row: Row) -> None:
        whole = {"part": part.name, "at": round(time.time(), 1), **row}
        if part.environment:
            whole["environment"] = part.environment
        if self._quick:
            whole["quick"] = True
        with self._file.open("a") as file:
            file.write(json.dumps(whole) + "\n")
        brief = {k: v for k, v in whole.items() if k not in ("part", "at", "environment")}
        print(f"{part.name}: {json.dumps(brief)[:400]}", flush=True)

    @property
    def _left(self) -> float:
        return max(0.0, self._end - time.time())


def main(argv: Sequence[str]) -> int:
    line = command.command_line("accelerator", f"\n{__doc__}")
    line.text("out", None, "the folder of rows.jsonl; the same folder goes on")
    line.number("budget_s", 540.0, "seconds after which nothing more is begun")
    line.text("parts", "*", "patterns of names, comma-separated")
    line.switch("quick", "tiny sizes; the rates mean nothing")
    line.switch("list", "list the parts and do nothing")
    values = line.read(argv)
    patterns = values.parts.split(",")
    names = [part.name for wave in waves() for part in wave]
    for pattern in patterns:
        if not fnmatch.filter(names, pattern):
            raise ConfigError(f"--parts={pattern} fits none; valid: {', '.join(names)}")
    chosen = [
        [part for part in wave if any(fnmatch.fnmatchcase(part.name, p) for p in patterns)]
        for wave in waves()
    ]
    if values.list:
        for wave in chosen:
            if wave:
                print("; ".join(part.name for part in wave))
        return 0
    if not values.out:
        raise ConfigError("--out=DIR is needed, for example --out=runs/accelerator")
    if not 1 <= values.budget_s <= 1e6:
        raise ConfigError(f"--budget_s={values.budget_s:g} must be between 1 and 1000000")
    out = Path(values.out)
    out.mkdir(parents=True, exist_ok=True)
    campaign = Campaign(out, values.quick, values.budget_s)
    for wave in chosen:
        campaign.run(wave)
    left = [part.name for wave in chosen for part in wave if part.name not in campaign.done()]
    print(f"{len(left)} parts left: {', '.join(left)}" if left else "all parts are done")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(command.run(main, sys.argv[1:]))
