"""Every record and protocol of the library, with the shape of every field.

Shapes are those of ONE trial or ONE sequence; callers add batch axes with `jax.vmap`.

  T  horizon: the most steps an episode can take
  L  steps of the exploration stream, E * T + (E - 1) for E exploration episodes (see `rollout`)
  N  exploitation episodes in a trial
  K  observation components, I  instruction components, Z  size of the encoding z
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol, TypeGuard

import jax
import numpy as np

Array = jax.Array
Key = jax.Array
Params = Any
Gather = Callable[[Array], Array]


class TimeStep(NamedTuple):
    """What an environment shows after `reset` or `step`.

    `terminated` and `truncated` (time-out) are kept apart; the episode is over when either is true.
    Which of them cuts the bootstrap is the learner's choice (`td.bootstrap_on_truncation`).
    """

    # A value of the family's observation space (`specs`): for most, [K] int32, component k in
    # 0 .. observation_sizes[k] - 1.
    observation: Any
    reward: Array  # [] float32; integers and booleans are cast
    terminated: Array  # [] bool
    truncated: Array  # [] bool
    # [] bool: the episode terminates because the task of the instruction is done, or failed for
    # good. Exploration, whose instruction is hidden, goes on then if
    # `trial.hidden_goal_ends_exploration` is off; any other termination ends it. None: with that
    # setting, only "end episode" ends exploration.
    goal: Array | None = None

    @property
    def done(self) -> Array:
        return self.terminated | self.truncated


class Episode(NamedTuple):
    """A padded sequence of T steps; padding repeats the last observation and has mask 0."""

    # [T + 1, ...] o_0 .. o_T as `specs` keeps them, so that o' needs no storage of its own. Of a
    # PixelEnv its states instead: some 50 bytes for a picture, which is drawn when it is needed.
    observation: Any
    action: Array  # [T] uint8; a wider type from 257 actions on
    reward: Array  # [T] float32
    terminated: Array  # [T] bool
    truncated: Array  # [T] bool
    mask: Array  # [T] bool, true on steps that were taken
    # Leaves [T, ...]: of an exploration stream, the instruction that its rewards follow at each
    # step, where `trial.instruction_in_exploration` shows it. None: nobody is shown it here.
    instruction: Any = None


class Trial(NamedTuple):
    """Exploration, then N exploitation episodes of the same problem."""

    problem: Array  # [] int32, the problem id mu
    exploration: Episode  # T = L
    instruction: Any  # leaves [N, ...], most often [N, I] uint8
    exploitation: Episode  # leaves have a leading N
    # [] bool, whether the agent acted on its exploration. If false it acted on the problem id:
    # DREAM exploits with z = f(mu) + noise, IMPORT acts on f(mu) in the whole trial. Always true
    # for agents that never see the id.
    acts_on_exploration: Array


class MetaTest(NamedTuple):
    """A trial at meta-test, with what a picture of it needs. Fields left unused cost nothing."""

    exploration: Episode  # T = L
    exploitation: Episode  # leaves have a leading N
    exploration_states: Any  # leaves [L + 1, ...]
    exploitation_states: Any  # leaves [N, T + 1, ...]
    exploration_q: Array  # [L, A] Q-values that chose each action
    exploitation_q: Array  # [N, T, A]
    z: Array | None  # [Z] the encoding that exploitation acted on; None: the agent has none


class LossTerm(NamedTuple):
    """One loss of one trial, before it is averaged. `training.objective` makes the mean."""

    values: Array  # any shape
    mask: Array  # the same shape, true where a value counts


# The loss terms of one trial, by name.
LossTerms = dict[str, LossTerm]


class LossContext(NamedTuple):
    """What the loss terms of one trial depend on besides parameters and the trial."""

    key: Key
    # What the agent's `batch_statistics` computed from the whole batch, the same for every trial.
    statistics: Any
    # Which terms to compute: "exploitation", "exploration" or both. DREAM may train exploration on
    # a part of each batch. An agent with one policy computes all its terms for "exploitation".
    phases: tuple[str, ...]


class LearnerState(NamedTuple):
    """One learner: parameters, their slow copy, the optimiser. All leaves are arrays."""

    params: Params
    target_params: Params
    opt_state: Any
    updates: Array  # [] int32, gradient updates made


class Learner(NamedTuple):
    """How one of an agent's learners is trained: static, the same throughout a run."""

    warmup_trials: int  # collected before its first update
    # Phases of a trial that this learner acts in. Their steps drive its schedules, and its number
    # of updates where updates follow environment steps.
    phases: tuple[str, ...] = ("exploration", "exploitation")
    weight_decay: float = 0.0
    decayed: Any = None  # tree of bool, a prefix of its parameters; None: all of them decay
    learns: bool = True  # false: its parameters never change
    # Its own among `Agent.loss_names`, for the means that a run reports; None: all of them.
    losses: tuple[str, ...] | None = None


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
    statistics: Any = None  # of numbers seen so far, where there are any: `training.statistics`


