"""Throughput of this library, the PyTorch baseline and the authors' code, side by side.

python -m benchmarks.throughput [--json] [--original=PATH] [--benchmark=cooking] [--quick]

Each contender runs in a process of its own. Measurements alternate between them over several
rounds. Ratios are taken within a round, so that a busy moment of the machine affects both sides.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import command
from benchmarks.comparison import Arguments, Result, run
from benchmarks.settings import BENCHMARKS, PRESETS
from benchmarks.worker import WorkerError
from dream_jax.config import ConfigError, nearest

ORIGINAL_FILES = ("main.py", "dqn.py", "configs/default.json")
HEAD = ("", "collect steps/s", "updates/s", "of peak", "train steps/s", "peak MB", "compile s")


def parse(argv: Sequence[str]) -> Arguments:
    """The command line, checked. Raises ConfigError."""
    line = command.command_line("throughput", "Throughput side by side.")
    line.text("benchmark", "cooking", " or ".join(BENCHMARKS))
    line.text("presets", ",".join(PRESETS), "comma-separated")
    line.counts("seeds", "1,8", "numbers of seeds of dream_jax, comma-separated")
    line.count("rounds", None, "measurements of each (default: 5)")
    line.number("seconds", None, "that each measurement takes (default: 4)")
    line.text("original", None, "a checkout of the authors' code")
    line.switch("quick", "tiny sizes; the rates mean nothing")
    values = line.read(argv)

    presets = tuple(values.presets.split(","))
    _choose("benchmark", [values.benchmark], BENCHMARKS)
    _choose("preset", presets, PRESETS)
    if len(set(presets)) < len(presets):
        raise ConfigError(f"--presets={values.presets}: give each once")
    rounds = values.rounds or (1 if values.quick else 5)
    seconds = values.seconds if values.seconds is not None else (0.1 if values.quick else 4.0)
    if not 0 < seconds < 600:
        raise ConfigError(f"--seconds={seconds:g} must be above 0 and below 600")
    original = None
    if values.original is not None:
        original = Path(values.original).resolve()
        missing = [name for name in ORIGINAL_FILES if not (original / name).is_file()]
        if missing:
            raise ConfigError(
                f"--original={values.original} is not a checkout of the authors' code: it has no "
                f"{missing[0]}"
            )
    return Arguments(
        values.benchmark,
        presets,
        values.seeds,
        rounds,
        seconds,
        original,
        values.json,
        values.quick,
    )


def table(result: Result) -> str:
    """The result as text."""
    lines = []
    for preset, part in result["presets"].items():
        flops = part["flops_per_update"]
        lines.append(f"{result['benchmark']}, {preset} ({flops:,.0f} FLOP per update)")
        rows = [HEAD, *(_row(name, row) for name, row in part["contenders"].items())]
        widths = [max(len(r[k]) for r in rows) for k in range(len(HEAD))]
        for r in rows:
            lines.append("  " + "  ".join(x.rjust(w) for x, w in zip(r, widths, strict=True)))
        for measure, ratios in part["ratios"].items():
            for pair, x in ratios.items():
                spread = f"{x['median']:.2f} ({x['min']:.2f} to {x['max']:.2f})"
                lines.append(f"  {measure}: {pair}: {spread}")
        lines += [f"  {name}: not available: {why}" for name, why in part["not_available"].items()]
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0, or 1 if a contender failed, or 2 for bad input."""
    return command.run(measure, sys.argv[1:] if argv is None else argv)


def measure(argv: Sequence[str]) -> int:
    """Measures and prints. Returns the exit status."""
    arguments = parse(argv)
    try:
        result = run(arguments, lambda line: print(line, file=sys.stderr, flush=True))
    except WorkerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(json.dumps(result, indent=1) if arguments.json else table(result))
    return 0


def _choose(what: str, words: Sequence[str], valid: Sequence[str]) -> None:
    for word in words:
        if word not in valid:
            raise ConfigError(f"unknown {what} {word!r}; {nearest(word, list(valid))}")


def _row(name: str, row: Result) -> tuple[str, ...]:
    def rate(measure: str, unit: str) -> str:
        return f"{row[measure][unit]['median']:,.0f}" if measure in row else "-"

    return (
        name,
        rate("collect", "env_steps_per_s"),
        rate("update", "updates_per_s"),
        f"{row['update']['share_of_peak']:.1%}" if "update" in row else "-",
        rate("train", "env_steps_per_s"),
        f"{row['peak_memory_bytes'] / 2**20:,.0f}",
        f"{sum(row['compile_s'].values()):.1f}" if row["compile_s"] else "-",
    )


if __name__ == "__main__":
    sys.exit(main())
