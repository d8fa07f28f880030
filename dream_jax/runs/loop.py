"""A training run: chunks of training, each followed by an evaluation, and a summary at the end."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from dream_jax.config import Config, ConfigError
from dream_jax.envs import splits
from dream_jax.runs import rows as run_rows
from dream_jax.runs import summary as summaries
from dream_jax.runs.agent_programs import AgentPrograms
from dream_jax.runs.clock import Clock, Pace
from dream_jax.runs.device_training import Chunk, DeviceTraining
from dream_jax.runs.files import NotWritten
from dream_jax.runs.load import Initial, initial_params
from dream_jax.runs.rows import NotFinite, Row
from dream_jax.runs.run_page import RunPage
from dream_jax.runs.run_view import RunView
from dream_jax.runs.signals import StopSignal
from dream_jax.runs.storage import InMemory, Storage
from dream_jax.types import TrainState


class Evaluation(NamedTuple):
    """What `on_evaluation` is called with."""

    run: "Run"
    rows: list[Row]  # of this evaluation, one per seed, with the columns of metrics.jsonl
    trials: int  # of each seed so far
    line: str  # the line of progress


OnEvaluation = Callable[[Evaluation], Any]


class Run(RunView):
    """A training run of one or more seeds. `train` trains it and, after a stop, goes on."""

    def __init__(
        self,
        config: Config,
        seeds: Sequence[int],
        storage: Storage | None = None,
        started_s: float | None = None,
        signals: Callable[[], StopSignal] = StopSignal.of_library,
        log: Callable[[str], None] = print,
    ):
        """
        Args:
          config: a valid one.
          seeds: at least one.
          storage: what keeps the results; by default nothing does.
          started_s: Unix time that `wall_s` counts from; by default now.
          signals: makes the context that notes a request to stop.
          log: is called with each line of progress.

        Raises:
          ConfigError: the run does not fit this machine, or cannot use its folder.
        """
        self.config, self.seeds = config, tuple(seeds)
        self._signals, self._log = signals, log
        self._storage = storage or InMemory()
        started_s = time.time() if started_s is None else started_s
        self._training = DeviceTraining(config, self.seeds, log)
        self._agent_programs = AgentPrograms(self._training.agent)
        resumed = self._storage.read(self._training.trainer, log)
        self._page = RunPage(self._agent_programs, self.out, log) if self.out else None
        self._first_state: TrainState | None = resumed.state  # until it is on the devices
        self._initial = None if resumed.state is not None else self._read_initial()
        self._progress = resumed.progress
        self._clock = Clock(started_s, resumed.progress.wall_s)
        self._busy, self._failed = threading.Lock(), False
        self._thread: int | None = None  # the one that trains
        self._save_is_due = False
        self._compiled, self._in_chunk = False, False
        self.rows, self.failed = list(resumed.rows), dict(resumed.failed)
        self.summary = resumed.summary
        if self.finished and resumed.state is not None:
            self._training.show(resumed.state)
            self._first_state = None
            self._storage.repair()
            self._storage.release()

    @property
    def out(self) -> Path | None:
        """The folder of the run, or None."""
        return self._storage.out

    def train(
        self, on_evaluation: OnEvaluation | None = None, until_trials: int | None = None
    ) -> "Run":
        """Train until the run has finished or is stopped. Call it again to go on after a stop.

        A run stops after the current chunk when `on_evaluation` returns False or, in the main
        thread, at Ctrl-C or a notebook's Stop button.

        Args:
          on_evaluation: is called after each evaluation with an `Evaluation`.
          until_trials: stop there, with a checkpoint; by default at the end.

        Returns:
          The run itself. A seed in which a loss is NaN or infinite is in `failed`.

        Raises:
          ConfigError: the run has finished, failed, or is training already.
          NotFinite: no seed is left, because all losses are NaN or infinite.
          NotWritten: a file cannot be written, for example because the disk is full.
        """
        if on_evaluation is not None and not callable(on_evaluation):
            raise ConfigError(f"on_evaluation={on_evaluation!r} is no function of an Evaluation")
        if not self._busy.acquire(blocking=False):
            raise ConfigError("this run is training already; return False from on_evaluation first")
        try:
            self._check_can_train()
            self._thread = threading.get_ident()
            self._clock.go_on()
            with self._signals() as stop:
                self._train(stop, on_evaluation, until_trials)
        except OSError as error:
            kept = self._storage.describe_checkpoint()
            raise NotWritten(f"{error.strerror or error}; {kept}; --resume goes on") from error
        finally:
            self._clock.stop()
            self._storage.release()
            self._thread = None
            self._busy.release()
        return self

    def save(self) -> None:
        """Write a checkpoint now; from another thread than the one that trains, after the chunk.

        Raises ConfigError if the run has no folder, has not trained yet, or failed.
        """
        if self.out is None:
            raise ConfigError(
                "this run has no folder; train it with out=DIR, or use run.agent().save(FILE)"
            )
        self._check_state()
        if not self._compiled:
            raise ConfigError("there is nothing to save yet; train the run first")
        if self._thread not in (None, threading.get_ident()):  # it is training in that thread
            self._save_is_due = True  # after the chunk at hand
        elif self._thread is not None:
            self._save()
        else:
            with self._storage.writer(self.rows):
                self._save()
            self._storage.release()

    # One call of `train`

    def _train(
        self, stop: StopSignal, on_evaluation: OnEvaluation | None, until_trials: int | None
    ) -> None:
        total, stopped_by = self.config.training.trials, None
        goal = total if until_trials is None else min(until_trials, total)
        try:
            self.compile()
            pace = Pace(time.time(), self.trials, self._env_steps())
            with self._storage.writer(self.rows) as write:
                while self.trials < goal and stopped_by is None:
                    rows = self._chunk(write)
                    line = self._line(rows, pace)
                    self._log(line)
                    if self._checkpoint_is_due():
                        self._save()
                    if self._page:
                        self._page.evaluated(self)
                    event = Evaluation(self, rows, self.trials, line)
                    go_on = on_evaluation is None or on_evaluation(event) is not False
                    stopped_by = stop.requested or (None if go_on else "on_evaluation")
                self._save()
        except BaseException as error:
            self._give_up(error)
            raise
        self._storage.draw(self.rows, self.bounds, self._title)
        if self.trials < total or stop.requested:
            if self._page:
                self._page.stopped(self)
            if until_trials is None or self.trials < goal:
                goes_on = f"--resume goes on from {self.out}" if self.out else "run.train() goes on"
                self._log(f"stopped by {stopped_by}; {goes_on}")
        elif until_trials is None:
            self._finish()

    def compile(self) -> None:
        """Compile everything, and draw the first parameters. `train` does it first if need be."""
        if self._compiled:
            return
        state, self._first_state = self._first_state, None  # not to hold the replays twice
        initial, self._initial = self._initial, None
        self._training.compile(state, self._log, initial)
        compile_s = self._progress.compile_s + self._training.programs.compile_s
        self._progress = self._progress._replace(compile_s=compile_s)
        self._compiled = True

    def _chunk(self, write: Callable[[Row], None]) -> list[Row]:
        """Train for one chunk and evaluate: the new rows."""
        self._in_chunk = True
        chunk: Chunk = self._training.chunk(self._live)
        self._note_failures(chunk.failed)
        progress = self._progress
        rows = run_rows.make_rows(
            self.seeds,
            chunk.counts,
            chunk.metrics,
            chunk.results,
            self._clock.seconds(),
            progress.compile_s,
            self._live,
        )
        for row in rows:
            write(row)
        self.rows.extend(rows)
        self._progress = progress._replace(
            rows=len(self.rows),
            trials=progress.trials + self.config.training.evaluation_period_trials,
            evaluations=progress.evaluations + 1,
        )
        self._in_chunk = False
        return rows

    def _note_failures(self, found: Mapping[int, str]) -> None:
        """Seeds that failed train no more. Raises NotFinite if that leaves none."""
        span = self.trials, self.trials + self.config.training.evaluation_period_trials
        new = run_rows.failures(found, self.seeds, span, self._storage.last_step)
        self.failed |= new
        if not any(self._live):
            first = next(iter(self.failed.values()))
            kept = self._storage.describe_checkpoint()
            raise NotFinite(f"{first.reason}; training stopped, {kept}")
        for failure in new.values():
            self._log(f"{failure.reason}; the other seeds go on")

    def _finish(self) -> None:
        """The final evaluation, the videos and, last of all, the summary."""
        results, counts = self._training.final_evaluation(self._live)
        summary = run_rows.final_summary(
            self.config,
            self.seeds,
            results,
            self.bounds,
            self.rows,
            counts,
            self._progress.compile_s,
            self._clock.seconds(),
            self.failed,
            splits.held_out(self._training.agent.env),
        )
        if self._page:
            self._page.finished(self, summary)
        self._storage.summarise(summary)
        self._log(summaries.describe(summary))
        if self.out is not None:
            written = "summary.json, metrics.jsonl, curves.png, report.html, videos/"
            self._log(f"written to {self.out}: {written}")
        self.summary = summary

    def _give_up(self, error: BaseException) -> None:
        """After a failure: may the run go on, and is there anything in its folder worth keeping?"""
        self._failed = not self._compiled or self._in_chunk or not self.rows
        if not self.rows:
            self._storage.discard()  # it would be in the way of the next start

    # Small parts

    @property
    def _live(self) -> list[bool]:
        """For each seed, whether it trains."""
        return [seed not in self.failed for seed in self.seeds]

    def _read_initial(self) -> Initial | None:
        """What the run starts with, if not with what its seeds draw."""
        source = self._storage.init_from
        return None if source is None else initial_params(source, self._training.agent, self.seeds)

    def _check_can_train(self) -> None:
        if self.finished:
            raise ConfigError(
                f"this run has finished training.trials={self.config.training.trials}, where its "
                "schedules end; start one with more in overrides"
            )
        self._check_state()

    def _check_state(self) -> None:
        if self._failed:
            raise ConfigError("this run failed, or was ended in the middle of a chunk; start anew")

    def _checkpoint_is_due(self) -> bool:
        asked, self._save_is_due = self._save_is_due, False
        period = self.config.training.evaluations_per_checkpoint
        return asked or period == 1 or self._progress.evaluations % period == 1

    def _save(self) -> None:
        if self.out is not None:
            progress = self._progress._replace(wall_s=self._clock.seconds())
            self._storage.save(self._training.state(), progress, self.rows, self.failed)
