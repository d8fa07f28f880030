"""A training run: chunks of training, each followed by an evaluation, and a summary at the end."""

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np

from dream_jax import envs
from dream_jax.config import Config, ConfigError
from dream_jax.data import replay
from dream_jax.runs import rows as run_rows
from dream_jax.runs import summary as summaries
from dream_jax.runs import trials as fixed_trials
from dream_jax.runs.agent_programs import AgentPrograms
from dream_jax.runs.metrics import progress_line
from dream_jax.runs.programs import Programs, compile_programs, curve_trials, evaluation_params
from dream_jax.runs.rows import Row
from dream_jax.runs.signals import StopSignal
from dream_jax.runs.storage import InMemory, Progress, Storage, lines_of
from dream_jax.runs.trained_agent import TrainedAgent
from dream_jax.scaling import seeds as scaling
from dream_jax.training import trainer as training
from dream_jax.types import Params
from dream_jax.viz import page, plots


class NotFinite(FloatingPointError):
    """A loss is NaN or infinite. Training has ended; checkpoints from before are good."""


class Evaluation(NamedTuple):
    """What `on_evaluation` is called with."""

    run: "Run"
    rows: list[Row]  # of this evaluation, one per seed, with the columns of metrics.jsonl
    trials: int  # of each seed so far
    line: str  # the line of progress


OnEvaluation = Callable[[Evaluation], Any]


