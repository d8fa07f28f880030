"""XLand-MiniGrid: 15,625 rulesets made in code. Needs the package xminigrid.

    python -m experiments.own_problem examples.xland_objects:Objects --out=runs/xland

Six objects are in a room. When the agent picks one up, a rule of the problem turns it into a star
of one of five colours. The instruction names the colour that is wanted. In exploitation the first
pick up ends the episode. It pays 1 - 0.9 * step / horizon if it gives the wanted star, else
nothing. In exploration the agent may put things down and go on. Without exploration it can only
guess. 10,000 rulesets are for training, all others are unseen. Each is described by what the
objects turn into.
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
from xminigrid.core.rules import AgentHoldRule
from xminigrid.types import RuleSet

from dream_jax.types import TimeStep

OBJECTS = tuple(
    (shape, colour)
    for shape in (Tiles.BALL, Tiles.SQUARE)
    for colour in (Colors.RED, Colors.GREEN, Colors.BLUE)
)
STARS = tuple(
    (Tiles.STAR, colour)
    for colour in (Colors.PURPLE, Colors.YELLOW, Colors.ORANGE, Colors.WHITE, Colors.PINK)
)
# What a cell or the agent's hand may hold, by its number in observations.
KINDS = (
    (Tiles.EMPTY, Colors.EMPTY),
    (Tiles.FLOOR, Colors.BLACK),
    (Tiles.WALL, Colors.GREY),
    *OBJECTS,
    *STARS,
)
FIRST_STAR = len(KINDS) - len(STARS)
FIRST_OBJECT = FIRST_STAR - len(OBJECTS)
# [15625, 6] the star that each object turns into
RULESETS = np.array(list(itertools.product(range(len(STARS)), repeat=len(OBJECTS))), np.int32)
TRAINING = 10_000
ACTIONS = 5  # forward, turn right, turn left, pick up, put down
SIDE, VIEW = 7, 5
AHEAD = VIEW - 2, VIEW // 2  # the cell of the view in front of the agent


def _numbers() -> np.ndarray:
    """[tiles, colours] the number of a kind."""
    found = np.zeros(TILES_REGISTRY.shape[:2], np.uint8)
    for number, kind in enumerate(KINDS):
        found[kind] = number
    return found


class Objects:
    num_actions = ACTIONS
    observation_spec = {
        "view": specs.BoundedArray((VIEW, VIEW), np.uint8, 0, len(KINDS) - 1),
        # Also in the view. Alone it starts with the weight of all the view, and is used sooner.
        "ahead": specs.BoundedArray((), np.uint8, 0, len(KINDS) - 1),
        "holds": specs.BoundedArray((), np.uint8, 0, len(KINDS) - 1),
    }
    instruction_sizes = (len(STARS),)
    num_problems = len(RULESETS)
    descriptor_spec = specs.BoundedArray((len(OBJECTS),), np.int32, 0, len(STARS) - 1)
    settings = {
        "env": {"horizon": 30},
        "trial": {"hidden_goal_ends_exploration": False},
        "acting": {"random_action_counts": [3, 1, 1, 2, 1]},
        # As for cooking_large: z must not shrink before it is of use.
        "networks": {"encoder_init_scale": 1.0},
        "optimizer": {"weight_decay": 0.0},
        "losses": {"bottleneck_weight": 2e-8},
        "training": {
            "trials": 122_880,
            "evaluation_trials": 256,
            "trials_per_iteration": 256,
            "updates_per_iteration": 64,
        },
        "replay": {
            "warmup_trials_exploration": 4_096,
            "capacity_trials": 16_384,
            "batch_trials": 64,
        },
    }

    def __init__(self, horizon: int):
        self.horizon = horizon
        self._world, params = xminigrid.make("XLand-MiniGrid-R1-9x9")
        self._params = params.replace(height=SIDE, width=SIDE, view_size=VIEW, max_steps=horizon)
        self._objects = jnp.stack([TILES_REGISTRY[tile] for tile in OBJECTS])
        self._stars = jnp.stack([TILES_REGISTRY[tile] for tile in STARS])
        self._numbers = _numbers()
        order = np.random.default_rng(0).permutation(len(RULESETS)).astype(np.int32)
        self._splits = {"train": np.sort(order[:TRAINING]), "test": np.sort(order[TRAINING:])}

    def problem_ids(self, split: str) -> np.ndarray:
        return self._splits[split]

    def descriptor(self, problem: Any) -> Any:
        return jnp.asarray(RULESETS)[problem]

    def sample_instruction(self, key: Any, problem: Any) -> Any:
        return self.descriptor(problem)[jax.random.randint(key, (1,), 0, len(OBJECTS))]

    def reset(self, key: Any, problem: Any, instruction: Any) -> Any:
        made = self._stars[self.descriptor(problem)]
        rules = jax.vmap(lambda tile, star: AgentHoldRule(tile, star).encode())
        ruleset = RuleSet(
            goal=AgentHoldGoal(self._stars[instruction[0].astype(jnp.int32)]).encode(),
            rules=rules(self._objects, made),
            init_tiles=self._objects,
        )
        state = self._world.reset(self._params.replace(ruleset=ruleset), key)
        return state, self._shown(state, jnp.asarray(False))

    def step(self, state: Any, action: Any) -> Any:
        ahead, empty = self._view(state)[AHEAD], self._held(state) == 0
        turns = empty & (ahead >= FIRST_OBJECT) & (ahead < FIRST_STAR)
        state = self._world.step(self._params, state, action)
        return state, self._shown(state, turns & (self._held(state) > 0))

    def _view(self, state: Any) -> Any:
        """[VIEW, VIEW] numbers of what the agent sees; it stands at the middle of the last row."""
        return self._number(state.observation)

    def _held(self, state: Any) -> Any:
        """The number of what the agent holds, 0 for nothing."""
        return self._number(state.state.agent.pocket)

    def _number(self, tiles: Any) -> Any:
        """[..., tile and colour] -> [...]"""
        return jnp.asarray(self._numbers)[tiles[..., 0], tiles[..., 1]]

    def _shown(self, state: Any, turned: Any) -> TimeStep:
        """`turned`: an object was picked up. That decides the task, for better or worse."""
        view = self._view(state)
        observation = {"view": view, "ahead": view[AHEAD], "holds": self._held(state)}
        # The goal of XLand is reached at each "pick up" with the wanted star in hand.
        reward = jnp.where(turned, state.reward, 0.0)
        late = state.state.step_num >= self.horizon
        return TimeStep(observation, reward, turned, late & ~turned, turned)

    def render_image(self, state: Any) -> np.ndarray:
        return np.asarray(self._world.render(self._params, state), np.uint8)
