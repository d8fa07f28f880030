"""Every record and protocol of the library, with the shape of every field.

Shapes are those of ONE trial or ONE sequence; callers add batch axes with `jax.vmap`.

  T  horizon: the most steps an episode can take
  L  steps of the exploration stream, E * T + (E - 1) for E exploration episodes (see `rollout`)
  N  exploitation episodes in a trial
  K  observation components, I  instruction components, Z  size of the encoding z
"""

from typing import Any, NamedTuple, Protocol, TypeGuard

import jax
import numpy as np

Array = jax.Array
Key = jax.Array
Params = Any


class TimeStep(NamedTuple):
    """What an environment shows after `reset` or `step`.

    `terminated` and `truncated` (time-out) are kept apart; the episode is over when either is true.
    Which of them cuts the bootstrap is the learner's choice (`td.bootstrap_on_truncation`).
    """

    # [K] int32, component k in 0 .. observation_sizes[k] - 1; or `observation_shape` pixels.
    observation: Array
    reward: Array  # [] float32
    terminated: Array  # [] bool
    truncated: Array  # [] bool

    @property
    def done(self) -> Array:
        return self.terminated | self.truncated


class Episode(NamedTuple):
    """A padded sequence of T steps; padding repeats the last observation and has mask 0."""

    # [T + 1, K] uint8: o_0 .. o_T, so that o' needs no storage of its own. Of a PixelEnv its states
    # instead, leaves [T + 1, ...]: some 50 bytes for a picture, which is drawn when it is needed.
    observation: Any
    action: Array  # [T] uint8
    reward: Array  # [T] float32
    terminated: Array  # [T] bool
    truncated: Array  # [T] bool
    mask: Array  # [T] bool, true on steps that were taken


class Trial(NamedTuple):
    """Exploration, then N exploitation episodes of the same problem."""

    problem: Array  # [] int32, the problem id mu
    exploration: Episode  # T = L
    instruction: Array  # [N, I] uint8
    exploitation: Episode  # leaves have a leading N
    z_from_decoder: Array  # [] bool: exploitation acted on z = g(tau), not on z = f(mu) + noise


class ExploitationTerms(NamedTuple):
    """Loss terms of one trial, to be averaged over a batch with their masks."""

    exploitation_td: Array  # [N, T] squared TD errors
    exploitation_mask: Array  # [N, T]
    bottleneck: Array  # []


class ExplorationTerms(NamedTuple):
    """Loss terms of one trial, to be averaged over a batch with their masks."""

    decoder: Array  # [L + 1]
    decoder_mask: Array  # [L + 1]
    exploration_td: Array  # [L] squared TD errors
    exploration_mask: Array  # [L]


class LearnerState(NamedTuple):
    """One learner: parameters, their slow copy, the optimiser. All leaves are arrays."""

    params: Params
    target_params: Params
    opt_state: Any
    updates: Array  # [] int32, gradient updates made


class TrainState(NamedTuple):
    """All that training needs to go on: saved whole, so a resumed run is bit-equal."""

    exploitation: LearnerState  # exploitation policy, encoder and decoder
    exploration: LearnerState  # exploration policy
    average: Params  # slowly averaged parameters, used for evaluation
    replay: Any  # replay.ReplayState
    key: Key
    trials: Array  # [] int32, trials collected
    exploration_steps: Array  # [] int32, environment steps taken while exploring
    exploitation_steps: Array  # [] int32, environment steps taken while exploiting
    update_credit: Array  # [2] float32, updates owed to (exploitation, exploration)


class Env(Protocol):
    """A family of problems as pure functions. No auto-reset; nothing is mutated."""

    name: str
    num_actions: int
    end_episode_action: int
    horizon: int
    observation_sizes: tuple[int, ...]  # () where the observation is pixels: see PixelEnv
    instruction_sizes: tuple[int, ...]  # () when there is no instruction (standard meta-RL)
    num_problems: int
    descriptors: np.ndarray | None  # [num_problems, D] float32, or None for one-hot problem ids

    def problem_ids(self, split: str) -> np.ndarray:
        """[n] int32 ids of a split, 'train' or 'test'."""

    def instructions(self, problem: int) -> np.ndarray:
        """[M, I] int32: the equally likely instructions of a problem, repeated by multiplicity."""

    def sample_instruction(self, key: Key, problem: Array) -> Array:
        """[I] int32."""

    def reset(self, key: Key, problem: Array, instruction: Array) -> tuple[Any, TimeStep]: ...

    def step(self, state: Any, action: Array) -> tuple[Any, TimeStep]: ...

    def render_text(self, state: Any) -> str: ...

    def render_image(self, state: Any) -> np.ndarray:
        """[H, W, 3] uint8."""


class PixelEnv(Env, Protocol):
    """An `Env` whose observation is a picture that is a pure function of the state.

    `step` is `advance`, then `observe`. So rollouts can do without pictures, and states can be
    stored in their place and drawn when they are needed.
    """

    observation_shape: tuple[int, ...]
    observation_dtype: Any

    def advance(self, state: Any, action: Array) -> tuple[Any, Any]:
        """The next state and its `reward`, `terminated` and `truncated`, as fields."""

    def observe(self, state: Any) -> Array:
        """[*observation_shape] of `observation_dtype`: also what `reset` shows."""


def is_pixel_env(env: Env) -> TypeGuard[PixelEnv]:
    """Whether observations are pictures drawn from states: a `PixelEnv`."""
    return hasattr(env, "observe")
