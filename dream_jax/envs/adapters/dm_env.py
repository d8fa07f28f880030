"""Any environment of this library, and any of your own, as a `dm_env.Environment`."""

import operator
from collections.abc import Sequence
from typing import Any

import dm_env
import jax
import jax.numpy as jnp
import numpy as np
from dm_env import specs

from dream_jax.types import Array, Env, Key, TimeStep


class DmEnvAdapter(dm_env.Environment):
    """Episodes of an environment family, one after another, behind the dm_env interface.

    Problem: drawn uniformly from `split` at each reset, unless `problem` fixes its id.
    Instruction: drawn for that problem at each reset, unless `instruction` [I] fixes it. A fixed
      instruction restricts the draw to the problems of the split that have it.
    Observation: a dict of "observation" and "instruction". Each integer component has its own
      bounds; pixels have those of their dtype. An empty instruction has shape (0,). The problem id
      is not observed.
    Discount: 0 at termination; 1 at truncation (time-out) and at every other step.
    Seed: the n-th episode after construction depends on (seed, n) and the actions alone.

    An environment whose observation is not a vector of integer components declares it with the
    attributes `observation_shape` and `observation_dtype`.

    Raises ValueError for an unknown split, for a problem id out of range, and for an instruction
    that none of the problems has.
    """

    def __init__(
        self,
        env: Env,
        split: str = "train",
        seed: int = 0,
        problem: int | None = None,
        instruction: Sequence[int] | None = None,
    ):
        problems = np.asarray(env.problem_ids(split), np.int32)
        if problem is not None:
            message = f"problem {problem!r} is not an id; valid: 0 .. {env.num_problems - 1}"
            problems = np.array([_checked_index(problem, env.num_problems, message)], np.int32)
        fixed = None
        if instruction is not None:
            problems = _problems_with(env, problems, instruction)
            fixed = np.ravel(instruction).astype(np.int32)

        def reset(key: Key) -> tuple[Any, TimeStep, Array, Array]:
            problem_key, instruction_key, reset_key = jax.random.split(key, 3)
            drawn = jnp.asarray(problems)[jax.random.randint(problem_key, (), 0, len(problems))]
            if fixed is None:
                shown = env.sample_instruction(instruction_key, drawn)
            else:
                shown = jnp.asarray(fixed)
            return *env.reset(reset_key, drawn, shown), drawn, shown

        def begin(key: Key, problem: Array, instruction: Array) -> tuple[Any, TimeStep]:
            return env.reset(jax.random.split(key, 3)[2], problem, instruction)

        self._env = env
        self._reset, self._begin = jax.jit(reset), jax.jit(begin)
        self._step = jax.jit(env.step)
        self._key = jax.random.key(seed)
        self._episodes = 0
        self._needs_reset = True
        self._state: Any = None
        self._problem: int | None = None
        self._instruction: np.ndarray | None = None

    @property
    def problem(self) -> int | None:
        """Id of the running problem; None before the first reset."""
        return self._problem

    @property
    def state(self) -> Any:
        """State of the wrapped environment, for `render_text` and `render_image`."""
        return self._state

    def reset(self) -> dm_env.TimeStep:
        """Begins the next episode."""
        self._state, first, problem, instruction = self._reset(self._next_key())
        return self._started(first, int(problem), np.asarray(instruction))

    def begin(self, problem: int, instruction: Sequence[int]) -> dm_env.TimeStep:
        """Begins an episode of this problem with this instruction [I].

        The problem may be of any split. Raises ValueError if there is no such problem, or if it
        does not have the instruction.
        """
        valid = self._env.num_problems
        message = f"problem {problem!r} is not an id; valid: 0 .. {valid - 1}"
        chosen = np.array([_checked_index(problem, valid, message)], np.int32)
        _problems_with(self._env, chosen, instruction)
        shown = np.ravel(instruction).astype(np.int32)
        self._state, first = self._begin(self._next_key(), chosen[0], shown)
        return self._started(first, int(chosen[0]), shown)

    def step(self, action: int) -> dm_env.TimeStep:
        """Takes an action. If no episode is running, ignores the action and begins one.

        Raises ValueError if there is no such action.
        """
        if self._needs_reset:
            return self.reset()
        valid = self._env.num_actions
        message = f"action {action!r} is not an action; valid: 0 .. {valid - 1}"
        # Always the same type, so that `step` is traced once.
        index = np.int32(_checked_index(action, valid, message))
        self._state, now = self._step(self._state, index)
        self._needs_reset = bool(now.done)
        reward, observation = np.float32(now.reward), self._observe(now)
        if now.terminated:
            return dm_env.termination(reward, observation)
        if now.truncated:
            return dm_env.truncation(reward, observation, discount=1.0)
        return dm_env.transition(reward, observation)

    def observation_spec(self) -> dict[str, specs.Array]:
        """Specs of the two entries of an observation."""
        return {
            "observation": _observation_spec(self._env),
            "instruction": _components_spec(self._env.instruction_sizes, "instruction"),
        }

    def action_spec(self) -> specs.DiscreteArray:
        """Actions are 0 to num_actions - 1."""
        return specs.DiscreteArray(self._env.num_actions, name="action")

    def reward_spec(self) -> specs.Array:
        """A reward is a float32 scalar without bounds."""
        return specs.Array((), np.float32, name="reward")

    def discount_spec(self) -> specs.BoundedArray:
        """A discount is a scalar, 0 or 1."""
        return specs.BoundedArray((), float, minimum=0.0, maximum=1.0, name="discount")

    def _next_key(self) -> Key:
        key = jax.random.fold_in(self._key, self._episodes)
        self._episodes += 1
        return key

    def _started(self, first: TimeStep, problem: int, instruction: np.ndarray) -> dm_env.TimeStep:
        self._problem, self._instruction = problem, instruction
        self._needs_reset = False
        return dm_env.restart(self._observe(first))

    def _observe(self, time_step: TimeStep) -> dict[str, np.ndarray]:
        # Copies, so that the caller may change them.
        return {
            "observation": np.array(time_step.observation),
            "instruction": np.array(self._instruction),
        }


