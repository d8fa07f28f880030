"""A ladder of tiny deterministic environments: the lowest rung that fails names the bug.

| probe | horizon | what a learner must get right to solve it |
|---|---|---|
| OneStep | 1 | values conditioned on the instruction |
| Delayed | 2 | and bootstrapping, across one step without reward |
| Signpost | 2 | and exploration: one action tells the problem, which z must carry |
| Described | 2 | `Signpost` with problems given by descriptors instead of ids |
| Twin | 1 | memory from exploration to exploitation, where any exploration will do |
| Silent | 2 | `Signpost` without instruction: what pays is part of the problem |
| Toll | 2 | `Silent` where looking costs, so that it must be done while exploring |
| Corridor | 4 | and moves whose meaning is the problem, a goal that ends the episode, time-outs |

In all of them the last action ends the episode for a reward of 0, and a step that pays nothing is
free, so the return of the best policy is 1 (`Corridor`: 1 less 0.1 for each step but the last).
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dream_jax.types import Array, Key, TimeStep

# Programs on probes run for milliseconds: compiling them fast is what counts.
quick_jit = functools.partial(
    jax.jit,
    compiler_options={
        "xla_backend_optimization_level": 0,
        "xla_llvm_disable_expensive_passes": True,
    },
)


class ProbeState(NamedTuple):
    problem: Array  # [] int32
    instruction: Array  # [I] int32
    place: Array  # [] int32, what a probe remembers
    step: Array  # [] int32, steps taken


class Probe:
    """What the probes share. Subclasses define `_outcome` and the sizes.

    Observation: [1] the place, and for some probes [2] with a sign (0 none, else 1 + what it says).
    Termination: the last action, or as `_outcome` says. Truncation: at `horizon` steps.
    """

    name: str
    horizon: int
    num_actions: int
    observation_sizes: tuple[int, ...]
    instruction_sizes: tuple[int, ...] = (2,)
    num_problems = 1
    start = 0
    descriptors: np.ndarray | None = None

    @property
    def end_episode_action(self) -> int:
        return self.num_actions - 1

    def _outcome(self, state: ProbeState, action: Array) -> tuple[Array, Array, Array]:
        """(next place, reward, terminated) of an action that does not end the episode."""
        raise NotImplementedError

    def problem_ids(self, split: str) -> np.ndarray:
        if split not in ("train", "test"):
            raise ValueError(f"unknown split {split!r}; valid: train, test")
        return np.arange(self.num_problems, dtype=np.int32)

    def instructions(self, problem: int) -> np.ndarray:
        """Every combination: [M, I]; one row without entries when there is no instruction."""
        return np.array(list(np.ndindex(*self.instruction_sizes)), np.int32)

    def sample_instruction(self, key: Key, problem: Array) -> Array:
        rows = jnp.asarray(self.instructions(0))
        return rows[jax.random.randint(key, (), 0, len(rows))]

    def reset(self, key: Key, problem: Array, instruction: Array) -> tuple[ProbeState, TimeStep]:
        del key  # nothing is random
        state = ProbeState(
            jnp.asarray(problem, jnp.int32),
            jnp.asarray(instruction, jnp.int32),
            jnp.full((), self.start, jnp.int32),
            jnp.zeros((), jnp.int32),
        )
        no = jnp.zeros((), bool)
        return state, TimeStep(self._observe(state), jnp.zeros(()), no, no)

    def step(self, state: ProbeState, action: Array) -> tuple[ProbeState, TimeStep]:
        place, reward, terminated = self._outcome(state, action)
        ended = action == self.end_episode_action
        state = state._replace(place=jnp.where(ended, state.place, place), step=state.step + 1)
        reward = jnp.where(ended, 0.0, reward).astype(jnp.float32)
        terminated = terminated | ended
        truncated = (state.step >= self.horizon) & ~terminated
        return state, TimeStep(self._observe(state), reward, terminated, truncated)

    def _observe(self, state: ProbeState) -> Array:
        return state.place[None].astype(jnp.int32)

    def render_text(self, state: ProbeState) -> str:
        return f"{self.name}: problem {int(state.problem)}, place {int(state.place)}"

    def render_image(self, state: ProbeState) -> np.ndarray:
        image = np.full((8, 8 * self.observation_sizes[0], 3), 255, np.uint8)
        image[:, 8 * int(state.place) : 8 * int(state.place) + 8] = 0
        return image


class OneStep(Probe):
    """Actions 0 and 1: the instructed one pays 1; both end."""

    name, horizon, num_actions, observation_sizes = "one_step", 1, 3, (1,)

    def _outcome(self, state, action):
        return state.place, 1.0 * (action == state.instruction[0]), jnp.ones((), bool)


class Delayed(Probe):
    """The instructed action leads to place 1, the other to place 2; the second step pays 1 at 1."""

    name, horizon, num_actions, observation_sizes = "delayed", 2, 3, (3,)

    def _outcome(self, state, action):
        place = jnp.where(action == state.instruction[0], 1, 2)
        first = state.step == 0
        return jnp.where(first, place, state.place), 1.0 * (~first & (state.place == 1)), ~first


class Signpost(Probe):
    """Problems 0 .. 2. Action 3 shows the problem; (problem + instruction) % 3 pays 1 and ends.

    The other actions below 3 pay nothing, show nothing and end.
    """

    name, horizon, num_actions, observation_sizes = "signpost", 2, 5, (1, 4)
    num_problems = 3
    look = 3

    def _pays(self, state: ProbeState) -> Array:
        return (state.problem + state.instruction[0]) % 3

    def _outcome(self, state, action):
        looked = action == self.look
        place = jnp.where(looked, 1 + state.problem, 0)  # the sign
        return place, 1.0 * (action == self._pays(state)), ~looked

    def _observe(self, state):
        return jnp.stack([jnp.zeros_like(state.place), state.place]).astype(jnp.int32)

    def render_image(self, state):
        return super().render_image(state._replace(place=jnp.int32(0)))


class Twin(Probe):
    """Problems 0 and 1, one step: action 0 or 1, that of the problem pays 1. It shows if it paid.

    Exploring and exploiting are the same: what one tries in exploration tells what to do then.
    """

    name, horizon, num_actions, observation_sizes = "twin", 1, 3, (3,)
    num_problems = 2
    instruction_sizes = ()

    def _outcome(self, state, action):
        paid = action == state.problem
        return 1 + paid.astype(jnp.int32), 1.0 * paid, jnp.ones((), bool)


class Described(Signpost):
    """`Signpost` whose problems are given as points on a circle."""

    name = "described"
    descriptors = np.array([[1.0, 0.0], [-0.5, 0.866], [-0.5, -0.866]], np.float32)


class Silent(Signpost):
    """`Signpost` without an instruction: standard meta-RL."""

    name = "silent"
    instruction_sizes = ()

    def _pays(self, state):
        return state.problem


class Toll(Silent):
    """`Silent` where looking costs 0.5, so that it pays while exploring only: 0.5 without."""

    name = "toll"

    def _outcome(self, state, action):
        place, reward, terminated = super()._outcome(state, action)
        return place, jnp.where(action == self.look, -0.5, reward), terminated


class Corridor(Probe):
    """Places 0 .. 4, start 2; the goal, 0 or 4 by the instruction, pays 1 and ends.

    Actions 0 and 1 move down and up in problem 0, up and down in problem 1; 2 stays; every step
    that does not reach the goal costs 0.1.
    """

    name, horizon, num_actions, observation_sizes = "corridor", 4, 4, (5,)
    num_problems = 2
    start = 2

    def _outcome(self, state, action):
        up = jnp.where(action == 2, 0, jnp.where(action == state.problem, -1, 1))
        place = jnp.clip(state.place + up, 0, 4)
        at_goal = place == 4 * state.instruction[0]
        return place, jnp.where(at_goal, 1.0, -0.1), at_goal
