"""Does exploitation use z? The same episodes with z of this trial, of another problem, and without.

A policy that uses z loses return when z is another problem's. One that reads the problem off the
exploitation episode itself, or ignores it, does not.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dream_jax.agents.dream_policy import DreamPolicy
from dream_jax.training import evaluation
from dream_jax.types import Array

KEY = 20_210_723


class UseOfZ(NamedTuple):
    """Mean returns of exploitation, by what z was."""

    own: Array  # [] z = g(tau), of this trial's exploration
    shuffled: Array  # [] z = g(tau) of an exploration of another problem
    unexplored: Array  # [] z = g of the empty trajectory: exploration cut to nothing
    zero: Array  # [] z = 0


def returns(agent: DreamPolicy, params: Any, split: str, trials: int) -> list[dict[str, float]]:
    """Greedy returns on every problem of a split, for each seed: those of `UseOfZ` by name.

    Args:
      agent: DREAM, or an ablation of it.
      params: leaves [seeds, ...].
      split: of the problems. "Another" problem is a training problem.
      trials: at least.
    """
    settings = agent.config.trial
    chosen = evaluation.trial_set(
        agent.env,
        split,
        trials,
        settings.exploitation_episodes,
        cover=True,
        redraw=settings.redraw_instruction,
    )
    others = other_problems(agent.env.problem_ids("train"), chosen.problem)

    def one(params: Any, key: Array, problem: Array, other: Array, instructions: Array) -> UseOfZ:
        explore_key, other_key, exploit_key = jax.random.split(key, 3)
        epsilon = jnp.float32(agent.test_epsilon)
        explored = agent.explore(params, explore_key, problem, epsilon).episode
        elsewhere = agent.explore(params, other_key, other, epsilon).episode
        own = agent.read(params, explored)
        encodings = UseOfZ(
            own,
            agent.read(params, elsewhere),
            agent.decode(params, explored)[0],
            jnp.zeros_like(own),
        )

        def played(z: Array) -> Array:
            rolled = agent.exploit_all(params, exploit_key, problem, instructions, z)
            return jnp.mean(jnp.sum(rolled.episode.reward, axis=-1))

        return UseOfZ(*map(played, encodings))

    @jax.jit
    def roll(params: Any) -> UseOfZ:
        keys = jax.random.split(jax.random.key(KEY), len(others))
        inputs = chosen.problem, others, chosen.instruction
        return jax.lax.map(
            lambda p: jax.vmap(one, (None, 0, 0, 0, 0))(p, keys, *map(jnp.asarray, inputs)), params
        )

    found = jax.device_get(roll(params))
    return [
        {name: float(np.mean(values[i])) for name, values in found._asdict().items()}
        for i in range(len(found.own))
    ]


def other_problems(train: np.ndarray, problems: np.ndarray) -> np.ndarray:
    """[n] int32 for each of `problems` [n] a training problem that differs from it, at random."""
    drawn = np.random.default_rng(0).choice(train, len(problems))
    # The one after it in the list, where the draw is the problem itself.
    following = train[(np.searchsorted(train, drawn) + 1) % len(train)]
    return np.where(drawn == problems, following, drawn).astype(np.int32)
