"""Trains listed runs, several at once, each on cores of its own. Says what comes and how far it is.

`experiments.results` and `experiments.reproduce` share it, and so they share runs: the folder of a
run depends on the study and its name alone.
"""

import functools
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from dream_jax.runs import provenance
from dream_jax.runs.folder import saved_run
from dream_jax.runs.metrics import duration
from experiments import bandit
from experiments.cli import flags as cli
from experiments.cli import parallel_commands, process
from experiments.figures import estimates
from experiments.figures.listed_runs import BANDIT, Listed
from experiments.figures.records import Records

REPORT_S = 60.0  # between two lines about what is running


class Landed(NamedTuple):
    """A run that has finished, now or before."""

    run: Listed
    folder: Path


def folder(run: Listed, out: Path) -> Path:
    """The folder of a run."""
    return out / run.path


def finished(run: Listed, out: Path, smoke: bool = False) -> bool:
    """Whether a run has finished. Raises ConfigError if its folder holds another run.

    A run with fewer trials than the list has today has not finished: it can be resumed.
    """
    benchmark = run.setting.benchmark
    parse = bandit.parse if benchmark == BANDIT else functools.partial(cli.parse, benchmark)
    request = parse(command(run, out, smoke)[3:])
    if not (folder(run, out) / "summary.json").exists():
        return False
    saved = provenance.config_of(saved_run(folder(run, out)), type(request.config))
    return bool(saved == request.config)


def command(run: Listed, out: Path, smoke: bool = False) -> list[str]:
    """The command line of a run. `smoke`: at a tiny size, with the flags that this leaves."""
    line = run.command(out)
    if smoke:
        line = [part for part in line if not part.startswith("--config.")]
    return [*line, *(["--smoke"] if smoke else [])]


def default_workers() -> int:
    """One run per core, or a single one with an accelerator, whose memory one run fills."""
    # A process of its own asks: this one must leave the accelerator to the runs.
    code = "import jax; print(jax.default_backend())"
    asked = [sys.executable, "-c", code]
    # In a session of its own, so that Ctrl-C ends this process alone, at once.
    backend = subprocess.run(asked, capture_output=True, text=True, start_new_session=True)
    return len(process.cores()) if backend.stdout.strip() == "cpu" else 1


def train(
    runs: Sequence[Listed], out: Path, workers: int | None, known: Records, smoke: bool = False
) -> Iterator[Landed]:
    """Trains the runs that have not finished, the longest first. Yields each as it is there.

    Args:
      runs: which.
      out: their folders are OUT/STUDY/NAME, their logs OUT/STUDY/NAME.log.
      workers: runs at once; None: see `default_workers`.
      known: records, for estimates.
      smoke: at a tiny size.

    Raises:
      ConfigError: a folder holds another run, for example one with older settings. Nothing has been
        trained then.
      KeyboardInterrupt: after Ctrl-C or SIGTERM; the runs at hand have saved a checkpoint.
    """
    done = [run for run in runs if finished(run, out, smoke)]
    left = [run for run in runs if run not in done]
    expected = {run: 10.0 if smoke else estimates.seconds(run, known) for run in left}
    left.sort(key=lambda run: -expected[run])
    workers = min(workers or default_workers(), max(1, len(left))) if left else 1
    word = "run" if len(runs) == 1 else "runs"
    print(f"{len(runs)} {word}: {len(done)} finished, {len(left)} to train", flush=True)
    for run in done:
        yield Landed(run, folder(run, out))
    if not left:
        return
    _announce(left, expected, workers)
    print(
        f"folders and logs: {out}/STUDY/NAME and NAME.log; Ctrl-C stops, the same command goes on",
        flush=True,
    )
    by_log = {_log(run, out): run for run in left}
    commands = [parallel_commands.Command(command(run, out, smoke), _log(run, out)) for run in left]
    watch = _Watch(by_log, expected, workers)
    for ended in parallel_commands.run(commands, workers, watch.look):
        run = by_log[ended.command.log]
        watch.ended(run, ended.wall_s)
        if ended.status == 0 and finished(run, out, smoke):
            print(
                f"{watch.count}  {run.path}: done in {duration(ended.wall_s)}; {watch.left}",
                flush=True,
            )
            yield Landed(run, folder(run, out))
        else:
            reason = f"exit status {ended.status}: {ended.last_line}; see {ended.command.log}"
            print(f"error: {run.path}: {reason}", file=sys.stderr, flush=True)


def _announce(left: Sequence[Listed], expected: dict[Listed, float], workers: int) -> None:
    """What will run, one line per setting, and how long it takes."""
    for setting in dict.fromkeys(run.setting for run in left):
        mine = [run for run in left if run.setting == setting]
        each = duration(expected[mine[0]])
        times = f"{len(mine)} runs, about {each} each" if len(mine) > 1 else f"about {each}"
        print(f"  {setting.study}/{setting.name}: {times}", flush=True)
    total = duration(sum(expected.values()) / workers)
    print(f"about {total} in all, {workers} at once", flush=True)


def _log(run: Listed, out: Path) -> Path:
    """The file with the output of a run."""
    return out / f"{run.path}.log"


class _Watch:
    """Counts runs, and estimates the time that is left from those that have ended."""

    def __init__(
        self,
        by_log: dict[Path, Listed],
        expected: dict[Listed, float],
        workers: int,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._by_log, self._expected, self._workers, self._clock = by_log, expected, workers, clock
        self._ended: dict[Listed, float] = {}
        self._last_report_s = self._began_s = clock()

    def ended(self, run: Listed, wall_s: float) -> None:
        """A run has ended after so many seconds."""
        self._ended[run] = wall_s

    @property
    def count(self) -> str:
        """How many runs have ended."""
        return f"[{len(self._ended)} of {len(self._expected)}]"

    @property
    def left(self) -> str:
        """The time that is left, with the speed of the runs that have ended."""
        guessed = sum(self._expected[run] for run in self._ended)
        speed = sum(self._ended.values()) / guessed if guessed else 1.0
        work = sum(x for run, x in self._expected.items() if run not in self._ended)
        return f"about {duration(speed * work / self._workers)} left" if work else "all have ended"

    def look(self, logs: Sequence[Path]) -> None:
        """Print a line about the runs at hand, once a while."""
        now = self._clock()
        if now - self._last_report_s < REPORT_S or not logs:
            return
        self._last_report_s = now
        parts = [f"{self._by_log[log].path}: {_last_line(log)}" for log in logs]
        print(f"{self.count}  {'; '.join(parts)}", flush=True)


def _last_line(log: Path) -> str:
    """Of a log, as far as it is written."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return "starting"
    return next((line for line in reversed(lines) if line.strip()), "starting")