class Env(Protocol):
    """A family of problems as pure functions. No auto-reset; nothing is mutated."""

    name: str
    num_actions: int
    end_episode_action: int | None  # None: there is no such action
    horizon: int
    # Sizes of integer components. Any other observation has `observation_spec` instead, and any
    # other instruction `instruction_spec`: see `dream_jax.specs`.
    observation_sizes: tuple[int, ...]
    instruction_sizes: tuple[int, ...]  # () when there is no instruction (standard meta-RL)
    num_problems: int  # None where problems are drawn: see `dream_jax.envs.problems`
    # [num_problems, D] float32, or None for one-hot problem ids. Any other descriptor has
    # `descriptor_spec`, and comes from this table or from a function `descriptor(problem)`.
    descriptors: Any

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
    """An `Env` whose observation is a pure function of the state, most often a large picture.

    States are kept in replay in its place, and drawn when they are needed.
    """

    observation_shape: tuple[int, ...]
    observation_dtype: Any

    def observe(self, state: Any) -> Array:
        """[*observation_shape] of `observation_dtype`: also what `reset` and `step` show."""


def is_key(leaf: Any) -> bool:
    """Whether an array, or a jax.ShapeDtypeStruct, is of typed PRNG keys."""
    return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def is_pixel_env(env: Env) -> TypeGuard[PixelEnv]:
    """Whether replay keeps states, which observations are drawn from: a `PixelEnv`."""
    return hasattr(env, "observe")


class Agent(Protocol):
    """A meta-learner: pure functions of explicit parameters, each of ONE trial; callers vmap.

    `init` returns a NamedTuple with one field per learner. `learners` is the same NamedTuple with a
    `Learner` in each field, and `TrainState.learners` holds a `LearnerState` in each. The updates
    of the first learner are the ones that a run reports.

    A class declares itself by the class attributes below. `agents.registry` lists the classes of
    this package; a config may also name one from outside as MODULE:CLASS.
    """

    name: str  # of the class, as configs and presets give it
    analytic: bool  # of the class: returns are computed, nothing is trained
    acts_on_whole_trial: bool  # of the class: one policy explores and exploits
    has_bottleneck: bool  # of the class: lambda of Eq. 2 applies to its loss "bottleneck"

    config: Any  # config.Config
    env: Env
    loss_names: tuple[str, ...]
    explorer: str  # the learner whose policy explores
    exploiter: str  # the learner whose policy exploits

    def __init__(self, config: Any, env: Env) -> None: ...

    @classmethod
    def check(cls, config: Any) -> None:
        """Raises ConfigError if the agent cannot be trained with this config."""

    @property
    def learners(self) -> Any: ...

    @property
    def loss_weights(self) -> Mapping[str, float]:
        """The weight of each of `loss_names` in what is minimised."""

    def init(self, key: Key) -> Params: ...

    def collect(
        self,
        params: Params,
        key: Key,
        exploration_epsilon: Array,
        exploitation_epsilon: Array,
        acts_on_exploration: Array,
    ) -> Trial:
        """One trial of a training problem, with exploration noise (epsilons and flag are []).

        `acts_on_exploration`: act on the exploration. Otherwise act on the problem id, if the agent
        can.
        """

    def meta_test(self, params: Params, key: Key, problem: Array, instructions: Array) -> MetaTest:
        """One greedy trial. `problem` [] drives the environment and nothing else.

        instructions: [N, I], of the exploitation episodes.
        """

    def informed_test(
        self, params: Params, key: Key, problem: Array, instructions: Array
    ) -> Episode | None:
        """Greedy exploitation episodes, leaves [N, ...], of the agent told the problem id.

        None if the agent cannot be told.
        """

    def batch_statistics(self, params: Params, trials: Trial, gather: Gather) -> Any:
        """What the loss terms of every trial need from the whole batch; None if nothing.

        `trials`: this device's part of the batch, leaves [B, ...]. `gather` turns an array of this
        part, [B, ...], into that of the whole batch.
        """

    def loss_terms(
        self, params: Params, target: Params, trial: Trial, context: LossContext
    ) -> LossTerms:
        """The loss terms of one trial, for the online parameters and the target network's."""

    def step_information(
        self, params: Params, exploration: Episode, problem: Array, trained_on: bool
    ) -> tuple[str, Array]:
        """What each exploration step told the agent, for pictures: a caption and values [L].

        `trained_on`: whether `problem` [] is a training problem.
        """
