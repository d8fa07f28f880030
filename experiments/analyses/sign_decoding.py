"""Does the decoder read the sign, and nothing else? Accuracy on trajectories that saw it or not."""

from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np

from dream_jax.agents.dream_policy import DreamPolicy
from dream_jax.runs.load import LoadedRun
from dream_jax.types import Array, Episode, PixelEnv

KEY = 20_210_720


def accuracy(loaded: LoadedRun, trials: int) -> dict[str, Any]:
    """How often the f(mu) nearest to z = g(tau) is that of the true problem, over all seeds.

    Trajectories are greedy or random. Some of the random ones never see the sign. These do not
    depend on the problem, so an accuracy above 1/3 on them would mean that the id leaks.
    """
    env, agent = cast(PixelEnv, loaded.env), cast(DreamPolicy, loaded.agent)
    problems = jnp.asarray(env.problem_ids("test"))

    def sees(exploration: Episode) -> Array:
        """[] bool: a picture of the trajectory would be another if the sign said something else."""

        def differs(state: Any) -> Array:
            drawn = jax.vmap(lambda p: env.observe(state._replace(problem=p)))(problems)
            return jnp.any(drawn != drawn[:1])

        return jnp.any(jax.lax.map(differs, exploration.observation))

    def one(params: Any, key: Array, problem: Array, epsilon: Array) -> tuple[Array, Array, Array]:
        exploration = agent.explore(params, key, problem, epsilon).episode
        z = agent.read(params, exploration)
        f = jax.vmap(lambda p: agent.encode(params, p))(problems)
        nearest = problems[jnp.argmin(jnp.sum((f - z) ** 2, axis=-1))]
        return nearest == problem, sees(exploration), jnp.sum(exploration.mask)

    def roll(params: Any, epsilon: Array) -> tuple[Array, Array, Array]:
        keys = jax.random.split(jax.random.key(KEY), trials)
        drawn = problems[jnp.arange(trials) % len(problems)]
        return jax.vmap(one, in_axes=(None, 0, 0, None))(params, keys, drawn, epsilon)

    over_seeds = jax.jit(lambda params, epsilon: jax.lax.map(lambda p: roll(p, epsilon), params))
    result = {}
    for name, epsilon in (("greedy", 0.0), ("random", 1.0)):
        right, saw, length = (
            np.asarray(x).ravel() for x in over_seeds(loaded.params, jnp.float32(epsilon))
        )
        result[name] = {
            "trials_saw": int(saw.sum()),
            "accuracy_saw": float(right[saw].mean()) if saw.any() else None,
            "trials_never_saw": int((~saw).sum()),
            "accuracy_never_saw": float(right[~saw].mean()) if (~saw).any() else None,
            "mean_length": float(length.mean()),
        }
    return result
