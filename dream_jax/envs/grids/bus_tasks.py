"""Standard meta-RL: the bus world whose goal is part of the problem."""

from collections.abc import Mapping, Sequence

import jax.numpy as jnp
import numpy as np

from dream_jax.envs.grids.bus import GOALS, Bus, BusState
from dream_jax.envs.grids.bus_view import BusView, place
from dream_jax.types import Array, Key, TimeStep


class BusTasksView(BusView):
    """The view of `Bus`, whose goal is read off the problem."""

    def instruction(self, instruction: np.ndarray) -> str:
        return "earn the reward of this problem's goal"

    def problem(self, problem: int) -> str:
        return f"goal in the {place(_goal(problem))} corner, {super().problem(problem)}"

    def groups(self) -> Mapping[str, Sequence[str]]:
        goals = [place(_goal(problem)) for problem in range(len(self._stops))]
        return {"goal": goals, **super().groups()}


def _goal(problem: int) -> tuple[int, int]:
    return GOALS[problem // 24]


class BusTasks(Bus):
    """`Bus` without an instruction: the goal belongs to the problem and shows only in rewards.

    Problem: 96 ids. id % 24 orders the destinations as in `Bus`, id // 24 chooses the goal cell
      among (0,0) (8,8) (0,8) (8,0). `test` contains every sixth id from 5, `train` the rest.
    Instruction: none. Exploration must see rewards (`trial.rewards_in_exploration`) to learn the
      goal. The preset of this benchmark does, in three episodes (`trial.exploration_episodes`).
    Everything else is as in `Bus`.
    """

    name = "bus_tasks"
    num_problems = 96
    instruction_sizes: tuple[int, ...] = ()

    def __init__(self, horizon: int = 20):
        super().__init__(horizon)
        test = np.arange(5, self.num_problems, 6, dtype=np.int32)
        train = np.setdiff1d(np.arange(self.num_problems, dtype=np.int32), test)
        self._splits = {"train": train, "test": test}

    def instructions(self, problem: int) -> np.ndarray:
        return np.zeros((1, 0), np.int32)

    def sample_instruction(self, key: Key, problem: Array) -> Array:
        return jnp.zeros((0,), jnp.int32)

    def reset(self, key: Key, problem: Array, instruction: Array) -> tuple[BusState, TimeStep]:
        goal = jnp.asarray(np.array(GOALS, np.int32))[problem // 24]
        return super().reset(key, problem, goal)

    def view(self) -> BusTasksView:
        return BusTasksView(self._buses, self.bus_at, None)
