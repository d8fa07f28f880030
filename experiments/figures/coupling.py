"""The coupling cycle on the bandit, trial by trial: what RL2 and DREAM learn."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dream_jax.bandit import learners
from dream_jax.bandit import problem as bandits
from dream_jax.bandit.problem import Bandit, Sizes
from dream_jax.types import Array

NAMES = {"rl2": "RL2", "dream": "DREAM"}


class Recorded(NamedTuple):
    """T trials of S seeds. Values are those after a trial; row 0 is before the first one."""

    explored: np.ndarray  # [S, T] int32, the exploration action
    pulled: np.ndarray  # [S, T] int32, the arm
    problem: np.ndarray  # [S, T] int32, mu: the arm that pays
    exploration_q: np.ndarray  # [S, T + 1, A] Q_exp
    star_success: np.ndarray  # [S, T + 1] p(right arm) of greedy exploitation after a*
    expected_return: np.ndarray  # [S, T + 1] of both greedy policies
    optimal: np.ndarray  # [S, T + 1] bool, whether a* alone has the highest Q_exp


def record(method: str, actions: int, seeds: Sequence[int], trials: int) -> Recorded:
    """Run seeds with the settings of the preset `paper`, and note every trial.

    Args:
      method: "rl2" or "dream". Both draw the same problems.
      actions: A, at least 2. The last one, a*, reveals the problem.
      seeds: S of them.
      trials: T.
    """
    learner, sizes, options = learners.METHODS[method], Sizes(actions), learners.Options()
    bandit = Bandit(jnp.int32(actions), jnp.int32(actions))

    def values(state: learners.State) -> tuple[Array, Array, Array, Array]:
        def right(problem: Array) -> Array:
            tau = bandits.trajectory_row(sizes, bandit, problem, (bandit.star,))
            return learner.success(bandit, state, tau)[problem]

        success = jnp.mean(jax.vmap(right)(jnp.arange(actions)))
        returns = learners.snapshot(learner, sizes, bandit, state).expected_return
        good = learners.explores_optimally(sizes, bandit, state)
        return state.exploration_q[0], success, returns, good

    def of_seed(seed: Array) -> tuple:
        key = jax.random.key(seed)

        def step(state: learners.State, _: None) -> tuple[learners.State, tuple]:
            after = learners.trial(learner, sizes, bandit, options, key, state)
            explored = jnp.argmax(after.exploration_visits[0] - state.exploration_visits[0])
            pulls = (after.exploitation_visits - state.exploitation_visits).sum(axis=0)
            mu = learners.problem_of(sizes, bandit, key, state)
            return after, ((explored, jnp.argmax(pulls), mu), values(after))

        start = learners.init(learner, sizes, options)
        _, (did, later) = jax.lax.scan(step, start, length=trials)
        first = values(start)
        return did, jax.tree.map(lambda a, b: jnp.concatenate([a[None], b]), first, later)

    did, seen = jax.device_get(jax.jit(jax.vmap(of_seed))(jnp.asarray(seeds, jnp.int32)))
    return Recorded(*did, *seen)


def settled(optimal: np.ndarray) -> int | None:
    """The first trial after which exploration is optimal and stays so; None: none.

    optimal: [T + 1] bool, before the first trial and after each.
    """
    wrong = np.flatnonzero(~optimal)
    first = int(wrong[-1]) + 1 if wrong.size else 0
    return first if first < len(optimal) else None


def data(actions: int, seeds: Sequence[int], trials: int) -> dict[str, Any]:
    """Both learners as data for the page."""
    runs = {method: record(method, actions, seeds, trials) for method in NAMES}
    return {
        "actions": actions,
        "seeds": [
            {
                "seed": seed,
                "trials": trials,
                "methods": [_of_seed(method, run, i) for method, run in runs.items()],
            }
            for i, seed in enumerate(seeds)
        ],
    }


def _of_seed(method: str, run: Recorded, i: int) -> dict[str, Any]:
    mine = {name: np.asarray(values)[i] for name, values in run._asdict().items()}
    after = settled(mine.pop("optimal"))
    numbers = {
        name: (values if values.dtype.kind == "i" else np.round(values.astype(float), 3)).tolist()
        for name, values in mine.items()
    }
    return {"method": method, "name": NAMES[method], "optimal_after": after, **numbers}
