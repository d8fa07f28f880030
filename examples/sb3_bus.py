"""Somebody else's trainer on our trials: recurrent PPO as RL^2 on bus.

Needs the package sb3-contrib (stable-baselines3, PyTorch).

    python -m examples.sb3_bus [STEPS] [SEED]

The trainer is not changed. It gets a registered gymnasium environment, whose episodes are whole
trials: exploration, then exploitation. Its memory can carry over what exploration finds out.
"""

import sys
import time
from typing import Any

import gymnasium
import numpy as np
from sb3_contrib import RecurrentPPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy

import dream_jax.interop.gymnasium_trials  # noqa: F401  # registers the environments

ENVIRONMENTS = 16
TRIALS = 200  # of the evaluation


def train(family: str, steps: int, seed: int) -> dict[str, Any]:
    """The greedy return of the trained policy beside the exact ones.

    Args:
      family: a benchmark's name.
      steps: environment steps of training.
      seed: of training.
    """
    name = f"dream_jax/{family}-v0"
    worlds = make_vec_env(name, ENVIRONMENTS, seed=seed)
    trainer = RecurrentPPO(
        "MlpLstmPolicy", worlds, n_steps=82, batch_size=328, learning_rate=1e-3, ent_coef=0.01,
        seed=seed, device="cpu",
    )  # fmt: skip
    began = time.perf_counter()
    trainer.learn(steps)
    seconds = time.perf_counter() - began
    returned, _ = evaluate_policy(trainer, worlds, TRIALS)
    return {
        "return": float(np.mean(returned)),
        "steps": trainer.num_timesteps,
        "seconds": seconds,
        **gymnasium.make(name).unwrapped.reference_returns,  # type: ignore[attr-defined]
    }


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:]]
    found = train("bus", *(given + [200_000, 0][len(given) :]))
    for key, value in found.items():
        print(key, round(value, 3))
