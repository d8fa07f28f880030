"""Which buses does exploration ride? Coloured ones matter on the bus worlds, grey ones do not."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dream_jax.envs.grids import bus, grid
from dream_jax.training import evaluation as evaluate
from dream_jax.types import Agent, Array

KEY = 20_210_721


def rides(agent: Agent, params: Any, split: str, trials: int) -> dict[str, Any]:
    """Rides of greedy exploration on every problem of a split of a bus world.

    Args:
      agent: its environment is a bus world.
      params: leaves [seeds, ...].
      split: "train" or "test".
      trials: at least.

    Returns:
      For "coloured" and, if there are any, "grey" buses: `rides_per_seed` and
      `buses_ridden_per_seed`, means over trials for each seed. There are 4 buses of each kind. A
      bus counts once, in whichever direction it is ridden.
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
