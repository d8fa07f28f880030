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
    # [] bool: acted on what was explored; false: on the problem id (DREAM: exploitation on
    # z = f(mu) + noise; IMPORT: the whole trial). True of agents that never act on the id.
    z_from_decoder: Array


class MetaTest(NamedTuple):
    """A trial as at meta-test, with what is needed to draw it. Unused, that costs nothing."""

    exploration: Episode  # T = L
    exploitation: Episode  # leaves have a leading N
    exploration_states: Any  # leaves [L + 1, ...]
    exploitation_states: Any  # leaves [N, T + 1, ...]


class LearnerState(NamedTuple):
    """One learner: parameters, their slow copy, the optimiser. All leaves are arrays."""

    params: Params
    target_params: Params
    opt_state: Any
    updates: Array  # [] int32, gradient updates made


class Learner(NamedTuple):
    """How one of an agent's learners is trained: static, the same throughout a run."""

    warmup_trials: int  # collected before its first update
    # Phases of a trial whose steps are its own: they move its schedules and pay for its updates.
    phases: tuple[str, ...] = ("exploration", "exploitation")
    weight_decay: float = 0.0
    decayed: Any = None  # tree of bool, a prefix of its parameters': which decay; None: all
    learns: bool = True  # false: its parameters stay as they are
    losses: tuple[str, ...] | None = None  # those of `Agent.loss_names` that are its; None: all


class Dual(NamedTuple):
    """Lambda of Eq. 2 as a dual variable."""

    log_weight: Array  # []
    mean_return: Array  # [] of nearly greedy exploitation with z = f(mu), slowly averaged


class TrainState(NamedTuple):
    """All that training needs to go on: saved whole, so a resumed run is bit-equal."""

    learners: Any  # the agent's parameters, with a LearnerState for the parameters of each learner
    average: Params  # slowly averaged parameters, used for evaluation
    replay: Any  # replay.ReplayState
    key: Key
    trials: Array  # [] int32, trials collected
    exploration_steps: Array  # [] int32, environment steps taken while exploring
    exploitation_steps: Array  # [] int32, environment steps taken while exploiting
    update_credit: Array  # [learners] float32, updates owed to each
    dual: Dual | None = None  # where lambda is adapted


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


def is_key(leaf: Any) -> bool:
    """Whether an array, or a jax.ShapeDtypeStruct, is of typed PRNG keys."""
    return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def is_pixel_env(env: Env) -> TypeGuard[PixelEnv]:
    """Whether observations are pictures drawn from states: a `PixelEnv`."""
    return hasattr(env, "observation_shape")


class Agent(Protocol):
    """A meta-learner: pure functions of explicit parameters, each of ONE trial; callers vmap.

    `init` returns a NamedTuple with one field for each learner; `learners` is the same with a
    `Learner` in each field, and TrainState.learners with a `LearnerState`. The first learner is the
    one whose updates are reported.
    """

    config: Any  # config.Config
    env: Env
    loss_names: tuple[str, ...]
    explorer: str  # the learner whose policy explores
    exploiter: str  # the learner whose policy exploits

    @property
    def learners(self) -> Any: ...

    def init(self, key: Key) -> Params: ...

    def collect(
        self,
        params: Params,
        key: Key,
        exploration_epsilon: Array,
        exploitation_epsilon: Array,
        from_decoder: Array,
    ) -> Trial:
        """A trial of a training problem, with exploration noise (epsilons and flag are []).

        `from_decoder`: act on what was explored; else, where the agent does so, on the problem id.
        """

    def meta_test(self, params: Params, key: Key, problem: Array, instructions: Array) -> MetaTest:
        """A greedy trial; `problem` [] drives the environment and nothing else.

        instructions: [N, I], of the exploitation episodes.
        """

    def informed_test(
        self, params: Params, key: Key, problem: Array, instructions: Array
    ) -> Episode | None:
        """The greedy exploitation episodes, leaves [N, ...], of an agent that is told the problem
        id; None of an agent that cannot be."""

    def batch_loss(
        self,
        params: Params,
        target: Params,
        trials: Trial,
        key: Key,
        exploring: Trial | None = None,
        shards: Any = ...,
        bottleneck_weight: Array | None = None,
    ) -> tuple[Array, dict[str, Array]]:
        """Loss of a batch of trials (leaves [B, ...]) and its parts by name.

        `exploring`: the trials for what learns to explore where they are fewer. `shards`, a
        parallel.Shards: both are this device's part of a batch, and the results are its share.
        `bottleneck_weight`: lambda [], if not the config's; None for an agent without a bottleneck.
        """

    def told(self, params: Params, exploration: Episode, problem: int) -> tuple[str, Array]:
        """For pictures: what each exploration step told, [L], and the name of that quantity."""
