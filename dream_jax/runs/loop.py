"""A training run: chunks of training, each followed by an evaluation, and a summary at the end."""

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import jax

from dream_jax.config import Config, ConfigError
from dream_jax.oracles.bounds import Bounds
from dream_jax.runs import milestones
from dream_jax.runs import rows as run_rows
from dream_jax.runs import summary as summaries
from dream_jax.runs.agent_programs import AgentPrograms
from dream_jax.runs.clock import Clock, Pace
from dream_jax.runs.device_training import Chunk, DeviceTraining, NotFinite
from dream_jax.runs.metrics import progress_line
from dream_jax.runs.rows import Row
from dream_jax.runs.run_page import RunPage
from dream_jax.runs.signals import StopSignal
from dream_jax.runs.storage import InMemory, Storage, lines_of
from dream_jax.runs.trained_agent import TrainedAgent
from dream_jax.training import setup
from dream_jax.types import TrainState
from dream_jax.viz import page, plots


class Evaluation(NamedTuple):
    """What `on_evaluation` is called with."""

    run: "Run"
    rows: list[Row]  # of this evaluation, one per seed, with the columns of metrics.jsonl
    trials: int  # of each seed so far
    line: str  # the line of progress


OnEvaluation = Callable[[Evaluation], Any]


class Run:
    """A training run of one or more seeds. `train` trains it and, after a stop, goes on.

    Attributes:
      config: all settings.
      seeds: in the order of the rows of each evaluation.
      rows: one dict per evaluation and seed, with the columns of metrics.jsonl.
      summary: the contents of summary.json; None until the run has finished.
    """

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
        resumed = self._storage.read(self._training.trainer, len(self.seeds), log)
        self._storage.prepare(config, self.seeds)
        self._page = RunPage(self._agent_programs, self.out, log) if self.out else None
        self._first_state: TrainState | None = resumed.state  # until it is on the devices
        self._progress = resumed.progress
        self._clock = Clock(started_s, resumed.progress.wall_s)
        self._busy, self._failed = threading.Lock(), False
        self._thread: int | None = None  # the one that trains
        self._save_is_due = False
        self._compiled, self._in_chunk = False, False
        self.rows: list[Row] = list(resumed.rows)
        self.summary: dict[str, Any] | None = None

    @property
    def finished(self) -> bool:
        """Whether all trials of the config are done, and the final evaluation too."""
        return self.summary is not None

    @property
    def trials(self) -> int:
        """Trials that each seed has trained on."""
        return self._progress.trials

    @property
    def bounds(self) -> dict[str, Bounds]:
        """The oracles' returns by split, once the run has been compiled."""
        return self._training.programs.bounds

    @property
    def out(self) -> Path | None:
        """The folder of the run, or None."""
        return self._storage.out

    def train(self, on_evaluation: OnEvaluation | None = None) -> "Run":
        """Train until the run has finished or is stopped. Call it again to go on after a stop.

        A run stops after the current chunk when `on_evaluation` returns False or, in the main
        thread, at Ctrl-C or a notebook's Stop button.

        Args:
          on_evaluation: is called after each evaluation with an `Evaluation`.

        Returns:
          The run itself.

        Raises:
          ConfigError: the run has finished, failed, or is training already.
          NotFinite: a loss is NaN or infinite.
        """
        if not self._busy.acquire(blocking=False):
            raise ConfigError("this run is training already; return False from on_evaluation first")
        try:
            self._check_can_train()
            self._thread = threading.get_ident()
            self._clock.go_on()
            with self._signals() as stop:
                self._train(stop, on_evaluation)
        finally:
            self._clock.stop()
            self._thread = None
            self._busy.release()
        return self

    def agent(self, seed: int | None = None) -> TrainedAgent:
        """The agent as it was at the newest evaluation.

        Args:
          seed: one of `seeds`; the first by default.
        """
        params = self._training.params
        seed = self.seeds[0] if seed is None else seed
        if seed not in self.seeds:
            raise ConfigError(f"seed={seed}: the run has the seeds {self._listed}")
        if params is None:
            raise ConfigError("the run has not been evaluated yet; train it first")
        i = self.seeds.index(seed)
        mine = jax.tree.map(lambda x: x[i], params)
        return TrainedAgent(self._agent_programs, mine, seed, self.trials)

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
        else:
            self._save()

    def __repr__(self) -> str:
        total = self.config.training.trials
        state = "finished" if self.finished else f"at {self.trials:,} of {total:,} trials"
        return f"Run({self._title}, seeds {self._listed}, {state})"

    def _repr_html_(self) -> str:
        """For notebooks: the learning curves."""
        if not self.rows or not self._compiled:
            return page.caption(repr(self))
        return page.picture(page.written(self._draw), "image/png", repr(self))

    # One call of `train`

    def _train(self, stop: StopSignal, on_evaluation: OnEvaluation | None) -> None:
        total, stopped_by = self.config.training.trials, None
        try:
            self._compile()
            pace = Pace(time.time(), self.trials, self._env_steps())
            with self._storage.writer(len(self.rows)) as write:
                while self.trials < total and stopped_by is None:
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
        self._storage.draw(self.rows, self._training.programs.bounds, self._title)
        if self.trials < total:
            if self._page:
                self._page.stopped(self)
            goes_on = f"--resume goes on from {self.out}" if self.out else "run.train() goes on"
            self._log(f"stopped by {stopped_by}; {goes_on}")
        else:
            self._finish()

    def _compile(self) -> None:
        if self._compiled:
            return
        state, self._first_state = self._first_state, None  # not to hold the replays twice
        self._training.compile(state, self._log)
        compile_s = self._progress.compile_s + self._training.programs.compile_s
        self._progress = self._progress._replace(compile_s=compile_s)
        self._compiled = True

    def _chunk(self, write: Callable[[Row], None]) -> list[Row]:
        """Train for one chunk and evaluate: the new rows."""
        self._in_chunk = True
        try:
            chunk: Chunk = self._training.chunk()
        except NotFinite as error:
            kept = self._storage.describe_checkpoint()
            raise NotFinite(f"{error}; training stopped, {kept}") from error
        progress = self._progress
        rows = run_rows.make_rows(
            self.seeds,
            chunk.counts,
            chunk.metrics,
            chunk.results,
            self._clock.seconds(),
            progress.compile_s,
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

    def _finish(self) -> None:
        """The final evaluation, the summary and the videos."""
        results, counts = self._training.final_evaluation()
        bounds = self._training.programs.bounds
        summary = run_rows.make_summary(
            self.config,
            self.seeds,
            {split: results[split].trial_return.mean(axis=1).tolist() for split in results},
            bounds,
            milestones.reached_95(self.rows, self.seeds, bounds)
            | {"return_at_env_steps": milestones.return_at_env_steps(self.rows, self.seeds)},
            {name: int(values.mean()) for name, values in counts.items()},
            self._progress.compile_s,
            self._clock.seconds(),
        )
        self._storage.summarise(summary)
        self.summary = summary
        if self._page:
            self._page.finished(self)
        self._log(summaries.describe(summary))
        if self.out is not None:
            written = "summary.json, metrics.jsonl, curves.png, report.html, videos/"
            self._log(f"written to {self.out}: {written}")

    def _give_up(self, error: BaseException) -> None:
        """After a failure: may the run go on, and is there anything in its folder worth keeping?"""
        self._failed = not self._compiled or self._in_chunk or not self.rows
        if not self.rows and not isinstance(error, NotFinite):
            self._storage.discard()  # it would be in the way of the next start

    # Small parts

    @property
    def _title(self) -> str:
        return f"{self.config.preset} on {self.config.benchmark}"

    @property
    def _listed(self) -> str:
        return ", ".join(map(str, self.seeds))

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
            self._storage.save(self._training.state(), progress)

    def _env_steps(self) -> int:
        """Of all seeds, at the newest evaluation."""
        return sum(row["env_steps"] for row in self.rows[-len(self.seeds) :])

    def _line(self, rows: Sequence[Row], pace: Pace) -> str:
        total, env_steps = self.config.training.trials, self._env_steps()
        speed = pace.speed(self.trials, total, env_steps)
        return progress_line(rows, setup.total_updates(self.config), *speed)

    def _draw(self, file: IO[bytes]) -> None:
        bounds = lines_of(self._training.programs.bounds)
        plots.curves(file, self.rows, bounds, self._title)
