"""A corridor with a sign at its end: solved in seconds, and only by exploring."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dream_jax.envs.grids.grid import GridProblems
from dream_jax.types import TimeStep

LEFT, RIGHT, PULL_A, PULL_B, END = range(5)


class CorridorState(NamedTuple):
    problem: jax.Array
    cell: jax.Array
    step: jax.Array


class Corridor(GridProblems):
    """One of two levers pays; a sign at the end of a corridor says which.

    Cells 0, 1 and 2, start at 0, horizon 4. Problem `2 * colour + lever`: the walls' colour is seen
    everywhere and means nothing; the lever is seen in cell 2 only. Observation: cell, sign (0 out
    of sight, 1 lever A, 2 lever B), colour. No instruction. Actions: left, right, pull A, pull B,
    end. A move costs 0.3; pulling ends the episode and pays 1 if the lever is right; "end" pays 0.

    Knowing the lever is worth 1. Guessing is worth 0.5, walking to the sign first 0.4.
    """

    name = "corridor"
    num_actions = 5
    end_episode_action = END
    observation_sizes = (3, 3, 2)
    instruction_sizes = ()
    num_problems = 4

    def __init__(self, horizon: int = 4):
        super().__init__(horizon)
        everything = np.arange(4, dtype=np.int32)
        self._splits = {"train": everything, "test": everything}

    def instructions(self, problem):
        return np.zeros((1, 0), np.int32)

    def sample_instruction(self, key, problem):
        return jnp.zeros(0, jnp.int32)

    def reset(self, key, problem, instruction):
        zero, no = jnp.zeros((), jnp.int32), jnp.zeros((), bool)
        state = CorridorState(jnp.asarray(problem, jnp.int32), zero, zero)
        return state, TimeStep(self._observe(state), jnp.zeros(()), no, no)

    def step(self, state, action):
        move = jnp.where(action == RIGHT, 1, jnp.where(action == LEFT, -1, 0))
        cell = jnp.clip(state.cell + move, 0, 2)
        state = CorridorState(state.problem, cell, state.step + 1)
        right = action == PULL_A + state.problem % 2
        terminated = jnp.asarray(action >= PULL_A)
        reward = jnp.where(terminated, right.astype(jnp.float32), -0.3)
        truncated = (state.step >= self.horizon) & ~terminated
        return state, TimeStep(self._observe(state), reward, terminated, truncated)

    def _observe(self, state):
        sign = jnp.where(state.cell == 2, 1 + state.problem % 2, 0)
        return jnp.stack([state.cell, sign, state.problem // 2])
