"""Lanes of a sweep: points side by side train as alone."""

import jax
import numpy as np
import pytest

from dream_jax import envs
from dream_jax.scaling import seeds as scaling
from dream_jax.training import trainer as train
from experiments.sweeps import lanes as sweep_lanes
from experiments.sweeps import space as sweep_space
from tests.experiments.sweeps.small import SMALL
from tests.running import trained


@pytest.mark.slow
def test_points_side_by_side_train_as_alone():
    """Every shared field differs between the points, so each must have reached its program."""
    first = sweep_space.shared_values(SMALL)
    second = {path: 0.5 * value + 0.1 for path, value in first.items()}
    second["optimizer.learning_rate"] = 5e-4
    seeds, env = [0, 3], envs.from_config("bus", SMALL.env)

    def newest(trainer, lanes):
        runner = scaling.make_runner(trainer, range(lanes), 4, jax.devices()[:1])
        state = trained(runner)[0].state
        assert (state.learners.exploitation.updates > 0).all()
        return jax.tree.leaves(jax.device_get(train.newest_params(state)))

    together = newest(sweep_lanes.LaneTrainer(SMALL, env, [first, second], seeds), 4)
    for k, values in enumerate((first, second)):
        config = sweep_space.with_values(SMALL, values)
        alone = newest(sweep_lanes.LaneTrainer(config, env, [{}], seeds), 2)
        for lanes, expected in zip(together, alone, strict=True):
            np.testing.assert_allclose(lanes[2 * k : 2 * k + 2], expected, rtol=0, atol=1e-4)
