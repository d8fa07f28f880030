"""One job of a sweep: points that share a program, each with all seeds, trained side by side.

`experiments.sweep` runs it as `python -m experiments.sweeps.job JOB.json`. It writes the result to
JOB.result.json, completely or not at all.
"""

import json
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dream_jax import config as configs
from dream_jax import envs
from dream_jax.config import Config
from dream_jax.data import replay
from dream_jax.envs.grids import bus
from dream_jax.runs import trials as fixed_trials
from dream_jax.runs.metrics import write_json
from dream_jax.runs.summary import bounds_of, normalised
from dream_jax.scaling import seeds as scaling
from dream_jax.scaling.placement import SeedGroups
from dream_jax.training import evaluation, setup
from dream_jax.training.trainer import Metrics, Trainer
from dream_jax.types import Array, Env, TrainState
from experiments.analyses import bus_rides
from experiments.cli import process
from experiments.sweeps import space


class Lane(NamedTuple):
    """The training state of one point and one seed, with the values that make the point."""

    values: dict[str, Array]  # by path, []
    state: TrainState


class LaneTrainer:
    """Training of one lane, as a `scaling.seeds.SeedTrainer` whose seed is the lane's number.

    Lanes are numbered by point, then by seed: point 0 with every seed, point 1 with every seed, ...
    """

    def __init__(
        self, config: Config, env: Env, values: Sequence[Mapping[str, float]], seeds: Sequence[int]
    ):
        """
        Args:
          config: of all points, except for `values`.
          env: the environment.
          values: by path, of each point; they are arguments of the compiled program.
          seeds: of each point.
        """
        self._config, self._env = config, env
        self._values = {
            path: np.repeat(np.array([v[path] for v in values], np.float32), len(seeds))
            for path in values[0]
        }  # [lanes]
        self._seeds = np.tile(np.array(seeds, np.int32), len(values))  # [lanes]
        # What does not depend on the values.
        plain = setup.make_trainer(config, env)
        self.agent, self.shards, self.metrics = plain.agent, plain.shards, plain.metrics
        self.trial_shape = plain.trial_shape

    def init(self, number: Array) -> Lane:
        """The untrained state of a lane. number: [] int32."""
        values = {path: jnp.asarray(column)[number] for path, column in self._values.items()}
        return Lane(values, self._trainer(values).init(jnp.asarray(self._seeds)[number]))

    def iterate(self, lane: Lane) -> tuple[Lane, Metrics]:
        state, metrics = self._trainer(lane.values).iterate(lane.state)
        return Lane(lane.values, state), metrics

    def losses(self, lane: Lane) -> Metrics:
        return self._trainer(lane.values).losses(lane.state)

    def _trainer(self, values: Mapping[str, Array]) -> Trainer:
        return setup.make_trainer(space.with_values(self._config, values), self._env)


class Measured(NamedTuple):
    """What the lanes of a job have reached."""

    final: dict[str, np.ndarray]  # by name, [lanes]
    curve: list[dict[str, np.ndarray]]  # one for each evaluation, by name, [lanes]
    finite: np.ndarray  # [lanes] bool: no loss was NaN or infinite


def train_points(
    config: Config, values: Sequence[Mapping[str, float]], seeds: Sequence[int]
) -> list[dict[str, Any]]:
    """Train every point with every seed. One record per point: final returns by seed, and a curve.

    Args:
      config: of all points, except for `values`.
      values: by path, of each point.
      seeds: of each point.
    """
    env = envs.from_config(config.benchmark, config.env)
    split = space.ranking_split(env)
    bounds = bounds_of(env)[split]  # before training: a family of the user's may fail here
    trainer = LaneTrainer(config, env, values, seeds)
    lanes, capacity = len(values) * len(seeds), config.replay.capacity_trials
    each = replay.size_bytes(trainer.trial_shape, capacity)
    replay.check_fits(each, lanes * config.training.trial_shards, capacity)
    measured = _train(config, env, trainer, lanes)

    def record(lane: slice) -> dict[str, Any]:
        returns = measured.final[f"{split}_return"][lane].tolist()
        return {
            "split": split,
            **{name: column[lane].tolist() for name, column in measured.final.items()},
            "normalised": [normalised(value, bounds) for value in returns],
            "finite": bool(measured.finite[lane].all()),
            "curve": [
                {name: x[lane].tolist() for name, x in row.items()} for row in measured.curve
            ],
        }

    return [record(slice(k, k + len(seeds))) for k in range(0, lanes, len(seeds))]


def _train(config: Config, env: Env, trainer: LaneTrainer, lanes: int) -> Measured:
    training = config.training
    iterations = training.evaluation_period_trials // training.trials_per_iteration
    runner = scaling.make_runner(trainer, range(lanes), iterations, jax.devices())

    ranked = space.ranking_split(env)
    splits = ("train", ranked) if ranked != "train" else ("train",)  # never "test"

    @runner.over_seeds
    def measure(params: Any, sets: fixed_trials.TrialSets) -> dict[str, Array]:
        found = fixed_trials.evaluate_on(trainer.agent, params, sets)
        return {f"{s}_return": jnp.mean(result.trial_return) for s, result in found.items()}

    def params(state: SeedGroups) -> SeedGroups:
        return tuple(evaluation.evaluation_params(config, lane.state) for lane in state)

    def returns(state: SeedGroups, count: int, cover: bool) -> dict[str, np.ndarray]:
        sets = fixed_trials.of_splits(config, env, count, cover, splits)
        return jax.device_get(runner.join(measure(params(state), sets)))

    state: SeedGroups = runner.init()  # of Lane
    curve, finite = [], np.ones(lanes, bool)
    for done in range(0, training.trials, training.evaluation_period_trials):
        state, metrics = runner.chunk(state)
        for loss in jax.device_get(runner.join(metrics)).values():
            finite &= np.isfinite(loss)
        steps = tuple(x.state.exploration_steps + x.state.exploitation_steps for x in state)
        row = returns(state, training.evaluation_trials, cover=False)
        curve.append(row | {"env_steps": jax.device_get(runner.join(steps))})
        trials, best = done + training.evaluation_period_trials, row[f"{ranked}_return"].max()
        done_of = f"{trials:,} of {training.trials:,} trials"
        print(f"{done_of}, best {ranked} return {best:.3f}", flush=True)
    count = training.final_evaluation_trials
    final = returns(state, count, cover=True)
    if isinstance(env, bus.Bus):
        ridden = bus_rides.rides(trainer.agent, runner.join(params(state)), ranked, count)
        final |= {f"{k}_buses": np.array(v["buses_ridden_per_seed"]) for k, v in ridden.items()}
    return Measured(final, curve, finite)


def main(argv: Sequence[str]) -> int:
    """0, or 1 after one line about the failure."""
    path = Path(argv[0])
    try:
        job = json.loads(path.read_text(encoding="utf-8"))
        process.set_up_jax()
        config = configs.from_dict(job["config"])
        records = train_points(config, job["values"], job["seeds"])
        result = dict(zip(job["points"], records, strict=True))
        write_json(path.with_suffix(".result.json"), result)
    except Exception as error:  # the sweep reports any failure and continues
        traceback.print_exc()
        text = " ".join(f"{type(error).__name__}: {error}".split())
        print(f"error: {text}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
