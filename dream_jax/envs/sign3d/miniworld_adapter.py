"""Miniworld itself as a `dm_env.Environment`, with `Sign`'s observations, actions and rewards.

Needs the extra `miniworld` and OpenGL, with a display or through EGL without one. A process may
have one live environment at a time.
"""

import contextlib
import os
import sys
from collections.abc import Sequence
from typing import Any

import dm_env
import numpy as np
from dm_env import specs

from dream_jax.envs.sign3d import world as sign_world
from dream_jax.envs.sign3d.world import Pose, Scene


class MiniworldUnavailable(RuntimeError):
    """The package or OpenGL is missing. The message is one line that names the remedy."""


class MiniworldSign(dm_env.Environment):
    """Sign navigation in Miniworld, with the interface of `DmEnvAdapter(Sign(...))`, without JAX.

    Problem and instruction: drawn uniformly at each `reset`; `begin` takes them as arguments.
    Start: uniform in `start_region`, as in `Sign`.
    Discount: 0 at termination; 1 at truncation (time-out) and at every other step.
    Seed: the n-th episode after construction depends on (seed, n), the task and the actions alone.

    Raises ValueError for an unknown start region, and MiniworldUnavailable.
    """

    def __init__(self, seed: int = 0, start_region: str = "authors", horizon: int = 20):
        if start_region not in sign_world.START_REGIONS:
            valid = ", ".join(sign_world.START_REGIONS)
            raise ValueError(f"unknown start region {start_region!r}; valid: {valid}")
        self._env = _make(horizon)
        self._start = np.array(sign_world.START_REGIONS[start_region])  # [2, 2]
        self._seed = seed
        self._episodes = 0
        self._needs_reset = True
        self._problem: int | None = None
        self._instruction = 0

    @property
    def problem(self) -> int | None:
        """Id of the running problem; None before the first reset."""
        return self._problem

    def reset(self) -> dm_env.TimeStep:
        """Begins an episode of a random problem and instruction."""
        random = np.random.default_rng((self._seed, self._episodes, 1))
        return self.begin(int(random.integers(3)), [int(random.integers(2))])

    def begin(self, problem: int, instruction: Sequence[int]) -> dm_env.TimeStep:
        """Begins an episode of a problem, the colour on the sign, and an instruction, [shape].

        Raises ValueError if there is no such problem or instruction.
        """
        if problem not in range(3) or len(instruction) != 1 or instruction[0] not in range(2):
            raise ValueError(f"no such task: problem {problem!r}, instruction {instruction!r}")
        self._problem, self._instruction = int(problem), int(instruction[0])
        self._env.set_color_index(self._problem)
        self._env._goal = self._instruction  # it has no setter
        random = np.random.default_rng((self._seed, self._episodes))
        self._env.reset(seed=int(random.integers(2**31)))
        x, z = random.uniform(*self._start.T)
        self._env.agent.pos = np.array([x, 0.0, z])
        self._episodes += 1
        self._needs_reset = False
        return dm_env.restart(self._observe(self._env.render_obs()))

    def step(self, action: int) -> dm_env.TimeStep:
        """Takes an action. If no episode is running, ignores the action and begins one.

        Raises ValueError if there is no such action.
        """
        if self._needs_reset:
            return self.reset()
        if action not in range(4):
            raise ValueError(f"action {action!r} is not an action; valid: 0 .. 3")
        shown, reward, terminated, truncated, _ = self._env.step(int(action))
        observation, reward = self._observe(shown["obs"]), np.float32(reward)
        self._needs_reset = bool(terminated or truncated)
        if terminated:
            return dm_env.termination(reward, observation)
        if truncated:
            return dm_env.truncation(reward, observation, discount=1.0)
        return dm_env.transition(reward, observation)

    def view(self) -> tuple[Any, Any]:
        """(Scene, Pose) of numpy arrays, with which a renderer draws the same picture."""
        pairs = self._env._objects  # boxes, then keys, each by colour
        yaws = np.array([thing.dir for pair in pairs for thing in pair], np.float32)
        x, _, z = self._env.agent.pos
        scene: Any = (np.array(self._problem, np.int32), yaws)
        pose: Any = (np.array([x, z], np.float32), np.array(self._env.agent.dir, np.float32))
        return Scene(*scene), Pose(*pose)

    def render_white_rooms(self) -> np.ndarray:
        """[60, 80, 3] uint8: the agent's view with white walls, floors and ceilings."""
        from miniworld.opengl import Texture

        names = ("wall_tex", "floor_tex", "ceil_tex")
        before = [[getattr(room, name) for name in names] for room in self._env.rooms]
        try:
            for room in self._env.rooms:
                for name in names:
                    setattr(room, name, Texture.get("white"))
            self._env._render_static()
            return np.array(self._env.render_obs())
        finally:
            for room, textures in zip(self._env.rooms, before, strict=True):
                for name, texture in zip(names, textures, strict=True):
                    setattr(room, name, texture)
            self._env._render_static()

    def render_top_view(self) -> np.ndarray:
        """[600, 800, 3] uint8: Miniworld's own view from above."""
        return np.array(self._env.render_top_view(self._env.vis_fb))

    def close(self) -> None:
        """Frees the window, so that another environment can be made."""
        self._env.close()

    def observation_spec(self) -> dict[str, specs.Array]:
        shape = sign_world.FRAME_SHAPE
        return {
            "observation": specs.BoundedArray(shape, np.uint8, 0, 255, name="observation"),
            "instruction": specs.BoundedArray((1,), np.int32, [0], [1], name="instruction"),
        }

    def action_spec(self) -> specs.DiscreteArray:
        return specs.DiscreteArray(4, name="action")

    def reward_spec(self) -> specs.Array:
        return specs.Array((), np.float32, name="reward")

    def discount_spec(self) -> specs.BoundedArray:
        return specs.BoundedArray((), float, minimum=0.0, maximum=1.0, name="discount")

    def _observe(self, picture: np.ndarray) -> dict[str, np.ndarray]:
        return {
            "observation": np.array(picture, np.uint8),
            "instruction": np.array([self._instruction], np.int32),
        }


def _make(horizon: int) -> Any:
    """Miniworld's own environment. Raises MiniworldUnavailable."""
    try:
        import pyglet
    except ImportError:
        raise MiniworldUnavailable(
            "the package miniworld is not installed; install it with `pip install miniworld==2.1.0`"
        ) from None
    if not os.environ.get("DISPLAY"):
        pyglet.options["headless"] = True  # must be set before anything draws
    try:
        from miniworld.envs.sign import Sign
    except ModuleNotFoundError as error:
        raise MiniworldUnavailable(
            f"the package {error.name} is not installed; install it with "
            "`pip install miniworld==2.1.0`"
        ) from None
    except Exception as error:
        raise _no_opengl(error) from None
    try:
        with contextlib.redirect_stdout(sys.stderr):  # it prints the number of samples per pixel
            return Sign(max_episode_steps=horizon)
    except Exception as error:
        raise _no_opengl(error) from None


def _no_opengl(error: Exception) -> MiniworldUnavailable:
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    return MiniworldUnavailable(
        f"Miniworld cannot open OpenGL ({reason}); on Debian: `apt-get install libgl1 libegl1 "
        "libgl1-mesa-dri libglu1-mesa`"
    )
