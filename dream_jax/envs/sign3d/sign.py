"""3D sign navigation: walk around a barrier, read a sign, fetch the object it tells of."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dream_jax.envs.sign3d import raycast, top_view
from dream_jax.envs.sign3d import world as sign_world
from dream_jax.envs.sign3d.world import Pose, Scene
from dream_jax.types import Array, Key, TimeStep

LEFT, RIGHT, FORWARD, END = range(4)


class SignState(NamedTuple):
    problem: Array  # [] int32, the colour that the sign names
    instruction: Array  # [1] int32, the shape to fetch
    position: Array  # [2] float32, (x, z) in metres
    heading: Array  # [] float32, radians, not wrapped
    object_yaw: Array  # [6] float32, radians
    step: Array  # [] int32, steps taken


class Outcome(NamedTuple):
    """What a step means, without its picture."""

    reward: Array  # [] float32
    terminated: Array  # [] bool
    truncated: Array  # [] bool


_STEPS_TO_ANY_OBJECT = 13  # at most, from any start


class Sign:
    """Find out which colour the sign names, then fetch the object of that colour.

    World: a U-shaped room of 10 x 13 m in 3D (`sign_world`), a box and a key of each colour, at
      fixed places; a sign, hidden behind a barrier, that reads BLUE, RED or GREEN. At most 20
      steps (`horizon`).
    Problem: 3 ids: 0 the sign says blue, 1 red, 2 green. `train` and `test` are all ids.
    Observation: [60, 80, 3] uint8, what a camera at 1.5 m sees; rows from top to bottom.
      `quality` names a renderer of `raycast.QUALITIES`.
    Instruction: [1] the shape to fetch, 0 box or 1 key, equally likely; size 2.
    Actions: 0 turn left by 45 degrees, 1 turn right, 2 forward by 0.7 m, 3 end episode, which also
      steps back by 0.7 m first. A move that would come closer than 0.4 m to a wall or an object is
      not made at all.
    Reward: looked at after the move: +1 near the object that has the sign's colour and the
      instructed shape, -1 near any other object, else 0. Near is up to 1.74 m from the centre of a
      box and 1.91 m from that of a key, through walls too. As in the other environments, it is the
      caller who hides the rewards of exploration and gives it an instruction nobody sees.
    Termination: near any object, or by "end episode". Truncation: at `horizon` steps.
    Reset: position uniform in `start_region` ('authors' as in the paper, or 'farama', as in
      Miniworld 2.1.0: larger), heading and the yaw of every object uniform.

    `advance` and `observe` are the two halves of `step`: to store states and draw them later.
    """

    name = "sign"
    num_actions = 4
    end_episode_action = END
    observation_sizes: tuple[int, ...] = ()  # pixels, not components
    observation_shape = sign_world.FRAME_SHAPE
    observation_dtype = np.uint8
    instruction_sizes: tuple[int, ...] = (len(sign_world.SHAPES),)
    num_problems = len(sign_world.COLOURS)
    descriptors: np.ndarray | None = None

    def __init__(self, horizon: int = 20, quality: str = "fast", start_region: str = "authors"):
        if horizon < 1:
            raise ValueError(f"horizon={horizon}: an episode needs at least 1 step, for example 20")
        if start_region not in sign_world.START_REGIONS:
            valid = ", ".join(sign_world.START_REGIONS)
            raise ValueError(f"unknown start region {start_region!r}; valid: {valid}")
        self.horizon = int(horizon)
        reached = self.horizon >= _STEPS_TO_ANY_OBJECT  # else starts differ: nan, not known
        # Without exploration a guess pays 1/3 - 2/3 < 0, so the best is to end the episode. For
        # `oracles`.
        self.reference_returns = (1.0 if reached else np.nan, 0.0)
        # Whoever samples a colour and acts optimally for it fetches an object and never goes to
        # look at the sign. One time in three it is the right one; otherwise its reward leaves two
        # colours, and guessing one of them is worth as much as ending the episode: 0. For
        # `pearl_ub`.
        self.reference_pearl_ub = 1 / 3 if reached else np.nan
        self.quality = quality
        self._render: Callable[[Scene, Pose], Array] = raycast.make_renderer(quality)
        self._start = np.array(sign_world.START_REGIONS[start_region], np.float32)  # [2, 2]

    def problem_ids(self, split: str) -> np.ndarray:
        if split not in ("train", "test"):
            raise ValueError(f"unknown split {split!r}; valid: train, test")
        return np.arange(self.num_problems, dtype=np.int32)

    def instructions(self, problem: int) -> np.ndarray:
        return np.arange(len(sign_world.SHAPES), dtype=np.int32)[:, None]

    def sample_instruction(self, key: Key, problem: Array) -> Array:
        return jax.random.randint(key, (1,), 0, len(sign_world.SHAPES))

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
        """`step` without the picture."""
        turn = jnp.where(action == LEFT, 1.0, jnp.where(action == RIGHT, -1.0, 0.0))
        heading = state.heading + (turn * sign_world.TURN).astype(jnp.float32)
        stride = jnp.where(action == FORWARD, 1.0, jnp.where(action == END, -1.0, 0.0))
        forward = jnp.stack([jnp.cos(heading), -jnp.sin(heading)])
        target = state.position + stride * sign_world.STRIDE * forward
        position = jnp.where(_blocked(target), state.position, target)
        state = state._replace(position=position, heading=heading, step=state.step + 1)

        distance = _length(position - jnp.asarray(sign_world.OBJECT_POSITION))
        near = distance < sign_world.NEAR_DISTANCE
        right = state.problem == sign_world.OBJECT_COLOUR
        right &= state.instruction[0] == sign_world.OBJECT_SHAPE
        reward = jnp.where(jnp.any(near & right), 1.0, jnp.where(jnp.any(near), -1.0, 0.0))
        terminated = jnp.any(near) | (action == END)
        truncated = (state.step >= self.horizon) & ~terminated
        return state, Outcome(reward.astype(jnp.float32), terminated, truncated)

    def observe(self, state: SignState) -> Array:
        """[60, 80, 3] uint8: the picture that belongs to a state."""
        return self._render(*view(state))

    def render_text(self, state: SignState) -> str:
        return top_view.as_text(*view(state))

    def render_image(self, state: SignState) -> np.ndarray:
        """What the agent sees, beside the room from above with the agent as an arrow."""
        scene, pose = jax.device_get(view(state))
        return top_view.beside(np.asarray(self.observe(state)), scene, pose)


def view(state: SignState) -> tuple[Scene, Pose]:
    """What a renderer needs of a state."""
    return Scene(state.problem, state.object_yaw), Pose(state.position, state.heading)


def _blocked(position: Array) -> Array:
    """[] bool: an agent at `position` [2] would overlap a wall or an object."""
    low, high = sign_world.WALL_SEGMENTS[:, 0], sign_world.WALL_SEGMENTS[:, 1]
    # The walls are parallel to the axes, so the nearest point of each is a clip.
    to_wall = _length(position - jnp.clip(position, low, high))
    to_object = _length(position - jnp.asarray(sign_world.OBJECT_POSITION))
    hits_object = to_object < sign_world.AGENT_RADIUS + sign_world.OBJECT_RADIUS
    return jnp.any(to_wall < sign_world.AGENT_RADIUS) | jnp.any(hits_object)


def _length(vectors: Array) -> Array:
    return jnp.sqrt(jnp.sum(vectors**2, axis=-1))
