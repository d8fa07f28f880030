"""Steps per second of a host family beside its bare worlds."""

import gymnasium
import numpy as np
import pytest

from benchmarks import host_throughput
from dream_jax.config import ConfigError
from tests.envs.adapters import host_cases

CASES = host_cases.__name__


class DoorWorld(gymnasium.Env):
    observation_space = gymnasium.spaces.MultiDiscrete([host_cases.DOORS + 1])
    action_space = gymnasium.spaces.Discrete(host_cases.DOORS + 1)

    def __init__(self, problem, wanted):
        self._world = host_cases.DoorWorld(problem, wanted)

    def reset(self, seed=None, options=None):
        return self._world.reset().observation, {}

    def step(self, action):
        shown = self._world.step(action)
        return shown.observation, shown.reward or 0.0, shown.last(), False, {}

    def render(self):
        return np.zeros((8, 8, 3), np.uint8)


class GymnasiumDoors(host_cases.Doors):
    def make(self, problem, instruction):
        return DoorWorld(problem, int(instruction[0]))


@pytest.mark.parametrize(
    ("family", "message"),
    [
        ("Held", "it cannot be sent to the processes"),
        ("Doors", "makes no gymnasium environments"),
        ("NotThere", "NotThere"),
    ],
)
def test_what_cannot_be_measured_is_one_line(family, message):
    with pytest.raises(ConfigError, match=message) as error:
        host_throughput.measure(f"{CASES}:{family}", 64, 50)
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_training_is_measured_beside_the_bare_worlds():
    name = f"{__name__}:GymnasiumDoors"
    found = host_throughput.measure(name, trials=128, steps=200, updates=1)
    assert set(found) == {"bare_one_process", "bare_processes", "training", "share"}
    assert all(np.isfinite(value) and value > 0 for value in found.values())
    fastest = max(found["bare_one_process"], found["bare_processes"])
    assert found["share"] == pytest.approx(found["training"] / fastest)
