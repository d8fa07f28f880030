"""GIFs of a held-out trial: exploration with what each step told the agent, then exploitation."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dream_jax.types import Agent, Params
from dream_jax.viz import plots as report


def write(folder: Path, agent: Agent, params: Params, seeds: Sequence[int]) -> None:
    """One GIF per seed; `params` has a leading seed axis."""
    folder.mkdir(parents=True, exist_ok=True)
    env = agent.env
    problem = int(env.problem_ids("test")[0])
    rows = env.instructions(problem)
    instruction = jnp.asarray(rows[len(rows) // 2])  # any; in cooking one of two ingredients
    label = ""

    @jax.jit
    def roll(params, key):
        nonlocal label
        mu = jnp.int32(problem)
        test = agent.meta_test(params, key, mu, instruction[None])
        label, told = agent.step_information(params, test.exploration, problem)
        return test, told

    for i, seed in enumerate(seeds):
        one = jax.tree.map(lambda x, i=i: np.asarray(x)[i], jax.device_get(params))
        test, told = jax.device_get(roll(one, jax.random.key(seed)))
        exploration, before = test.exploration, test.exploration_states
        exploitation, after = _at((test.exploitation, test.exploitation_states), 0)
        frames, captions = [], []
        for t in range(int(exploration.mask.sum()) + 1):
            frames.append(env.render_image(_at(before, t)))
            last = f": {label} {told[t - 1]:.3f}" if t else ""
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
