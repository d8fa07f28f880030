"""XLand-MiniGrid: 20,160 rulesets made in code. Needs the package xminigrid.

    python -m experiments.own_problem examples.xland_objects:Objects --out=runs/xland

Six objects are in a room. When the agent walks up to one, a rule of the problem turns it into
another thing. The instruction names the thing that must be picked up. 12,000 rulesets are for
training, all others are unseen. Each is described by what the objects turn into.
"""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xminigrid
from dm_env import specs
from xminigrid.core.constants import TILES_REGISTRY, Colors, Tiles
from xminigrid.core.goals import AgentHoldGoal
from xminigrid.core.rules import AgentNearRule
from xminigrid.types import RuleSet

from dream_jax.types import TimeStep

OBJECTS = tuple(
    (shape, colour)
    for shape in (Tiles.BALL, Tiles.SQUARE)
    for colour in (Colors.RED, Colors.GREEN, Colors.BLUE)
)
THINGS = tuple(
    (shape, colour)
    for shape in (Tiles.STAR, Tiles.HEX)
    for colour in (Colors.PURPLE, Colors.YELLOW, Colors.ORANGE, Colors.PINK)
)
RULESETS = np.array(list(itertools.permutations(range(8), 6)), np.int32)  # [20160, 6] things
TRAINING = 12_000
ACTIONS = 4  # forward, turn right, turn left, pick up
SIDE, VIEW = 7, 7


class Objects:
    num_actions = ACTIONS
    observation_spec = {
        "view": specs.BoundedArray((VIEW, VIEW, 2), np.uint8, 0, np.array([12, 11], np.uint8)),
        "direction": specs.BoundedArray((), np.int32, 0, 3),
    }
    instruction_sizes = (len(THINGS),)
    num_problems = len(RULESETS)
    descriptor_spec = specs.BoundedArray((len(OBJECTS),), np.int32, 0, len(THINGS) - 1)
    settings = {
        "env": {"horizon": 30},
        "trial": {"hidden_goal_ends_exploration": False},
        "acting": {"random_action_counts": [2, 1, 1, 1]},
        # As for cooking_large: z must not shrink before it is of use.
        "networks": {"encoder_init_scale": 1.0},
        "optimizer": {"weight_decay": 0.0},
        "losses": {"bottleneck_weight": 2e-8},
        "training": {
            "trials": 102_400,
            "evaluation_trials": 256,
            "trials_per_iteration": 256,
            "updates_per_iteration": 64,
        },
        "replay": {"warmup_trials_exploration": 4_096, "capacity_trials": 16_384},
    }

    def __init__(self, horizon: int):
        self.horizon = horizon
        self._world, params = xminigrid.make("XLand-MiniGrid-R1-9x9")
        self._params = params.replace(height=SIDE, width=SIDE, view_size=VIEW, max_steps=horizon)
        self._objects = jnp.stack([TILES_REGISTRY[tile] for tile in OBJECTS])
        self._things = jnp.stack([TILES_REGISTRY[tile] for tile in THINGS])
        order = np.random.default_rng(0).permutation(len(RULESETS)).astype(np.int32)
        self._splits = {"train": np.sort(order[:TRAINING]), "test": np.sort(order[TRAINING:])}

    def problem_ids(self, split: str) -> np.ndarray:
        return self._splits[split]

    def descriptor(self, problem: Any) -> Any:
        return jnp.asarray(RULESETS)[problem]

    def sample_instruction(self, key: Any, problem: Any) -> Any:
        return self.descriptor(problem)[jax.random.randint(key, (1,), 0, len(OBJECTS))]

    def reset(self, key: Any, problem: Any, instruction: Any) -> Any:
        made = self._things[self.descriptor(problem)]
        rules = jax.vmap(lambda tile, thing: AgentNearRule(tile, thing).encode())
        ruleset = RuleSet(
            goal=AgentHoldGoal(self._things[instruction[0].astype(jnp.int32)]).encode(),
            rules=rules(self._objects, made),
            init_tiles=self._objects,
        )
        state = self._world.reset(self._params.replace(ruleset=ruleset), key)
        return state, self._shown(state)

    def step(self, state: Any, action: Any) -> Any:
        state = self._world.step(self._params, state, action)
        return state, self._shown(state)

    def _shown(self, state: Any) -> TimeStep:
        last = state.last()
        found = last & (state.discount == 0)
        observation = {
            "view": state.observation.astype(jnp.uint8),
            "direction": state.state.agent.direction.astype(jnp.int32),
        }
        return TimeStep(observation, state.reward, found, last & ~found, found)

    def render_image(self, state: Any) -> np.ndarray:
        return np.asarray(self._world.render(self._params, state), np.uint8)
