"""Somebody else's trainer on our trials: the recurrent PPO of purejaxrl as RL^2.

Needs a checkout of purejaxrl (commit 31756b1 was used), and what its files import: gymnax 0.0.9,
brax and navix.

    python -m examples.purejaxrl_trials CHECKOUT FAMILY [STEPS] [SEED]

Its `ppo_rnn.py` is not changed. It gets an environment whose episodes are whole trials, under the
name of the family. Its memory can carry over what exploration finds out.
"""

import importlib
import sys
import time
import types
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from dream_jax.interop import gymnax_trials

ENVIRONMENTS = 64
PARTS = 10  # of training; the mean return of each is reported


class _OldGru(nn.Module):
    """A GRU cell with the interface of older flax, for which the trainer was written."""

    @nn.compact
    def __call__(self, carry: Any, x: Any) -> Any:
        return nn.GRUCell(features=carry.shape[-1])(carry, x)

    @staticmethod
    def initialize_carry(key: Any, batch: tuple[int, ...], size: int) -> Any:
        return jnp.zeros((*batch, size))


def trainer(checkout: str) -> Any:
    """The module `ppo_rnn` of a checkout, with our trials in the place of gymnax's environments."""
    folder = Path(checkout) / "purejaxrl"
    if not (folder / "ppo_rnn.py").is_file():
        raise SystemExit(f"{checkout} is no checkout of purejaxrl: it has no purejaxrl/ppo_rnn.py")
    sys.path.insert(0, str(folder))
    module = importlib.import_module("ppo_rnn")
    module.gymnax = types.SimpleNamespace(make=gymnax_trials.make)  # type: ignore[attr-defined]
    module.nn = types.SimpleNamespace(**{**vars(nn), "GRUCell": _OldGru})  # type: ignore[attr-defined]
    return module


def train(checkout: str, family: str, steps: int, seed: int) -> dict[str, Any]:
    """Returns while training, which draws its actions, beside the exact ones.

    Args:
      checkout: the folder of purejaxrl.
      family: a name for `dream_jax.envs.make`.
      steps: environment steps of training.
      seed: of training.
    """
    env, _ = gymnax_trials.make(family)
    per_update = 2 * env.trials.max_steps * ENVIRONMENTS
    updates = steps // per_update
    if updates < PARTS:
        raise SystemExit(f"{steps} steps are too few: {PARTS} parts need {PARTS * per_update}")
    settings = {
        "LR": 1e-3,
        "NUM_ENVS": ENVIRONMENTS,
        "NUM_STEPS": 2 * env.trials.max_steps,
        "TOTAL_TIMESTEPS": steps,
        "UPDATE_EPOCHS": 4,
        "NUM_MINIBATCHES": 4,
        "GAMMA": 0.99,
        "GAE_LAMBDA": 0.95,
        "CLIP_EPS": 0.2,
        "ENT_COEF": 0.01,
        "VF_COEF": 0.5,
        "MAX_GRAD_NORM": 0.5,
        "ENV_NAME": family,
        "ANNEAL_LR": True,
    }
    run = jax.jit(trainer(checkout).make_train(settings))
    began = time.perf_counter()
    metric = jax.block_until_ready(run(jax.random.PRNGKey(seed)))["metric"]
    ended, returned = (metric[f"returned_episode{x}"] for x in ("", "_returns"))
    parts = zip(np.array_split(ended, PARTS), np.array_split(returned, PARTS), strict=True)
    return {
        "returns": [float(value[end].mean()) for end, value in parts],
        "steps": updates * per_update,
        "seconds": time.perf_counter() - began,
        **env.reference_returns,
    }


if __name__ == "__main__":
    if len(sys.argv) < 3:
        raise SystemExit("give CHECKOUT FAMILY [STEPS] [SEED]")
    _, _checkout, _family, *given = sys.argv
    numbers = [int(word) for word in given]
    found = train(_checkout, _family, *(numbers + [3_000_000, 0][len(numbers) :]))
    for key, value in found.items():
        print(key, np.round(value, 3))
