"""3D sign navigation: walk around a barrier, read a sign, fetch the object that it names."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dream_jax.drawing import raster
from dream_jax.envs.sign3d import raycast, top_view
from dream_jax.envs.sign3d import world as sign_world
from dream_jax.envs.sign3d.sign_view import SignView
from dream_jax.envs.sign3d.world import Pose, Scene
from dream_jax.types import Array, Key, TimeStep

LEFT, RIGHT, FORWARD, END = range(4)


class SignState(NamedTuple):
    """State of one episode."""

    problem: Array  # [] int32, the colour that the sign names
    instruction: Array  # [1] int32, the shape to fetch
    position: Array  # [2] float32, (x, z) in metres
    heading: Array  # [] float32, radians, not wrapped
    object_yaw: Array  # [6] float32, radians
    step: Array  # [] int32, steps taken


class Outcome(NamedTuple):
    """Result of a step, without the picture."""

    reward: Array  # [] float32
    terminated: Array  # [] bool
    truncated: Array  # [] bool


_STEPS_TO_ANY_OBJECT = 13  # at most, from any start
_SEARCHED_HORIZON = 20
# The return without exploration, by start region: means over 1,000 starts of `oracles.sign_search`,
# by `python -m experiments.sign_reading --starts=1000 [--start_region=farama]`.
NO_EXPLORATION = {"authors": 1.0, "farama": 1.0}


class Sign:
    """Find out which colour the sign names, then fetch the object of that colour (Liu et al. 2021).

    World: a U-shaped room of 10 x 13 m in 3D (module `world`) with a box and a key of each colour
      at fixed positions. Behind a barrier, a sign reads BLUE, RED or GREEN. At most 20 steps
      (`horizon`).
    Problem: 3 ids: the sign reads 0 blue, 1 red, 2 green. `train` and `test` both contain all ids.
    Observation: [60, 80, 3] uint8, the picture of a camera at 1.5 m, rows from top to bottom.
      `quality` names a renderer of `raycast.QUALITIES`.
    Instruction: [1] the shape to fetch, 0 box or 1 key, equally likely; size 2.
    Actions: 0 turn left by 45 degrees, 1 turn right by 45 degrees, 2 forward by 0.7 m, 3 end
      episode, after a step back by 0.7 m. A move that would end closer than 0.4 m to a wall or an
      object is not made at all.
    Reward: depends on the position after the action: +1 near the object of the sign's colour and
      the instructed shape, -1 near any other object, else 0. Near means within 1.74 m of the centre
      of a box, or 1.91 m of the centre of a key, also through walls. As in the other environments,
      hiding the rewards and the instruction of an exploration episode is left to the caller.
    Termination: near any object, or by "end episode". Truncation: at `horizon` steps.
    Reset: the position is uniform in `start_region`: 'authors' as in the paper, or 'farama' as in
      Miniworld 2.1.0, which is larger. The heading and the yaw of every object are uniform.

    `step` is `advance`, then `observe`. Use the two apart to store states and draw them later.

    Raises ValueError for a horizon below 1, an unknown start region or an unknown quality, and
    ImportError for a quality that needs the package miniworld if it is not installed.
    """

    name = "sign"
    num_actions = 4
    end_episode_action: int | None = END
    observation_sizes: tuple[int, ...] = ()  # pixels, not components
    observation_shape = sign_world.FRAME_SHAPE
    observation_dtype = np.uint8
    objects = sign_world.OBJECTS
    instruction_sizes: tuple[int, ...] = (len(objects.shapes),)
    num_problems = objects.colours
    descriptors: np.ndarray | None = None

    def __init__(self, horizon: int = 20, quality: str = "fast", start_region: str = "authors"):
        if horizon < 1:
            raise ValueError(f"horizon={horizon}: an episode needs at least 1 step, for example 20")
        if start_region not in sign_world.START_REGIONS:
            valid = ", ".join(sign_world.START_REGIONS)
            raise ValueError(f"unknown start region {start_region!r}; valid: {valid}")
        self.horizon = int(horizon)
        # With fewer steps the returns depend on the start and are not known: nan.
        reached = self.horizon >= _STEPS_TO_ANY_OBJECT
        # (optimal, without exploration), read by `oracles.bounds`. Without an exploration episode
        # the sign can be read in the exploitation episode: searched for the usual horizon only.
        without = NO_EXPLORATION[start_region] if self.horizon == _SEARCHED_HORIZON else np.nan
        self.reference_returns = (1.0 if reached else np.nan, without)
        # Who never reads the sign ends the episode, since a guess is worth 1/3 - 2/3 < 0.
        self.no_reading_return = 0.0
        # Read by `oracles.pearl_ub`. Thompson sampling draws a colour and acts optimally for it, so
        # it fetches an object in exploration. Its reward tells whether the colour is the right one.
        # If not, with three colours two are left: a guess is then worth 0, and a policy that
        # exploits Bayes-optimally reads the sign, which is worth as much as without exploration.
        known = 1.0 if self.num_problems == 2 else 1 / 3
        self.reference_pearl_ub = {
            "sample": known if reached else np.nan,
            "bayes_optimal": known + (1 - known) * without if reached else np.nan,
        }
        self.quality = quality
        self._render: Callable[[Scene, Pose], Array] = raycast.make_renderer(
            quality, objects=self.objects
        )
        self._draw = jax.jit(self.observe)  # of single states, for people
        self._start = np.array(sign_world.START_REGIONS[start_region], np.float32)  # [2, 2]

    def problem_ids(self, split: str) -> np.ndarray:
        if split not in ("train", "test"):
            raise ValueError(f"unknown split {split!r}; valid: train, test")
        return np.arange(self.num_problems, dtype=np.int32)

    def instructions(self, problem: int) -> np.ndarray:
        return np.arange(len(self.objects.shapes), dtype=np.int32)[:, None]

    def sample_instruction(self, key: Key, problem: Array) -> Array:
        return jax.random.randint(key, (1,), 0, len(self.objects.shapes))

    def reset(self, key: Key, problem: Array, instruction: Array) -> tuple[SignState, TimeStep]:
        position_key, heading_key, yaw_key = jax.random.split(key, 3)
        low, high = self._start.T
        state = SignState(
            jnp.asarray(problem, jnp.int32),
            jnp.asarray(instruction, jnp.int32),
            jax.random.uniform(position_key, (2,), jnp.float32, low, high),
            jax.random.uniform(heading_key, (), jnp.float32, -np.pi, np.pi),
            jax.random.uniform(yaw_key, (6,), jnp.float32, -np.pi, np.pi),
            jnp.zeros((), jnp.int32),
        )
        no = jnp.zeros((), bool)
        return state, TimeStep(self.observe(state), jnp.zeros((), jnp.float32), no, no)

    def step(self, state: SignState, action: Array) -> tuple[SignState, TimeStep]:
        state, outcome = self.advance(state, action)
        return state, TimeStep(self.observe(state), *outcome)

    def advance(self, state: SignState, action: Array) -> tuple[SignState, Outcome]:
        """`step` without drawing the picture."""
        turn = jnp.where(action == LEFT, 1.0, jnp.where(action == RIGHT, -1.0, 0.0))
        heading = state.heading + (turn * sign_world.TURN).astype(jnp.float32)
        stride = jnp.where(action == FORWARD, 1.0, jnp.where(action == END, -1.0, 0.0))
        forward = jnp.stack([jnp.cos(heading), -jnp.sin(heading)])
        target = state.position + stride * sign_world.STRIDE * forward
        position = jnp.where(self._blocked(target), state.position, target)
        state = state._replace(position=position, heading=heading, step=state.step + 1)

        distance = _length(position - jnp.asarray(self.objects.position))
        near = distance < self.objects.near_distance
        right = state.problem == self.objects.colour
        right &= state.instruction[0] == self.objects.shape
        reward = jnp.where(jnp.any(near & right), 1.0, jnp.where(jnp.any(near), -1.0, 0.0))
        terminated = jnp.any(near) | (action == END)
        truncated = (state.step >= self.horizon) & ~terminated
        return state, Outcome(reward.astype(jnp.float32), terminated, truncated)

    def observe(self, state: SignState) -> Array:
        """[60, 80, 3] uint8: the picture of a state."""
        return self._render(*view(state))

    def render_text(self, state: SignState) -> str:
        return top_view.as_text(*view(state), self.objects)

    def render_image(self, state: SignState) -> np.ndarray:
        """[H, 720, 3] uint8: the observation, and to its right the room from above."""
        return raster.pixels(self.view().draw(state, [], told=True), 720)

    def view(self) -> SignView:
        return SignView(self._draw, self.objects, self.num_actions)

    def _blocked(self, position: Array) -> Array:
        """[] bool: whether an agent at `position` [2] would overlap a wall or an object."""
        low, high = sign_world.WALL_SEGMENTS[:, 0], sign_world.WALL_SEGMENTS[:, 1]
        # The walls are parallel to the axes, so clipping gives the nearest point of each.
        to_wall = _length(position - jnp.clip(position, low, high))
        to_object = _length(position - jnp.asarray(self.objects.position))
        hits_object = to_object < sign_world.AGENT_RADIUS + self.objects.radius
        return jnp.any(to_wall < sign_world.AGENT_RADIUS) | jnp.any(hits_object)


class SignWords(Sign):
    """The sign world of the authors' blog: ball, box and key, two colours, no action that ends.

    World: a box, a key and a ball of blue and of red at the places of `Sign`'s objects. The sign
      reads BLUE or RED. Only the quality 'fast' draws it.
    Problem: 2 ids: the sign reads 0 blue, 1 red. `train` and `test` both contain both.
    Instruction: [1] the shape to fetch, 0 box, 1 key or 2 ball, equally likely; size 3.
    Actions: 0 turn left, 1 turn right, 2 forward. A trial's exploration ends near an object or at
      the horizon.
    Reward: as in `Sign`; near a ball means within 1.57 m of its centre.
    Everything else is as in `Sign`. The blog shows no numbers; places and sizes are our own.
    """

    name = "sign_words"
    num_actions = 3
    end_episode_action = None
    objects = sign_world.OBJECTS_WITH_BALLS
    instruction_sizes = (len(objects.shapes),)
    num_problems = objects.colours


def view(state: SignState) -> tuple[Scene, Pose]:
    """The arguments of a renderer, read off a state."""
    return Scene(state.problem, state.object_yaw), Pose(state.position, state.heading)


def _length(vectors: Array) -> Array:
    return jnp.sqrt(jnp.sum(vectors**2, axis=-1))