class Clock:
    """Seconds that a run has taken. The time while it is stopped does not count."""

    def __init__(self, started_s: float, earlier_s: float):
        """
        Args:
          started_s: Unix time of the start.
          earlier_s: seconds that the run took in earlier processes.
        """
        self._started_s: float | None = started_s
        self._earlier_s = earlier_s

    def seconds(self) -> float:
        now = time.time()
        return now - (now if self._started_s is None else self._started_s) + self._earlier_s

    def stop(self) -> None:
        self._earlier_s, self._started_s = self.seconds(), None

    def go_on(self) -> None:
        if self._started_s is None:
            self._started_s = time.time()


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
        self._storage = storage or InMemory()
        self._signals, self._log = signals, log
        started_s = time.time() if started_s is None else started_s
        env = envs.from_config(config.benchmark, config.env)
        self._trainer = training.make_trainer(config, env)
        self._runner = scaling.make_runner(
            self._trainer, self.seeds, _iterations_per_chunk(config), jax.devices()
        )
        _check_memory(config, self._trainer, len(self.seeds) * config.training.trial_shards)
        resumed = self._storage.read(self._trainer, len(self.seeds), log)
        self._storage.prepare(config, self.seeds)
        self._programs: Programs | None = None
        self._agent_programs = AgentPrograms(self._trainer.agent)
        self._state: Any = resumed.state  # of TrainState; SeedGroups once compiled
        self._progress = resumed.progress
        self._clock = Clock(started_s, resumed.progress.wall_s)
        self._parameters: Params | None = None  # on the host, leaves [seeds, ...]
        self._training = threading.Lock()
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
        if not self._training.acquire(blocking=False):
            raise ConfigError("this run is training already; return False from on_evaluation first")
        try:
            self._check_can_train()
            self._clock.go_on()
            with self._signals() as stop:
                self._train(stop, on_evaluation)
        except NotFinite:
            raise
        except BaseException:
            if not self.rows:
                self._storage.discard()
            raise
        finally:
            self._clock.stop()
            self._training.release()
        return self

    def agent(self, seed: int | None = None) -> TrainedAgent:
        """The agent as it was at the newest evaluation.

        Args:
          seed: one of `seeds`; the first by default.
        """
        seed = self.seeds[0] if seed is None else seed
        if seed not in self.seeds:
            raise ConfigError(f"seed={seed}: the run has the seeds {_listed(self.seeds)}")
        if self._parameters is None:
            raise ConfigError("the run has not been evaluated yet; train it first")
        i = self.seeds.index(seed)
        params = jax.tree.map(lambda x: x[i], self._parameters)
        return TrainedAgent(self._agent_programs, params, seed, self.trials)

    def save(self) -> None:
        """Write a checkpoint now. Raises ConfigError if the run has no folder."""
        if self.out is None:
            raise ConfigError(
                "this run has no folder; train it with out=DIR, or use run.agent().save(FILE)"
            )
        self._check_state()
        if self._programs is not None:
            self._save()

    def __repr__(self) -> str:
        total = self.config.training.trials
        state = "finished" if self.finished else f"at {self.trials:,} of {total:,} trials"
        return (
            f"Run({self.config.preset} on {self.config.benchmark}, seeds {_listed(self.seeds)}, "
            f"{state})"
        )

    def _repr_html_(self) -> str:
        """For notebooks: the learning curves."""
        if not self.rows or self._programs is None:
            return page.caption(repr(self))
        picture = plots.curves_png(self.rows, lines_of(self._programs.bounds), self._title)
        return page.picture(picture, "image/png", repr(self))

    # One call of `train`

    def _train(self, stop: StopSignal, on_evaluation: OnEvaluation | None) -> None:
        programs = self._compiled()
        stopped_by = None
        pace = _Pace(time.time(), self.trials, self._env_steps())
        with self._storage.writer(len(self.rows)) as write:
            while self.trials < self.config.training.trials and stopped_by is None:
                rows = self._chunk(programs, write)
                line = self._line(rows, pace)
                self._log(line)
                if self._checkpoint_is_due():
                    self._save()
                event = Evaluation(self, rows, self.trials, line)
                go_on = on_evaluation is None or on_evaluation(event) is not False
                stopped_by = stop.requested or (None if go_on else "on_evaluation")
                if self.trials >= self.config.training.trials:
                    stopped_by = None  # it is done anyway
            self._save()
        self._storage.draw(self.rows, programs.bounds, self._title)
        if stopped_by is None:
            self._finish(programs)
        else:
            goes_on = f"--resume goes on from {self.out}" if self.out else "run.train() goes on"
            self._log(f"stopped by {stopped_by}; {goes_on}")

    def _compiled(self) -> Programs:
        if self._programs is None:
            state, self._state = self._state, None  # not to hold the replays twice
            self._programs, self._state = compile_programs(
                self.config, self._trainer, self._runner, state, self._log
            )
            compile_s = self._progress.compile_s + self._programs.compile_s
            self._progress = self._progress._replace(compile_s=compile_s)
            self._curve_trials = curve_trials(self.config, self._trainer)
        return self._programs

    def _chunk(self, programs: Programs, write: Callable[[Row], None]) -> list[Row]:
        """Train for one chunk and evaluate: the new rows. Raises NotFinite."""
        state, self._state = self._state, None  # donated
        state, losses = programs.chunk(state)
        metrics = jax.device_get(self._runner.join(losses))
        bad = _not_finite(metrics)
        if bad:
            raise NotFinite(f"{bad}; training stopped, {self._storage.describe_checkpoint()}")
        self._state = state
        params = evaluation_params(self.config, state)
        evaluated = programs.evaluate(params, self._curve_trials)
        results = jax.device_get(self._runner.join(evaluated))
        # The computation is done, so the clock may be read.
        counts = run_rows.count(self._runner, state)
        progress = self._progress
        rows = run_rows.make_rows(
            self.seeds, counts, metrics, results, self._clock.seconds(), progress.compile_s
        )
        for row in rows:
            write(row)
        self.rows.extend(rows)
        self._parameters = jax.tree.map(np.array, jax.device_get(self._runner.join(params)))
        self._progress = progress._replace(
            rows=len(self.rows),
            trials=progress.trials + self.config.training.evaluation_period_trials,
            evaluations=progress.evaluations + 1,
            time_to_95_s=[
                row["wall_s"] if first is None and _solved(row, programs) else first
                for first, row in zip(progress.time_to_95_s, rows, strict=True)
            ],
        )
        return rows

    def _finish(self, programs: Programs) -> None:
        """The final evaluation, the summary and the videos."""
        config, env = self.config, self._trainer.agent.env
        sets = fixed_trials.of_splits(
            config, env, config.training.final_evaluation_trials, cover=True
        )
        evaluated = programs.evaluate_any(evaluation_params(config, self._state), sets)
        results = jax.device_get(self._runner.join(evaluated))
        counts = run_rows.count(self._runner, self._state)
        summary = run_rows.make_summary(
            config,
            self.seeds,
            {split: results[split].trial_return.mean(axis=1).tolist() for split in results},
            programs.bounds,
            self._progress.time_to_95_s,
            {name: int(values.mean()) for name, values in counts.items()},
            self._progress.compile_s,
            self._clock.seconds(),
        )
        self._storage.summarise(summary)
        if self.out is not None:
            for seed in self.seeds:
                self.agent(seed).save_video(self.out / "videos")
        self._log(summaries.describe(summary))
        if self.out is not None:
            written = "summary.json, metrics.jsonl, curves.png, videos/"
            self._log(f"written to {self.out}: {written}")
        self.summary = summary

    # Small parts

    @property
    def _title(self) -> str:
        return f"{self.config.preset} on {self.config.benchmark}"

    def _check_can_train(self) -> None:
        if self.finished:
            raise ConfigError(
                f"this run has finished training.trials={self.config.training.trials}, where its "
                "schedules end; start one with more in overrides"
            )
        self._check_state()

    def _check_state(self) -> None:
        if self._state is None and (self._programs is not None or self.rows):
            raise ConfigError("this run was ended in the middle of a chunk; start it anew")

    def _checkpoint_is_due(self) -> bool:
        period = self.config.training.evaluations_per_checkpoint
        return period == 1 or self._progress.evaluations % period == 1

    def _save(self) -> None:
        progress = self._progress._replace(wall_s=self._clock.seconds())
        self._storage.save(lambda: self._runner.join(self._state), progress)

    def _env_steps(self) -> int:
        """Of all seeds, at the newest evaluation."""
        return sum(row["env_steps"] for row in self.rows[-len(self.seeds) :])

    def _line(self, rows: Sequence[Row], pace: "_Pace") -> str:
        elapsed = max(time.time() - pace.began_s, 1e-9)
        total = self.config.training.trials
        done = (self.trials - pace.trials) / max(total - pace.trials, 1)
        rate = (self._env_steps() - pace.env_steps) / elapsed
        left_s = elapsed * (1.0 - done) / done
        return progress_line(rows, training.total_updates(self.config), rate, left_s)


class _Pace(NamedTuple):
    """Where a call of `train` began."""

    began_s: float  # Unix time
    trials: int
    env_steps: int


def _iterations_per_chunk(config: Config) -> int:
    return config.training.evaluation_period_trials // config.training.trials_per_iteration


def _check_memory(config: Config, trainer: training.Trainer, copies: int) -> None:
    """Raises ConfigError if the replays of all seeds do not fit into memory."""
    each = replay.size_bytes(trainer.trial_shape, config.replay.capacity_trials)
    replay.check_fits(each, copies, config.replay.capacity_trials)


def _solved(row: Row, programs: Programs) -> bool:
    return summaries.solved(row["test_return"], programs.bounds["test"])


def _not_finite(metrics: dict[str, np.ndarray]) -> str | None:
    """The first loss that is NaN or infinite, with its seed."""
    for name, values in metrics.items():
        bad = np.flatnonzero(~np.isfinite(values))
        if bad.size:
            return f"{name} is {values[bad[0]]} in seed number {bad[0]}"
    return None


def _listed(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds))
