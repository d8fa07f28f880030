"""GIFs of a held-out trial: exploration with what each step told about z, then exploitation.

On a problem that was trained on, that is the information gain. On any other f(mu) was never
trained, so it is how far the step moved the reading of z: |g(tau_:t) - g(tau_:t-1)|.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dream_jax import report, rollout
from dream_jax.agents.dream import Dream, DreamParams
from dream_jax.losses.dream import information_gain


def write(folder: Path, agent: Dream, params: DreamParams, seeds: Sequence[int]) -> None:
    """One GIF per seed; `params` has a leading seed axis."""
    folder.mkdir(parents=True, exist_ok=True)
    env, config = agent.env, agent.config
    problem = int(env.problem_ids("test")[0])
    trained_on = problem in env.problem_ids("train")
    label = "gain" if trained_on else "z moved by"
    rows = env.instructions(problem)
    instruction = jnp.asarray(rows[len(rows) // 2])  # any; in cooking one of two ingredients
    epsilon = jnp.float32(1.0 if config.agent == "random_exploration" else 0.0)

    @jax.jit
    def roll(params, key):
        explore_key, exploit_key = jax.random.split(key)
        mu = jnp.int32(problem)
        explorer = agent.exploration_actor(params, epsilon)
        exploration, exploration_states = rollout.explore(
            env, *explorer, explore_key, mu, config.trial
        )
        z = agent.read(params, exploration)
        exploiter = agent.exploitation_actor(params, instruction, z, jnp.float32(0.0))
        exploitation, exploitation_states = rollout.exploit(
            env, *exploiter, exploit_key, mu, instruction
        )
        g = agent.decode(params, exploration)
        if trained_on:
            gain = information_gain(g, agent.encode(params, mu), 0.0)
        else:
            gain = jnp.linalg.norm(g[1:] - g[:-1], axis=-1)
        return exploration, exploration_states, gain, exploitation, exploitation_states

    for i, seed in enumerate(seeds):
        one = jax.tree.map(lambda x, i=i: np.asarray(x)[i], jax.device_get(params))
        exploration, before, gain, exploitation, after = jax.device_get(
            roll(one, jax.random.key(seed))
        )
        frames, captions = [], []
        for t in range(int(exploration.mask.sum()) + 1):
            frames.append(env.render_image(_at(before, t)))
            last = f": {label} {gain[t - 1]:.3f}" if t else ""
            captions.append(f"exploration, step {t}{last}")
        total = 0.0
        for t in range(int(exploitation.mask.sum()) + 1):
            frames.append(env.render_image(_at(after, t)))
            total += float(exploitation.reward[t - 1]) if t else 0.0
            captions.append(
                f"exploitation, instruction {np.asarray(instruction).tolist()}, step {t}: "
                f"return {total:+.2f}"
            )
        report.save_gif(folder / f"problem{problem}_seed{seed}.gif", frames, captions)


def _at(states: Any, t: int) -> Any:
    return jax.tree.map(lambda x: x[t], states)
