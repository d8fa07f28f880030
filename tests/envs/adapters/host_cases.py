"""Worlds that JAX cannot run, and worlds that crash, hang and lie."""

import os
import time

import dm_env
import gymnasium
import numpy as np
from dm_env import specs

from dream_jax import HostFamily

DOORS = 3


class DoorWorld(dm_env.Environment):
    """One of the doors has the prize. Looking (the last action) tells which."""

    def __init__(self, problem, wanted):
        self._right = (problem + wanted) % DOORS
        self._problem = problem

    def reset(self):
        return dm_env.restart(self._see(0))

    def step(self, action):
        if action == DOORS:
            return dm_env.transition(0.0, self._see(1 + self._problem), discount=1.0)
        return dm_env.termination(float(action == self._right), self._see(0))

    def _see(self, sign):
        return np.array([sign], np.int64)

    def observation_spec(self):
        return specs.BoundedArray((1,), np.int64, 0, DOORS)

    def action_spec(self):
        return specs.DiscreteArray(DOORS + 1)


class Doors(HostFamily):
    num_actions = DOORS + 1
    num_problems = DOORS
    observation_spec = specs.BoundedArray((1,), np.int64, 0, DOORS)
    instruction_sizes = (DOORS,)
    reference_returns = (1.0, 1.0)  # looking is free
    markov = True
    workers = 1
    settings = {
        "env": {"horizon": 3},
        "training": {"trials_per_iteration": 32, "updates_per_iteration": 16},
    }

    def problem_ids(self, split):
        return np.arange(DOORS, dtype=np.int32)

    def instructions(self, problem):
        return np.arange(DOORS, dtype=np.int32)[:, None]

    def sample_instruction(self, key, problem):
        import jax

        return jax.random.randint(key, (1,), 0, DOORS)

    def make(self, problem, instruction):
        return DoorWorld(problem, int(instruction[0]))


class Faulty(Doors):
    """The door world with faults, as gymnasium has it: by problem, a crash, a hang and a lie."""

    step_limit_s = 3.0

    def make(self, problem, instruction):
        return FaultyWorld(problem)


class FaultyWorld(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(0, DOORS, (1,), np.int64)
    action_space = gymnasium.spaces.Discrete(DOORS + 1)

    def __init__(self, problem):
        self._problem, self._steps = problem, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._steps = 0
        return np.zeros(1, np.int64), {}

    def step(self, action):
        self._steps += 1
        if self._steps == 2 and action == 0:
            if self._problem == 0:
                os._exit(3)
            if self._problem == 1:
                time.sleep(600)
            return np.full(1, 77), 0.0, False, False, {}
        return np.full(1, action % DOORS), 1.0, False, False, {}


class Held(Doors):
    """It holds a function that no other process can get."""

    def __init__(self, horizon):
        super().__init__(horizon)
        self.seen = lambda observation: observation
