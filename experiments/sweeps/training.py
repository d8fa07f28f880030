"""Training of points that share a program, from checkpoint to checkpoint."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from dream_jax import envs
from dream_jax.config import Config
from dream_jax.data import replay
from dream_jax.envs.grids import bus
from dream_jax.runs import checkpoint
from dream_jax.runs import rows as run_rows
from dream_jax.runs import trials as fixed_trials
from dream_jax.runs.clock import Clock
from dream_jax.runs.rows import Row
from dream_jax.runs.storage import Progress
from dream_jax.runs.summary import bounds_of, normalised
from dream_jax.scaling import seeds as scaling
from dream_jax.scaling.placement import SeedGroups
from dream_jax.training import evaluation
from dream_jax.types import TrainState
from experiments.analyses import bus_rides
from experiments.sweeps import space
from experiments.sweeps.lanes import LaneTrainer


class Points(NamedTuple):
    """Points that share a program."""

    config: Config  # of all points, except for `values`
    values: Sequence[Mapping[str, float]]  # by path, of each point
    seeds: Sequence[int]  # of each point


class Leader(NamedTuple):
    """The best point so far."""

    place: int  # of the point, in `Points.values`
    value: float  # its return on the split that points are ranked by


class PointsTraining:
    """The states of all lanes (`lanes.LaneTrainer`), and what they have reached.

    `restore` comes first if there may be a checkpoint, then `compile`.
    """

    def __init__(self, points: Points, started_s: float):
        """
        Args:
          points: at least one.
          started_s: Unix time of the start of the process.

        Raises:
          ConfigError: the lanes or their replays do not fit this machine.
        """
        config, seeds = points.config, points.seeds
        self.points = points
        self.env = envs.from_config(config.benchmark, config.env)
        self.split = space.ranking_split(self.env)
        # Before training: a family of the user's may fail here.
        self._bounds = bounds_of(self.env)[self.split]
        self._trainer = LaneTrainer(config, self.env, points.values, seeds)
        self._lanes, capacity = len(points.values) * len(seeds), config.replay.capacity_trials
        each = replay.size_bytes(self._trainer.trial_shape, capacity)
        replay.check_fits(each, self._lanes * config.training.trial_shards, capacity)
        iterations = (
            config.training.evaluation_period_trials // config.training.trials_per_iteration
        )
        self._runner = scaling.make_runner(
            self._trainer, range(self._lanes), iterations, jax.devices()
        )
        agent = self._trainer.agent
        self._evaluate = self._runner.over_seeds(partial(fixed_trials.evaluate_on, agent))
        self._curve_trials = fixed_trials.of_splits(
            config, self.env, config.training.evaluation_trials, cover=False
        )
        self._first_state: Any = None  # of a checkpoint, until it is on the devices
        self._state: SeedGroups = ()  # of Lane
        self._started_s = started_s
        self._clock, self._compile_s = Clock(started_s, 0.0), 0.0
        self.trials = 0  # of each lane
        self._evaluations: list[list[Row]] = []  # of each evaluation, one row per lane
        self._finite = np.ones(self._lanes, bool)  # [lanes]: no loss was NaN or infinite

    @property
    def finished(self) -> bool:
        return self.trials >= self.points.config.training.trials

    def restore(self, checkpoints: Path) -> None:
        """Go on from the newest checkpoint that is whole, if there is one.

        Raises ValueError if it is of other states.
        """
        if checkpoint.latest_step(checkpoints) is None:
            return
        try:
            found = checkpoint.restore_newest(
                checkpoints, scaling.state_shape(self._trainer, self._lanes)
            )
        except checkpoint.Damaged as error:
            print(f"starting anew: {error}", flush=True)
            return
        about = found.metadata
        self._first_state, self.trials = found.state, found.step
        self._evaluations = about["evaluations"]
        self._finite = np.array(about["finite"], bool)
        self._clock = Clock(self._started_s, about["wall_s"])
        self._compile_s = about["compile_s"]
        print(f"resumed at {self.trials:,} trials", flush=True)

    def compile(self) -> None:
        """Compile training and evaluation, and place the states on the devices."""
        began = self._clock.seconds()
        params = evaluation.evaluation_params(self.points.config, self._runner.shape.state)
        self._curves = self._evaluate.compile(params, self._curve_trials)
        self._chunk = self._runner.chunk.compile(self._runner.shape)
        first, self._first_state = self._first_state, None
        self._state = self._runner.init() if first is None else self._runner.place(first)
        self._compile_s += self._clock.seconds() - began

    def chunk(self) -> str:
        """Train for one evaluation period and evaluate. Returns a line of progress."""
        training, names = self.points.config.training, self._seed_of_lane()
        state, self._state = self._state, ()  # overwritten in place
        self._state, losses = self._chunk(state)
        metrics = jax.device_get(self._runner.join(losses))
        for loss in metrics.values():
            self._finite &= np.isfinite(loss)
        evaluated = self._curves(self._params(), self._curve_trials)
        results = jax.device_get(self._runner.join(evaluated))
        counts = run_rows.count(self._runner, tuple(lane.state for lane in self._state))
        every = [True] * self._lanes
        clock = self._clock.seconds(), self._compile_s
        rows = run_rows.make_rows(names, counts, metrics, results, *clock, every)
        self._evaluations.append(rows)
        self.trials += training.evaluation_period_trials
        leader = self.leader()
        best = "no finite return" if leader is None else f"best {self.split} {leader.value:.3f}"
        return f"{self.trials:,} of {training.trials:,} trials, {best}"

    def save(self, checkpoints: Path) -> None:
        """Save a checkpoint, and delete the one before. Raises OSError if it cannot be written."""
        about = {
            "evaluations": self._evaluations,
            "finite": self._finite.tolist(),
            "wall_s": self._clock.seconds(),
            "compile_s": self._compile_s,
        }
        checkpoint.save(checkpoints, self.trials, self._runner.join(self._state), about, keep=1)

    def leader(self) -> Leader | None:
        """The best point at the newest evaluation; None if no point has a finite return."""
        if not self._evaluations:
            return None
        found = [row[f"{self.split}_return"] for row in self._evaluations[-1]]
        returns = np.array([np.nan if x is None else x for x in found])
        returns[~self._finite] = np.nan
        means = returns.reshape(len(self.points.values), -1).mean(axis=1)
        if np.isnan(means).all():
            return None
        place = int(np.nanargmax(means))
        return Leader(place, float(means[place]))

    def records(self) -> list[dict[str, Any]]:
        """What each point has reached: final returns by seed, never of "test", and a curve."""
        final = self._final()

        def record(lane: slice) -> dict[str, Any]:
            names = [*dict.fromkeys(("train_return", f"{self.split}_return")), "env_steps"]
            returns = final[f"{self.split}_return"][lane].tolist()
            return {
                "split": self.split,
                **{name: column[lane].tolist() for name, column in final.items()},
                "normalised": [normalised(value, self._bounds) for value in returns],
                "finite": bool(self._finite[lane].all()),
                "curve": [
                    {name: [row[name] for row in rows[lane]] for name in names}
                    for rows in self._evaluations
                ],
            }

        return [record(self._lanes_of(place)) for place in range(len(self.points.values))]

    def rows_of(self, place: int) -> list[Row]:
        """The rows of a point, as in metrics.jsonl."""
        return [row for rows in self._evaluations for row in rows[self._lanes_of(place)]]

    def state_of(self, place: int) -> TrainState:
        """The states of a point, leaves [seeds, ...]."""
        state = self._runner.join(tuple(lane.state for lane in self._state))
        return jax.tree.map(lambda x: x[self._lanes_of(place)], state)

    def progress_of(self, place: int) -> Progress:
        """Of the run that a point is. `wall_s` is that of all points, which trained together."""
        count, evaluations = len(self.rows_of(place)), len(self._evaluations)
        return Progress(count, self.trials, evaluations, self._clock.seconds(), self._compile_s)

    def _final(self) -> dict[str, np.ndarray]:
        """By name, [lanes]."""
        config, agent = self.points.config, self._trainer.agent
        count = config.training.final_evaluation_trials
        splits = list(dict.fromkeys(("train", self.split)))  # never "test"
        sets = fixed_trials.of_splits(config, self.env, count, cover=True, splits=splits)
        results = jax.device_get(self._runner.join(self._evaluate(self._params(), sets)))
        final = {f"{name}_return": results[name].trial_return.mean(axis=1) for name in splits}
        if isinstance(self.env, bus.Bus):
            params = self._runner.join(self._params())
            ridden = bus_rides.rides(agent, params, self.split, count)
            final |= {f"{k}_buses": np.array(v["buses_ridden_per_seed"]) for k, v in ridden.items()}
        return final

    def _params(self) -> SeedGroups:
        """To evaluate."""
        config = self.points.config
        return tuple(evaluation.evaluation_params(config, lane.state) for lane in self._state)

    def _seed_of_lane(self) -> list[int]:
        return list(self.points.seeds) * len(self.points.values)

    def _lanes_of(self, place: int) -> slice:
        seeds = len(self.points.seeds)
        return slice(place * seeds, (place + 1) * seeds)
