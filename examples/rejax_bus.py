"""Somebody else's trainer on our trials: PPO of rejax on bus. Needs the package rejax.

    python -m examples.rejax_bus [STEPS] [SEED]

rejax is not changed. It gets one environment, whose episodes are whole trials: exploration, then
exploitation. Its policy has no memory, so it cannot use what exploration finds out: it can learn
`no_exploration`, and no more.
"""

import sys
import time
from typing import Any

import jax
import numpy as np
from rejax import PPO

from dream_jax.interop import gymnax_trials

ENVIRONMENTS = 64


def train(family: str, steps: int, seed: int) -> dict[str, Any]:
    """Returns of the trained policy beside the exact ones.

    Args:
      family: a name for `dream_jax.envs.make`.
      steps: environment steps of training.
      seed: of training.
    """
    env, parameters = gymnax_trials.make(family)
    trainer = PPO.create(
        env=env,
        env_params=parameters,
        total_timesteps=steps,
        eval_freq=steps // 5,
        num_envs=ENVIRONMENTS,
        num_steps=env.trials.max_steps,
        num_minibatches=8,
        num_epochs=4,
        learning_rate=1e-3,
        max_grad_norm=0.5,
        gamma=0.99,
        ent_coef=0.01,
    )
    began = time.perf_counter()
    _, (_, returns) = jax.block_until_ready(jax.jit(trainer.train)(jax.random.key(seed)))
    means = np.asarray(returns).mean(axis=1)  # [evaluations] of 128 trials each
    return {
        "returns": means.tolist(),
        "steps": steps,
        "seconds": time.perf_counter() - began,
        **env.reference_returns,
    }


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:]]
    found = train("bus", *(given + [2_000_000, 0][len(given) :]))
    for name, value in found.items():
        print(name, np.round(value, 3))
