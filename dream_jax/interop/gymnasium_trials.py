"""Trials as a `gymnasium.Env`. Importing this module registers those of all benchmarks.

import gymnasium
import dream_jax.interop.gymnasium_trials

env = gymnasium.make("dream_jax/bus-v0", split="test")
"""

import functools
from typing import Any

import gymnasium
import jax
import numpy as np
from gymnasium import spaces

from dream_jax import envs
from dream_jax.interop.trial_env import TrialEnv
from dream_jax.types import Env


class GymnasiumTrials(gymnasium.Env):
    """`TrialEnv` with gymnasium's interface. `info` has `trial_episode`, `problem` and, at the
    end, `trial_return`. The key "episode" belongs to gymnasium's wrappers.

    The n-th trial after a seed depends on the seed, n and the actions alone.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 4}

    def __init__(self, family: str | Env = "bus", render_mode: str | None = None, **options: Any):
        """
        Args:
          family: one, or a name for `dream_jax.envs.make`.
          render_mode: None or "rgb_array".
          options: of `TrialEnv`.
        """
        self.trials, self._reset, self._step = _compiled(family, **options)  # type: ignore[arg-type]
        self.render_mode = render_mode
        size = (self.trials.observation_size,)
        self.observation_space = spaces.Box(-np.inf, np.inf, size, np.float32)
        self.action_space = spaces.Discrete(self.trials.num_actions)
        self._state: Any = None
        self._return = 0.0

    @property
    def reference_returns(self) -> dict[str, float]:
        return self.trials.reference_returns

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        number = int(self.np_random.integers(2**31 - 1))
        self._state, first = self._reset(jax.random.key(number))
        self._return = 0.0
        return np.array(first.observation), self._information()

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self._state, now = self._step(self._state, np.int32(action))
        self._return += float(now.reward)
        done = bool(now.done)
        information = self._information() | ({"trial_return": self._return} if done else {})
        return np.array(now.observation), float(now.reward), done, False, information

    def render(self) -> np.ndarray | None:
        """[H, W, 3] uint8, or None without a render mode."""
        if self.render_mode is None:
            return None
        return self.trials.env.render_image(jax.device_get(self._state.world))

    def _information(self) -> dict[str, Any]:
        return {"trial_episode": int(self._state.episode), "problem": int(self._state.problem)}


@functools.lru_cache(maxsize=32)
def _compiled(family: str | Env, **options: Any) -> tuple[TrialEnv, Any, Any]:
    """Trials, with their jitted reset and step: shared, since trainers make many environments."""
    made = envs.make(family) if isinstance(family, str) else family
    trials = TrialEnv(made, **options)
    return trials, jax.jit(trials.reset), jax.jit(trials.step)


for _name in envs.ENVIRONMENTS:
    gymnasium.register(
        f"dream_jax/{_name}-v0",
        entry_point=f"{__name__}:GymnasiumTrials",
        kwargs={"family": _name},
    )
