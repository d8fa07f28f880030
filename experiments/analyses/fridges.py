"""How many fridges does exploration open on cooking, and what does the trial return then?"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dream_jax.envs.grids import cooking, grid
from dream_jax.training import evaluation as evaluate
from dream_jax.types import Agent, Array

KEY = 20_210_722


def fridges(agent: Agent, params: Any, split: str, trials: int) -> list[dict[str, list]]:
    """Greedy trials on every problem of a split, by the number of fridges that exploration opened.

    Args:
      agent: its environment is cooking.
      params: leaves [seeds, ...].
      split: "train" or "test".
      trials: at least.

    Returns:
      For each seed: `share` [4], the share of trials with k = 0 to 3 fridges opened, and
      `return` [4], their mean return. None: there are no such trials.
    """
    chosen = evaluate.trial_set(agent.env, split, trials, 1, cover=True)

    def one(params: Any, key: Array, problem: Array, instructions: Array) -> tuple[Array, Array]:
        test = agent.meta_test(params, key, problem, instructions)
        exploration, exploitation = test.exploration, test.exploitation
        x, y = exploration.observation[:-1, 0], exploration.observation[:-1, 1]
        opening = (x == cooking.FRIDGE_X) & (exploration.action == grid.PICK) & exploration.mask
        opened = jnp.any((y[:, None] == jnp.arange(cooking.SIZE)) & opening[:, None], axis=0)
        return jnp.sum(opened), jnp.sum(exploitation.reward)

    def roll(params: Any) -> tuple[Array, Array]:
        keys = jax.random.split(jax.random.key(KEY), len(chosen.problem))
        return jax.vmap(one, in_axes=(None, 0, 0, 0))(params, keys, *map(jnp.asarray, chosen))

    counts, returns = jax.device_get(jax.jit(lambda p: jax.lax.map(roll, p))(params))
    return [
        {
            "share": [float(np.mean(opened == k)) for k in range(cooking.SIZE + 1)],
            "return": [
                float(np.mean(got[opened == k])) if np.any(opened == k) else None
                for k in range(cooking.SIZE + 1)
            ],
        }
        for opened, got in zip(counts, returns, strict=True)
    ]
