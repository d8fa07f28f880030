"""Measures contenders, each in processes of its own, in turn and over several rounds."""

import platform
import statistics
from collections.abc import Callable
from importlib import metadata, util
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.worker import Worker, cores

MEASURES = ("collect", "update", "train")
# The authors' code cannot collect or update alone.
ORIGINAL_MEASURES = ("train",)

Result = dict[str, Any]
Rates = dict[str, list[dict[str, float]]]  # by measure: rates by unit, one entry per round


class Arguments(NamedTuple):
    """The command line of `benchmarks.throughput`, checked."""

    benchmark: str
    presets: tuple[str, ...]
    seeds: tuple[int, ...]
    rounds: int
    seconds: float
    original: Path | None
    json: bool
    quick: bool


class Contender(NamedTuple):
    """One row of the comparison. Its processes run at once and their rates add up."""

    name: str
    workers: list[Worker]
    measures: tuple[str, ...]
    finds_peak: bool = True  # also times large matrix products on all cores

    def ask(self, what: str, /, **arguments: Any) -> list[Result]:
        """Calls a handler in all its processes at once. Raises WorkerError if one fails."""
        for worker in self.workers:
            worker.send(what, **arguments)
        return [worker.receive(what) for worker in self.workers]


def run(arguments: Arguments, log: Callable[[str], None]) -> Result:
    """Measures every preset in turn, interleaving its contenders. Raises WorkerError."""
    return {
        "benchmark": arguments.benchmark,
        "quick": arguments.quick,
        "rounds": arguments.rounds,
        "seconds_per_measurement": arguments.seconds,
        "machine": _machine(),
        "presets": {name: _run_preset(arguments, name, log) for name in arguments.presets},
    }


def _run_preset(arguments: Arguments, preset: str, log: Callable[[str], None]) -> Result:
    contenders, unavailable = _start(arguments, preset)
    try:
        rows: dict[str, Result] = {}
        for contender in contenders:
            log(f"{preset}: {contender.name}: starting")
            rows[contender.name] = _merged(contender.ask("prepare"))
        log(f"{preset}: asking the compiler")
        flops = _asked(arguments, preset, arguments.seeds[0], "flops")
        memory = {_jax_name(n): _asked(arguments, preset, n, "memory") for n in arguments.seeds}
        rates, peaks = _measure(arguments, contenders, lambda line: log(f"{preset}: {line}"))
        best = max(statistics.median(x) for x in peaks.values())
        for contender in contenders:
            row, measured = rows[contender.name], rates[contender.name]
            row |= _merged(contender.ask("finish"))
            if contender.name in memory:
                row["compiler"] = memory[contender.name]
            row |= {m: _row_part(m, rounds) for m, rounds in measured.items()}
            if "update" in measured:
                achieved = row["update"]["updates_per_s"]["median"] * flops["flops"]
                row["update"] |= {"flops_per_s": achieved, "share_of_peak": achieved / best}
        return {
            "flops_per_update": flops["flops"],
            "flops_per_update_before_optimisation": flops["flops_before_optimisation"],
            "matmul_flops_per_s": {name: _spread(x) for name, x in peaks.items()},
            "contenders": rows,
            "ratios": _ratios(rates, [c.name for c in contenders]),
            "not_available": unavailable,
        }
    finally:
        for contender in contenders:
            for worker in contender.workers:
                worker.close()


def _measure(
    arguments: Arguments, contenders: list[Contender], log: Callable[[str], None]
) -> tuple[dict[str, Rates], dict[str, list[float]]]:
    """(rates by contender, measure and round; flops per second of matrix products by contender and
    round)."""
    rates: dict[str, Rates] = {c.name: {m: [] for m in c.measures} for c in contenders}
    peaks: dict[str, list[float]] = {}
    for round_ in range(arguments.rounds):
        log(f"round {round_ + 1} of {arguments.rounds}")
        for contender in contenders:
            if contender.finds_peak:
                (peak,) = contender.ask("matmul")
                peaks.setdefault(contender.name, []).append(peak["flops_per_s"])
        for measure in MEASURES:
            for contender in contenders:
                if measure in contender.measures:
                    parts = contender.ask("measure", what=measure, seconds=arguments.seconds)
                    summed = {name: sum(p[name] for p in parts) for name in parts[0]}
                    rates[contender.name][measure].append(summed)
    return rates, peaks


