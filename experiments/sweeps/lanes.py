"""Points that share a program, each with all seeds, as lanes that train side by side."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from dream_jax.config import Config
from dream_jax.training import setup
from dream_jax.training.trainer import Metrics, Trainer
from dream_jax.types import Array, Env, TrainState
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
