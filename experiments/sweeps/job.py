"""One job of a sweep: points that share a program, every point with every seed, side by side.

python -m experiments.sweeps.job JOB.json, which `experiments.sweep` writes; the result goes to
JOB.result.json, whole or not at all.
"""

import json
import sys
import traceback
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
from dream_jax.training import evaluation, setup
from dream_jax.training import trainer as train
from dream_jax.types import Array, Env, TrainState
from experiments.analyses import bus_rides as riding
from experiments.cli import process as common
from experiments.sweeps import space as sweep_space


class Lane(NamedTuple):
    """The training state of one point and one seed, with the values that make the point."""

    values: dict[str, Array]  # by path, []
    state: TrainState


def swept_trainer(
    config: Config, env: Env, values: list[dict[str, float]], seeds: list[int]
) -> train.Trainer:
    """A trainer of `Lane`s whose "seed" is the number of a lane: points by seeds, seeds fastest."""
    table = {
        path: np.repeat(np.array([v[path] for v in values], np.float32), len(seeds))
        for path in values[0]
    }
    seed_of = np.tile(np.array(seeds, np.int32), len(values))

    def trainer_of(lane: dict[str, Array]) -> train.Trainer:
        return setup.make_trainer(sweep_space.with_values(config, lane), env)

    def init(number: Array) -> Lane:
        lane = {path: jnp.asarray(column)[number] for path, column in table.items()}
        return Lane(lane, trainer_of(lane).init(jnp.asarray(seed_of)[number]))

    def iterate(lane: Lane) -> tuple[Lane, train.Metrics]:
        state, metrics = trainer_of(lane.values).iterate(lane.state)
        return Lane(lane.values, state), metrics

    def losses(lane: Lane) -> train.Metrics:
        return trainer_of(lane.values).losses(lane.state)

    plain: Any = setup.make_trainer(config, env)
    return plain._replace(init=init, iterate=iterate, losses=losses)


def train_points(
    config: Config, values: list[dict[str, float]], seeds: list[int]
) -> list[dict[str, Any]]:
    """One record per point: final returns by seed, and the curve."""
    env = envs.from_config(config.benchmark, config.env)
    bounds = bounds_of(env)["test"]  # now: a problem of the user's may have none
    trainer = swept_trainer(config, env, values, seeds)
    training, lanes = config.training, len(values) * len(seeds)
    each = replay.size_bytes(trainer.trial_shape, config.replay.capacity_trials)
    replay.check_fits(each, lanes * training.trial_shards, config.replay.capacity_trials)
    iterations = training.evaluation_period_trials // training.trials_per_iteration
    runner = scaling.make_runner(trainer, range(lanes), iterations, jax.devices())

    @runner.over_seeds
    def measure(params: Any, sets: fixed_trials.TrialSets) -> dict[str, Array]:
        found = fixed_trials.evaluate_on(trainer.agent, params, sets)
        return {f"{s}_return": jnp.mean(result.trial_return) for s, result in found.items()}

    def params() -> scaling.SeedGroups:
        return tuple(evaluation.evaluation_params(config, unit.state) for unit in state)

    def returns(trials: fixed_trials.TrialSets) -> dict[str, np.ndarray]:
        return jax.device_get(runner.join(measure(params(), trials)))

    state: scaling.SeedGroups = runner.init()  # of Lane
    often = fixed_trials.of_splits(config, env, training.evaluation_trials, cover=False)
    curve, finite = [], np.ones(lanes, bool)
    for done in range(0, training.trials, training.evaluation_period_trials):
        state, metrics = runner.chunk(state)
        for loss in jax.device_get(runner.join(metrics)).values():
            finite &= np.isfinite(loss)
        steps = [x.state.exploration_steps + x.state.exploitation_steps for x in state]
        curve.append(returns(often) | {"env_steps": jax.device_get(runner.join(tuple(steps)))})
        trials = done + training.evaluation_period_trials
        best = curve[-1]["test_return"].max()
        print(f"{trials:,} of {training.trials:,} trials, best test return {best:.3f}", flush=True)
    final = returns(
        fixed_trials.of_splits(config, env, training.final_evaluation_trials, cover=True)
    )
    if isinstance(env, bus.Bus):
        count = training.final_evaluation_trials
        ridden = riding.rides(trainer.agent, runner.join(params()), "test", count)
        final |= {f"{k}_buses": np.array(v["buses_ridden_per_seed"]) for k, v in ridden.items()}

    def record(lane: slice) -> dict[str, Any]:
        return {
            **{name: column[lane].tolist() for name, column in final.items()},
            "normalised": [normalised(x, bounds) for x in final["test_return"][lane].tolist()],
            "finite": bool(finite[lane].all()),
            "curve": [{name: x[lane].tolist() for name, x in row.items()} for row in curve],
        }

    return [record(slice(k, k + len(seeds))) for k in range(0, lanes, len(seeds))]


def main(argv: list[str]) -> int:
    """0, or 1 after one line."""
    path = Path(argv[0])
    try:
        job = json.loads(path.read_text())
        common.set_up_jax()
        config = configs.from_dict(job["config"])
        records = train_points(config, job["values"], job["seeds"])
        result = dict(zip(job["points"], records, strict=True))
        write_json(path.with_suffix(".result.json"), result)
    except Exception as error:  # whatever it is, the sweep reports it and goes on
        traceback.print_exc()
        text = " ".join(f"{type(error).__name__}: {error}".split())
        print(f"error: {text}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