def _row_part(measure: str, rounds: list[dict[str, float]]) -> Result:
    units = {"update": ("updates",), "collect": ("env_steps", "trials")}.get(measure, rounds[0])
    return {f"{unit}_per_s": _spread([r[unit] for r in rounds]) for unit in units}


def _jax_name(seeds: int) -> str:
    return f"dream_jax, {seeds} seed{'s' * (seeds > 1)}"


def _jax_worker(arguments: Arguments, preset: str, seeds: int) -> Worker:
    """A process for dream_jax. Without a compilation cache, so that compile times mean something;
    the quick size compiles fast instead, with few optimisations."""
    cold = {"JAX_ENABLE_COMPILATION_CACHE": "false"}
    fast = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    options = {"benchmark": arguments.benchmark, "preset": preset, "quick": arguments.quick}
    environment = fast if arguments.quick else cold
    return Worker("benchmarks.jax_worker", options | {"seeds": seeds}, environment)


def _asked(arguments: Arguments, preset: str, seeds: int, what: str) -> Result:
    """Asks the compiler, in a process of its own, because compiling takes extra memory."""
    worker = _jax_worker(arguments, preset, seeds)
    try:
        worker.send(what)
        return worker.receive(what)
    finally:
        worker.close()


def _start(arguments: Arguments, preset: str) -> tuple[list[Contender], dict[str, str]]:
    """(the available contenders, the reason why by name of each other one)."""
    common = {"benchmark": arguments.benchmark, "preset": preset, "quick": arguments.quick}
    contenders = [
        Contender(_jax_name(n), [_jax_worker(arguments, preset, n)], MEASURES)
        for n in arguments.seeds
    ]
    unavailable = {}
    if util.find_spec("torch") is None:
        missing = "PyTorch is not installed: pip install -e '.[torch]'"
        return contenders, {"PyTorch baseline": missing, "authors' code": missing}

    def baseline(**more: int) -> Worker:
        return Worker("benchmarks.torch_worker", common | more, {})

    contenders.append(Contender("PyTorch baseline", [baseline()], MEASURES))
    if cores() > 1:  # as a PyTorch user trains several seeds
        name = f"PyTorch baseline, {cores()} processes"
        workers = [baseline(threads=1) for _ in range(cores())]
        contenders.append(Contender(name, workers, MEASURES, False))
    if preset != "dream_paper":
        unavailable["authors' code"] = "only has the networks and update ratio of dream_paper"
    elif arguments.original is None:
        unavailable["authors' code"] = "give a checkout of it with --original=PATH"
    else:
        options = {"path": str(arguments.original), "benchmark": arguments.benchmark}
        worker = Worker("benchmarks.original_worker", options, {})
        contenders.append(Contender("authors' code", [worker], ORIGINAL_MEASURES, False))
    return contenders, unavailable


def _merged(parts: list[Result]) -> Result:
    """One result from those of a contender's processes: sums memory, else takes the first's."""
    total = {n: sum(p[n] for p in parts) for n in parts[0] if n.endswith("_bytes")}
    return parts[0] | total


def _ratios(rates: dict[str, Rates], names: list[str]) -> Result:
    """{measure: {"a / b": spread}} of every dream_jax row over every other row, by round."""
    ratios: Result = {}
    for measure in MEASURES:
        unit = "updates" if measure == "update" else "env_steps"
        for a in (n for n in names if n.startswith("dream_jax")):
            for b in (n for n in names if not n.startswith("dream_jax")):
                if measure in rates[b]:
                    pairs = zip(rates[a][measure], rates[b][measure], strict=True)
                    ratio = _spread([x[unit] / y[unit] for x, y in pairs])
                    ratios.setdefault(measure, {})[f"{a} / {b}"] = ratio
    return ratios


def _spread(values: list[float]) -> Result:
    return {
        "median": statistics.median(values),
        "min": min(values),
        "max": max(values),
        "rounds": values,
    }


def _machine() -> Result:
    def version(package: str) -> str | None:
        try:
            return metadata.version(package)
        except metadata.PackageNotFoundError:
            return None

    model = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo") as file:
            names = [
                line.split(":", 1)[1].strip() for line in file if line.startswith("model name")
            ]
        model = names[0] if names else model
    except OSError:
        pass
    versions = {package: version(package) for package in ("jax", "jaxlib", "flax", "torch")}
    return {"cpu": model, "cores": cores(), "python": platform.python_version(), **versions}
