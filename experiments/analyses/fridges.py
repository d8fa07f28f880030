"""Which fridges does exploration open, and what does the trial return then? On cooking."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dream_jax.envs.grids import cooking, grid
from dream_jax.training import evaluation as evaluate
from dream_jax.types import Agent, Array

KEY = 20_210_722


def fridges(agent: Agent, params: Any, split: str, trials: int) -> list[dict[str, list]]:
    """For each seed, of trials whose exploration picked up at k = 0 to 3 different fridges:
    `share` [4] of all trials, and `return` [4], the mean return (None where there are none).

    Greedy, every problem of the split; `params` has a leading seed axis.
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
