"""Trials as a `gymnax` environment: pure and vmappable. Needs the package gymnax.

from dream_jax.interop import gymnax_trials

env, params = gymnax_trials.make("bus")
observation, state = env.reset(jax.random.key(0), params)
"""

from typing import Any

import jax
import jax.numpy as jnp
from gymnax.environments import environment, spaces

from dream_jax import envs
from dream_jax.interop.trial_env import TrialEnv, TrialState
from dream_jax.types import Array, Env, Key


def make(env: str | Env, **options: Any) -> tuple["GymnaxTrials", environment.EnvParams]:
    """An environment and its parameters, as `gymnax.make` gives them.

    Args:
      env: a family, or a name for `dream_jax.envs.make`.
      options: of `TrialEnv`.
    """
    family = envs.make(env) if isinstance(env, str) else env
    trials = GymnaxTrials(TrialEnv(family, **options))
    return trials, trials.default_params


class GymnaxTrials(environment.Environment):
    """`TrialEnv` with gymnax's interface; `step` resets by itself after a trial."""

    def __init__(self, trials: TrialEnv):
        super().__init__()
        self.trials = trials

    @property
    def default_params(self) -> environment.EnvParams:
        return environment.EnvParams(max_steps_in_episode=self.trials.max_steps)

    @property
    def reference_returns(self) -> dict[str, float]:
        return self.trials.reference_returns

    @property
    def name(self) -> str:
        return f"dream_jax/{self.trials.env.name}"

    @property
    def num_actions(self) -> int:
        return self.trials.num_actions

    def reset_env(self, key: Key, params: Any) -> tuple[Array, TrialState]:
        state, first = self.trials.reset(key)
        return first.observation, state

    def step_env(
        self, key: Key, state: TrialState, action: Any, params: Any
    ) -> tuple[Array, TrialState, Array, Array, dict[str, Any]]:
        state, now = self.trials.step(state, jnp.asarray(action))
        stopped = jax.lax.stop_gradient((now.observation, state))
        return *stopped, now.reward, now.done, {"trial_episode": state.episode}

    def is_truncated(self, state: TrialState, params: Any) -> Array:
        """A trial always ends by itself."""
        return jnp.zeros((), bool)

    def action_space(self, params: Any = None) -> spaces.Discrete:
        return spaces.Discrete(self.num_actions)

    def observation_space(self, params: Any) -> spaces.Box:
        return spaces.Box(-jnp.inf, jnp.inf, (self.trials.observation_size,), jnp.float32)
