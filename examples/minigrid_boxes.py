"""MiniGrid on the host: which box has the ball of my colour? Needs the package minigrid.

    python -m experiments.own_problem examples.minigrid_boxes:Boxes --out=runs/minigrid

Four grey boxes in the corners of a room hold balls of four of six colours: 360 problems, 60 of them
unseen in training. Exploration may open boxes. Exploitation is told one of the four colours;
picking up its ball pays 1, any other ball -0.5, and both end the episode. A step costs 0.05. A box
may be opened while exploiting too, so an agent that never explores can look for its ball, which
takes time.
"""

import itertools
from typing import Any

import gymnasium
import jax
import numpy as np
from dm_env import specs
from minigrid.core.grid import Grid
from minigrid.core.mission import MissionSpace
from minigrid.core.world_object import Ball, Box
from minigrid.minigrid_env import MiniGridEnv

from dream_jax import HostFamily

COLOURS = ("red", "green", "blue", "purple", "yellow", "grey")
ORDERS = np.array(list(itertools.permutations(range(len(COLOURS)), 4)), np.int32)  # by corner
ACTIONS = (0, 1, 2, 3, 5)  # of MiniGrid: left, right, forward, pick up, toggle (opens a box)
PICK_UP = 3
UNSEEN = 60  # problems
SIDE, VIEW = 6, 5  # of the room, with walls, and of what the agent sees of it
STEP = -0.05


def _mission() -> str:
    return "pick up the ball"


class BoxRoom(MiniGridEnv):
    """A room of 4 x 4 cells with a box in each corner."""

    def __init__(self, order: np.ndarray, wanted: int):
        self._order, self._wanted = order, wanted
        mission = MissionSpace(mission_func=_mission)
        size = {"grid_size": SIDE, "agent_view_size": VIEW}
        super().__init__(mission, **size, max_steps=1_000, render_mode="rgb_array")

    def _gen_grid(self, width: int, height: int) -> None:
        self.grid = Grid(width, height)
        self.grid.wall_rect(0, 0, width, height)
        corners = itertools.product((1, width - 2), (1, height - 2))
        for colour, (x, y) in zip(self._order, corners, strict=True):
            self.put_obj(Box("grey", contains=Ball(COLOURS[colour])), x, y)
        self.place_agent(top=(2, 2), size=(2, 2))
        self.mission = _mission()

    def step(self, action: int) -> Any:
        ahead = self.grid.get(*self.front_pos)
        kind = ACTIONS[action]
        if kind == PICK_UP and not isinstance(ahead, Ball):
            kind = 6  # boxes cannot be carried: nothing happens
        observation, _, _, _, information = super().step(kind)
        if isinstance(self.carrying, Ball):
            right = self.carrying.color == COLOURS[self._wanted]
            return observation, 1.0 if right else -0.5, True, False, {"goal": right}
        return observation, STEP, False, False, information


class Boxes(HostFamily):
    num_actions = len(ACTIONS)
    observation_spec = {
        # What each cell of the view holds: object, colour, state.
        "image": specs.BoundedArray((VIEW, VIEW, 3), np.uint8, 0, np.array([10, 5, 3], np.uint8)),
        "direction": specs.BoundedArray((), np.int32, 0, 3),
    }
    instruction_sizes = (len(COLOURS),)
    num_problems = len(ORDERS)
    descriptors = np.eye(len(COLOURS), dtype=np.float32)[ORDERS].reshape(len(ORDERS), -1)
    settings = {
        "env": {"horizon": 30},
        "trial": {"hidden_goal_ends_exploration": False},
        "acting": {"random_action_counts": [1, 1, 2, 1, 1]},
        # As for cooking_large: few steps show what a ball is worth under which instruction, and z
        # must not shrink until that is found. Lambda is larger, for fewer problems; it is a guess.
        "networks": {"encoder_init_scale": 1.0},
        "optimizer": {"weight_decay": 0.0},
        "losses": {"bottleneck_weight": 2e-7},
        "training": {
            "trials": 38_400,
            "trials_per_iteration": 64,
            # Stepping the worlds takes much of the time, so there are many updates for each trial.
            "updates_per_iteration": 48,
            "evaluation_period_trials": 1_280,
            "evaluation_trials": 96,
            "final_evaluation_trials": 480,
        },
        "replay": {"capacity_trials": 8_192, "warmup_trials_exploration": 2_048},
    }

    def problem_ids(self, split: str) -> np.ndarray:
        drawn = np.random.default_rng(0).permutation(len(ORDERS)).astype(np.int32)
        return np.sort(drawn[:UNSEEN] if split == "test" else drawn[UNSEEN:])

    def instructions(self, problem: int) -> np.ndarray:
        return ORDERS[problem][:, None]

    def sample_instruction(self, key: Any, problem: Any) -> Any:
        return jax.numpy.asarray(ORDERS)[problem, jax.random.randint(key, (1,), 0, 4)]

    def make(self, problem: int, instruction: np.ndarray) -> gymnasium.Env:
        return BoxRoom(ORDERS[problem], int(instruction[0]))

    def read(self, observation: dict[str, Any]) -> dict[str, Any]:
        return {"image": observation["image"], "direction": observation["direction"]}
