"""Which buses does exploration ride? On the bus worlds: coloured ones, and irrelevant grey ones."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dream_jax.envs.grids import bus, grid
from dream_jax.training import evaluation as evaluate
from dream_jax.types import Agent, Array

KEY = 20_210_721


def rides(agent: Agent, params: Any, split: str, trials: int) -> dict[str, Any]:
    """Per exploration episode and seed: rides, and how many of the buses (of 4) were ridden.

    Both ways of a bus count as that bus. Greedy, every problem of the split, on a bus world;
    `params` has a leading seed axis. By kind that there is, "coloured" and "grey": rides_per_seed
    and buses_ridden_per_seed, a mean over the trials for each seed.
    """
    env: Any = agent.env
    chosen = evaluate.trial_set(env, split, trials, 1, cover=True)
    bus_at = jnp.asarray(env.bus_at)  # [problems, cells]

    def one(params: Any, key: Array, problem: Array, instructions: Array) -> tuple[Array, Array]:
        exploration = agent.meta_test(params, key, problem, instructions).exploration
        x, y = exploration.observation[:-1, 0], exploration.observation[:-1, 1]
        at = bus_at[problem, x.astype(jnp.int32) * bus.SIZE + y]
        ridden = (exploration.action == grid.RIDE) & exploration.mask
        per_bus = jnp.sum((at[:, None] == jnp.arange(8)) & ridden[:, None], axis=0)  # [8]
        kinds = per_bus.reshape(2, 4)
        return kinds.sum(-1), (kinds > 0).sum(-1)

    def roll(params: Any) -> tuple[Array, Array]:
        keys = jax.random.split(jax.random.key(KEY), len(chosen.problem))
        return jax.vmap(one, in_axes=(None, 0, 0, 0))(params, keys, *map(jnp.asarray, chosen))

    there = ("coloured", "grey") if np.any(env.bus_at >= 4) else ("coloured",)
    count, distinct = jax.device_get(jax.jit(lambda p: jax.lax.map(roll, p))(params))
    return {
        kind: {
            "rides_per_seed": np.mean(count[..., k], axis=1).tolist(),
            "buses_ridden_per_seed": np.mean(distinct[..., k], axis=1).tolist(),
        }
        for k, kind in enumerate(there)
    }
