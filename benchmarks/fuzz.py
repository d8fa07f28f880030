"""Bad input by the thousand: `python -m benchmarks.fuzz --cases=2000 [--seed=0] [--json]`.

Every case is a command line, a config file, a run's folder, a checkpoint, an agent's file or a
problem family that something is wrong with, made by hypothesis. Commands run in this process, and
stop where training would begin. A case fails if it ends with anything but a run whose numbers can
be meant, or one line on stderr and exit status 2. Nothing that is read may run code.
"""

import contextlib
import io
import json
import math
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np

from benchmarks import command as benchmark
from benchmarks.fuzz_cases import Case, strategy
from dream_jax.config import ConfigError, paths, to_dict
from dream_jax.runs import agent_file, checkpoint, resolve
from dream_jax.runs import command as runs
from experiments.cli import process

LONGEST_LINE = 2_000  # characters of a message


class Failed(NamedTuple):
    """A case that did not end as it should."""

    kind: str
    case: str
    problem: str


class Found(NamedTuple):
    """What became of all cases."""

    outcomes: Counter  # "accepted" or "refused", by kind
    failed: list[Failed]


def run(cases: int, seed: int = 0) -> Found:
    """Try `cases` cases. The same seed gives the same cases."""
    import hypothesis

    found = Found(Counter(), [])
    everything = (hypothesis.Phase.generate,)  # no shrinking: every failure is listed

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=cases,
        deadline=None,
        database=None,
        phases=everything,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(strategy())
    def attempt(case: Case) -> None:
        problem: str | None
        try:
            outcome, problem = attempt_one(case)
        except Exception:
            outcome, problem = "failed", traceback.format_exc(limit=-2)
        found.outcomes[f"{case.kind}, {outcome}"] += 1
        if problem is not None:
            found.failed.append(Failed(case.kind, repr(case), problem))

    attempt()
    return found


def attempt_one(case: Case) -> tuple[str, str | None]:
    """("accepted" or "refused", what is wrong with that)."""
    with tempfile.TemporaryDirectory() as folder:
        case.prepare(Path(folder))
        if case.kind == "checkpoint":
            return _checkpoint(case, Path(folder))
        if case.kind == "agent":
            return _library(lambda: agent_file.read(Path(folder) / "agent.npz"))
        if case.kind == "family":
            return _library(lambda: resolve.preset(case.benchmark, "dream", smoke=True))
        return _command(case, Path(folder))


def _command(case: Case, folder: Path) -> tuple[str, str | None]:
    """A training command, up to where it would train."""
    requests: list[Any] = []
    before = _names(folder)

    def instead(request: Any, started_s: float) -> int:
        requests.append(request)
        return 0

    out, err = io.StringIO(), io.StringIO()
    argv = [word.replace("{folder}", str(folder)) for word in case.words]
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        mock.patch.object(runs, "run", instead),
    ):
        try:
            status = process.main(case.benchmark, argv)
        except SystemExit as stop:
            status = stop.code if isinstance(stop.code, int) else 0
    if _names(folder) != before:
        return "accepted", "it wrote files"
    if status == 0:
        return "accepted", _nonsense(requests[0].config) if requests else None
    text = err.getvalue()
    if status != 2:
        return "refused", f"exit status {status}: {text}"
    return "refused", _not_one_line(text.removeprefix("error: "), text.startswith("error: "))


def _library(work: Any) -> tuple[str, str | None]:
    try:
        work()
    except ConfigError as error:
        return "refused", _not_one_line(f"{error}\n", True)
    return "accepted", None


def _checkpoint(case: Case, folder: Path) -> tuple[str, str | None]:
    """The newest checkpoint is damaged: what is restored was saved, or nothing is."""
    state = {"x": np.zeros(64), "n": np.zeros((), np.int32)}
    try:
        found = checkpoint.restore_newest(folder / "checkpoints", state)
    except ValueError as error:
        return "refused", _not_one_line(f"{error}\n", True)
    good = np.all(found.state["x"] == found.step) and found.state["n"] == found.step
    good = good and found.metadata == {"step_was": found.step}
    return "accepted", None if good else f"checkpoint {found.step} is not as it was saved"


def _not_one_line(text: str, begins_well: bool) -> str | None:
    well = begins_well and text.endswith("\n") and text.count("\n") == 1
    return None if well and 1 < len(text) < LONGEST_LINE else f"not one line: {text!r}"


def _nonsense(config: Any) -> str | None:
    """A number that nobody can mean, by limits of its own and not by those of the library."""
    for path, value in paths(to_dict(config)).items():
        for number in value if isinstance(value, tuple) else (value,):
            if isinstance(number, int | float) and not abs(number) < 2**31:
                return f"it would start with {path}={value!r}"
            if isinstance(number, float) and not (math.isfinite(number) and abs(number) <= 1e6):
                return f"it would start with {path}={value!r}"
    if config.optimizer.learning_rate > 100:
        return f"it would start with optimizer.learning_rate={config.optimizer.learning_rate}"
    return None


def _names(folder: Path) -> list[str]:
    return sorted(str(path) for path in folder.rglob("*"))


def main(argv: Sequence[str] | None = None) -> int:
    """0: every case ended well; 1: one did not; 2: bad flags."""
    given = sys.argv[1:] if argv is None else argv

    def work(given: Sequence[str]) -> int:
        line = benchmark.command_line("fuzz", f"\n{__doc__}")
        line.count("cases", 2_000, "how many")
        line.count("seed", 0, "of the cases", least=0)
        values = line.read(given)
        try:
            import hypothesis  # noqa: F401
        except ImportError as error:
            raise ConfigError("hypothesis is missing: pip install '.[test]'") from error
        process.set_up_jax()
        began = time.time()
        found = run(values.cases, values.seed)
        result = {
            "cases": sum(found.outcomes.values()),
            "seed": values.seed,
            "outcomes": dict(sorted(found.outcomes.items())),
            "failed": [failed._asdict() for failed in found.failed],
            "wall_s": round(time.time() - began, 1),
        }
        print(json.dumps(result) if values.json else _describe(result))
        return 1 if found.failed else 0

    return benchmark.run(work, given)


def _describe(result: dict[str, Any]) -> str:
    lines = [f"{result['cases']:,} cases in {result['wall_s']:.0f} s"]
    lines += [f"{count:6,}  {name}" for name, count in result["outcomes"].items()]
    lines += [f"{len(result['failed'])} failed"]
    lines += [f"{x['kind']}: {x['case']}\n  {x['problem']}" for x in result["failed"]]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
