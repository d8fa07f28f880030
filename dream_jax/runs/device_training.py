"""Training on the devices: the states of all seeds, chunk by chunk, with nothing kept on disk."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from dream_jax import envs
from dream_jax.config import Config
from dream_jax.data import replay
from dream_jax.runs import diagnosis
from dream_jax.runs import rows as run_rows
from dream_jax.runs import trials as fixed_trials
from dream_jax.runs.load import Initial
from dream_jax.runs.programs import Programs, compile_programs, curve_trials, evaluation_params
from dream_jax.scaling import seeds as scaling
from dream_jax.training import evaluation as evaluations
from dream_jax.training import learner, setup, statistics
from dream_jax.types import Agent, Params, TrainState


class Chunk(NamedTuple):
    """What a chunk of training gave. Entries of seeds that have failed mean nothing."""

    metrics: dict[str, np.ndarray]  # [seeds] each, means over the chunk
    results: fixed_trials.Results  # leaves [seeds, trials]
    counts: run_rows.Counts
    failed: dict[int, str]  # what is not finite, by place of the seed that failed in this chunk


class DeviceTraining:
    """The training states of all seeds. `compile` comes first.

    A chunk overwrites the states in place. They are lost when it is interrupted.
    """

    def __init__(self, config: Config, seeds: Sequence[int], log: Callable[[str], None]):
        """Raises ConfigError if the seeds or their replays do not fit this machine."""
        self.config, self._seeds = config, tuple(seeds)
        self.trainer = setup.make_trainer(config, envs.from_config(config.benchmark, config.env))
        training = config.training
        chunk_iterations = training.evaluation_period_trials // training.trials_per_iteration
        self._runner = scaling.make_runner(self.trainer, seeds, chunk_iterations, jax.devices())
        each = replay.size_bytes(self.trainer.trial_shape, config.replay.capacity_trials)
        copies = len(seeds) * training.trial_shards
        replay.check_fits(each, copies, config.replay.capacity_trials, log)
        self._log = log
        self._curve_trials = curve_trials(config, self.trainer)
        self._programs: Programs | None = None
        self._state: scaling.SeedGroups | None = None  # of TrainState
        self.params: Params | None = None  # to act with, numpy, leaves [seeds, ...]

    @property
    def agent(self) -> Agent:
        return self.trainer.agent

    @property
    def programs(self) -> Programs:
        """Raises RuntimeError before `compile`."""
        if self._programs is None:
            raise RuntimeError("compile first")
        return self._programs

    def compile(
        self, state: TrainState | None, log: Callable[[str], None], initial: Initial | None = None
    ) -> None:
        """Compile everything.

        state: leaves [seeds, ...]; None: training starts from the beginning. initial: parameters to
        begin with in that case; None: those that the seeds draw.
        """
        if state is None and initial is not None:
            drawn = jax.device_get(self._runner.join(self._runner.init()))
            state = learner.with_params(drawn, initial.params)
            if state.statistics is not None:
                most = statistics.most_values(self.trainer.trial_shape)
                values = {space: initial.trials * count for space, count in most.items()}
                known = statistics.of_params(state.statistics, initial.params, values)
                state = state._replace(statistics=known)
        self._programs, self._state = compile_programs(
            self.config, self.trainer, self._runner, state, log
        )

    def chunk(self, live: Sequence[bool]) -> Chunk:
        """Train for one chunk, then evaluate.

        live: for each seed, whether it trains. One that failed stays as it is.
        """
        state, self._state = self._states(), None  # overwritten in place
        state, losses = self.programs.chunk(state, live)
        metrics = jax.device_get(self._runner.join(losses))
        failed = {
            seed: diagnosis.describe(loss, self._runner.join(state), seed, self.trainer.trial_shape)
            for seed, loss in not_finite(metrics).items()
            if live[seed]
        }
        params = evaluation_params(self.config, state)
        evaluated = self.programs.evaluate(params, self._curve_trials)
        results = jax.device_get(self._runner.join(evaluated))
        counts = run_rows.count(self._runner, state)
        self._state = state
        self._keep(params, [on and seed not in failed for seed, on in enumerate(live)])
        return Chunk(metrics, results, counts, failed)

    def final_evaluation(
        self, live: Sequence[bool]
    ) -> tuple[fixed_trials.Results, run_rows.Counts]:
        """Results on every problem of both splits. `live` as of `chunk`."""
        count = self.config.training.final_evaluation_trials
        sets = fixed_trials.of_splits(self.config, self.agent.env, count, cover=True)
        for split, trials in sets.items():
            left_out = evaluations.covered(self.agent.env, split, trials)
            if left_out:
                self._log(f"final evaluation on {len(trials.problem):,} trials; {left_out}")
        params = evaluation_params(self.config, self._states())
        self._keep(params, live)
        results = jax.device_get(self._runner.join(self.programs.evaluate_any(params, sets)))
        return results, run_rows.count(self._runner, self._states())

    def show(self, state: TrainState) -> None:
        """Act with the parameters of a finished run, without training. State as of `compile`."""
        self.params = jax.tree.map(np.array, evaluations.evaluation_params(self.config, state))

    def state(self) -> TrainState:
        """The states to save, leaves [seeds, ...]."""
        return self._runner.join(self._states())

    def _states(self) -> Any:
        if self._state is None:
            raise RuntimeError("there is no state: it was lost, or `compile` comes first")
        return self._state

    def _keep(self, params: scaling.SeedGroups, live: Sequence[bool]) -> None:
        """Copy parameters to the host: the next chunk overwrites those on the devices.

        Those of a seed that has failed stay as they were when it was last evaluated.
        """
        new = jax.tree.map(np.array, jax.device_get(self._runner.join(params)))
        if self.params is not None:
            for kept, now in zip(jax.tree.leaves(self.params), jax.tree.leaves(new), strict=True):
                now[~np.array(live)] = kept[~np.array(live)]
        self.params = new


def not_finite(metrics: dict[str, np.ndarray]) -> dict[int, str]:
    """The first loss that is NaN or infinite, by place of its seed."""
    found: dict[int, str] = {}
    for name, values in metrics.items():
        for seed in np.flatnonzero(~np.isfinite(values)).tolist():
            found.setdefault(seed, f"{name} is {values[seed]}")
    return found
