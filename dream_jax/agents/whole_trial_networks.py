"""The networks of an agent with ONE recurrent Q-policy for a whole trial.

`History` remembers the trial; the policy is DREAM's exploitation policy, Q(s, i, context).
"""

import dataclasses
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from dream_jax import specs
from dream_jax.agents import inputs, trial_sequence
from dream_jax.agents.exploration_noise import random_action_set
from dream_jax.agents.trial_sequence import TrialSequence
from dream_jax.config import Config
from dream_jax.networks.history import History, Slots
from dream_jax.networks.policies import ExploitationPolicy
from dream_jax.networks.values import check_observations
from dream_jax.types import Array, Env, Key, Params, Trial


class Informed(NamedTuple):
    """A context made from the problem id, for agents that have one."""

    use: Array | bool  # [] act on it
    context: Array  # [C]


class WholeTrialNetworks:
    """The networks. A subclass says what its parameters and its context are."""

    name: ClassVar[str]
    analytic: ClassVar[bool] = False
    acts_on_whole_trial: ClassVar[bool] = True
    has_bottleneck: ClassVar[bool] = False
    explorer, exploiter = "policy", "policy"

    def __init__(self, config: Config, env: Env, history_size: int, context_size: int):
        check_observations(config.networks, env)
        self.config, self.env = config, env
        self.context_size = context_size
        instruction = trial_sequence.instruction_values(env)
        sizes = (specs.observation(env), instruction, env.num_actions)
        self._history = History(config.networks, *sizes, history_size)
        # No memory of its own: the context holds all that was seen, in this episode too.
        networks = dataclasses.replace(config.networks, exploitation_memory="none")
        self._policy = ExploitationPolicy(networks, *sizes)
        self._random_actions = random_action_set(config.acting, env.num_actions)

    @classmethod
    def check(cls, config: Config) -> None:
        """Every config that `validation` accepts can be trained."""

    # For subclasses to define

    def history_weights(self, params: Any) -> Params:
        raise NotImplementedError

    def policy_weights(self, params: Any) -> Params:
        raise NotImplementedError

    def context(self, history: Array) -> Array:
        """The policy's context, [..., C], from the output of `History`."""
        return history

    def informed(self, params: Any, problem: Array, use: Array | bool) -> Informed | None:
        """A context of the problem id. None: the agent never sees it."""
        return None

    # Parameters

    def init_history(self, key: Key) -> Params:
        slots = self._example()
        return self._history.init(key, slots, jnp.ones(2, bool))

    def init_policy(self, key: Key) -> Params:
        slots = self._example()
        context = jnp.zeros((2, self.context_size))
        return self._policy.init(key, slots.observation, slots.instruction, context, slots.time)

    def _example(self) -> Slots:
        return Slots(
            inputs.example_observation(self.env, 2),
            jax.tree.map(lambda x: jnp.stack([x, x]), trial_sequence.hidden(self.env)),
            jnp.zeros(2, jnp.int32),
            jnp.zeros(2),
            jnp.zeros(2, bool),
            jnp.zeros(2),
        )

    # What a trial has shown

    def sequence(self, trial: Trial) -> TrialSequence:
        """The slots of a recorded trial."""
        return trial_sequence.of_trial(self.config, self.env, trial)

    def remember(self, params: Any, sequence: TrialSequence) -> Array:
        """The output of `History` at every slot. Padding leaves its memory as it is."""
        return self._history.apply(self.history_weights(params), sequence.slots, sequence.mask)