def _checked_index(value: Any, size: int, message: str) -> int:
    """`value` as an int. Raises ValueError(message) unless it is an integer in 0 .. size - 1."""
    try:
        index = operator.index(value)
    except TypeError:
        raise ValueError(message) from None
    if not 0 <= index < size:
        raise ValueError(message)
    return index


def _problems_with(env: Env, problems: np.ndarray, instruction: Sequence[int]) -> np.ndarray:
    """Ids [m] of the problems [n] that have the instruction. Raises ValueError if none has it."""
    wanted = tuple(np.ravel(instruction).tolist())
    offered = {int(p): [tuple(row) for row in env.instructions(p).tolist()] for p in problems}
    found = [problem for problem, rows in offered.items() if wanted in rows]
    if not found:
        problem, rows = next(iter(offered.items()))
        raise ValueError(
            f"instruction {wanted} belongs to none of the {len(problems)} problems; "
            f"valid, for problem {problem}: {rows[0]}"
        )
    return np.array(found, np.int32)


def _observation_spec(env: Env) -> specs.Array:
    shape = getattr(env, "observation_shape", None)
    if shape is None:
        return _components_spec(env.observation_sizes, "observation")
    dtype = np.dtype(getattr(env, "observation_dtype", np.uint8))
    if not np.issubdtype(dtype, np.integer):
        return specs.Array(shape, dtype, name="observation")
    info = np.iinfo(dtype)
    return specs.BoundedArray(shape, dtype, info.min, info.max, name="observation")


def _components_spec(sizes: Sequence[int], name: str) -> specs.BoundedArray:
    """Component k lies in 0 .. sizes[k] - 1."""
    maximum = np.array(sizes, np.int32) - 1
    return specs.BoundedArray((len(sizes),), np.int32, np.zeros_like(maximum), maximum, name=name)
