"""Runs that are killed and resumed: `python -m benchmarks.faults --kills=50 [--seed=0] [--json]`.

Each case trains a small run in a process of its own and kills it (SIGKILL) at a random moment, from
its first file to its last. It is resumed, and killed again or left alone, until it has finished.
Its parameters, replay, rows and summary must then be those of a run that nobody killed, bit for
bit, but for columns of the clock.
"""

import contextlib
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import command

BENCHMARK = "map"
EVALUATIONS, PERIOD = 6, 16
FLAGS = (
    "--smoke",
    "--seeds=2",
    f"--config.training.trials={EVALUATIONS * PERIOD}",
    "--config.training.evaluations_per_checkpoint=1",  # as many moments as possible
)
MOMENTS = ("any", "compile", "chunk", "checkpoint", "finish")
TIMEOUT_S = 900


class Kill(NamedTuple):
    """When a process was killed."""

    moment: str
    wait_s: float  # after the moment began
    rows: int  # that metrics.jsonl had
    temporary: bool  # whether a file or a checkpoint was half written


class Outcome(NamedTuple):
    """A run that was killed."""

    kills: list[Kill]
    differences: list[str]  # from the run that nobody killed


def run(out: Path, *flags: str) -> subprocess.Popen:
    """A training command of its own process."""
    line = [sys.executable, "-m", f"experiments.{BENCHMARK}", *FLAGS, f"--out={out}", *flags]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def finish(process: subprocess.Popen) -> None:
    """Wait for a process. Raises RuntimeError, with its last line, if it fails."""
    text, _ = process.communicate(timeout=TIMEOUT_S)
    if process.returncode:
        lines = text.decode(errors="replace").splitlines() or ["it printed nothing"]
        raise RuntimeError(f"exit status {process.returncode}: {lines[-1]}")


def attempt(whole: Path, out: Path, kills: int, draw: random.Random) -> Outcome:
    """Kill a run `kills` times, let it finish, and compare it with a whole one."""
    done: list[Kill] = []
    for _ in range(kills):
        moment, wait_s = draw.choice(MOMENTS), draw.uniform(0.0, 0.4)
        process = run(out, "--resume")
        try:
            _wait_for(moment, out, process, draw)
            time.sleep(wait_s)
            if process.poll() is not None:  # it was faster
                finish(process)
                break
            process.send_signal(signal.SIGKILL)
        finally:
            process.kill()
            process.communicate()
        done.append(Kill(moment, round(wait_s, 3), _rows(out), _is_half_written(out)))
    finish(run(out, "--resume"))
    return Outcome(done, differences(whole, out))


def _wait_for(moment: str, out: Path, process: subprocess.Popen, draw: random.Random) -> None:
    """Until the moment has come, or the process has ended."""
    rows = _rows(out)
    names = {"compile": ".lock", "checkpoint": "checkpoints/*tmp*", "finish": "summary.json"}
    began, longest_s = time.monotonic(), draw.uniform(2.0, 60.0)
    while process.poll() is None and time.monotonic() - began < TIMEOUT_S:
        if moment == "any" and time.monotonic() - began > longest_s:
            return
        if moment == "chunk" and _rows(out) > rows:
            return
        if moment == "finish" and _rows(out) >= 2 * EVALUATIONS:
            return
        if moment in names and moment != "finish" and any(out.glob(names[moment])):
            return
        time.sleep(0.002)


def _rows(out: Path) -> int:
    with contextlib.suppress(OSError):
        return (out / "metrics.jsonl").read_bytes().count(b"\n")
    return 0


def _is_half_written(out: Path) -> bool:
    return any(out.rglob("*tmp*")) or any(out.rglob(".*.tmp"))


def differences(whole: Path, out: Path) -> list[str]:
    """What differs between two finished runs, but for the clock. Read without JAX's devices."""
    found = []
    rows = [_without_clock(_read_rows(folder)) for folder in (whole, out)]
    if rows[0] != rows[1]:
        first = next(
            (k for k, pair in enumerate(zip(*rows, strict=False)) if pair[0] != pair[1]), "count"
        )
        found.append(f"metrics.jsonl, row {first}")
    summaries = [json.loads((folder / "summary.json").read_text()) for folder in (whole, out)]
    if _without_clock(summaries[:1]) != _without_clock(summaries[1:]):
        found.append("summary.json")
    checkpoints = [_checksums(folder) for folder in (whole, out)]
    names = sorted(set(checkpoints[0]) | set(checkpoints[1]))
    found += [name for name in names if checkpoints[0].get(name) != checkpoints[1].get(name)]
    files = [{x.name for x in folder.iterdir()} for folder in (whole, out)]
    if files[0] != files[1]:
        found.append(f"files {sorted(files[0] ^ files[1])}")
    return found


def _checksums(out: Path) -> dict[str, str]:
    """Of every array of the newest checkpoint, which is read to see that they hold."""
    from dream_jax.runs import checkpoint, provenance, resolve
    from dream_jax.scaling import seeds as scaling
    from dream_jax.training import setup

    config = provenance.load(out / "config.json")
    trainer = setup.make_trainer(config, resolve.checked_env(config))
    found = checkpoint.restore_newest(out / "checkpoints", scaling.state_shape(trainer, 2))
    if found.damaged or found.step != EVALUATIONS * PERIOD:
        return {"newest checkpoint": f"{found.step}, damaged {found.damaged}"}
    return checkpoint.checksums(found.state)


def _read_rows(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def _without_clock(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if not k.endswith("_s")} for row in rows]


def measure(argv: Sequence[str]) -> int:
    """Runs the campaign and prints its result. 1 if a run was not as if nobody had killed it."""
    line = command.command_line("faults", f"\n{__doc__}")
    line.count("kills", 50, "how many")
    line.count("kills_per_run", 3, "of one run, at most")
    line.count("seed", 0, "of the moments", least=0)
    values = line.read(argv)
    draw, began = random.Random(values.seed), time.time()
    outcomes: list[Outcome] = []
    failed: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder, "whole")
        finish(run(whole))
        left, number = values.kills, 0
        while left > 0:
            out, number = Path(folder, f"run{number}"), number + 1
            try:
                outcome = attempt(whole, out, min(values.kills_per_run, left), draw)
            except (RuntimeError, ValueError, OSError) as error:
                failed.append(f"run {number}: {error}")
                left -= 1
                continue
            outcomes.append(outcome)
            left -= len(outcome.kills)
            print(f"{values.kills - left} of {values.kills} kills", file=sys.stderr, flush=True)
            shutil.rmtree(out)
    kills = [kill for outcome in outcomes for kill in outcome.kills]
    failed += [
        f"{outcome.kills}: {len(outcome.differences)} differences, {outcome.differences[:5]}"
        for outcome in outcomes
        if outcome.differences
    ]
    result = {
        "kills": len(kills),
        "runs": len(outcomes),
        "bit_equal_runs": sum(not outcome.differences for outcome in outcomes),
        "moments": dict(Counter(kill.moment for kill in kills)),
        "half_written": sum(kill.temporary for kill in kills),
        "failed": failed,
        "seed": values.seed,
        "wall_s": round(time.time() - began, 1),
    }
    command.show(result, values.json)
    return 1 if failed else 0


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0, 1 if a run lost something, 2 for bad input."""
    return command.run(measure, sys.argv[1:] if argv is None else argv)


if __name__ == "__main__":
    sys.exit(main())
