"""The tabular bandit: which explorations tell problems apart, and which arm pays."""

import jax.numpy as jnp
import numpy as np
import pytest

from dream_jax.bandit import problem as envs
from tests.bandit.families import family


@pytest.mark.parametrize(("actions", "horizon"), [(3, 1), (3, 2), (2, 4)])
def test_only_the_optimal_exploration_tells_problems_apart(actions, horizon):
    sizes, bandit = family(actions, horizon)
    star, rows = (actions - 1,) * horizon, set()
    for sequence in np.ndindex(*(actions,) * horizon):
        seen = {
            int(envs.trajectory_row(sizes, bandit, problem, tuple(map(jnp.int32, sequence))))
            for problem in range(actions)
        }
        assert len(seen) == (actions if sequence == star else 1)
        assert not rows & seen  # what was done is always seen
        rows |= seen
    assert all(0 <= row < sizes.trajectories for row in rows)


def test_every_history_has_a_row_of_its_own():
    sizes, _ = family(3, 3)
    histories = [h for depth in range(3) for h in np.ndindex(*(3,) * depth)]
    rows = [int(envs.prefix_row(sizes, h)) for h in histories]
    assert sorted(rows) == list(range(sizes.prefixes)) == list(range(13))


def test_one_arm_pays():
    assert [float(envs.pays(jnp.int32(1), jnp.int32(arm))) for arm in range(3)] == [0.0, 1.0, 0.0]
