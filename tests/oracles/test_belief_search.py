"""The search over beliefs: brute force, goldens derived by hand."""

import jax.numpy as jnp
import numpy as np
import pytest

from dream_jax.oracles import bounds as oracles
from tests.oracles.doors import Doors, FewBuses, FewFridges, instructed, simulator_of, small
from tests.tiers import quick, slow


def brute_force(env):
    """(optimal, no exploration), each [num_problems]."""
    simulator = simulator_of(env)
    knowing, blind = np.zeros(env.num_problems), np.zeros(env.num_problems)
    for instruction, weight in instructed(env).items():
        members = {mu: simulator.reset(mu, instruction) for mu in weight}
        for mu, value in simulator.expectimax(members, weight).items():
            blind[mu] += weight[mu] * value
        for mu in members:
            alone = simulator.expectimax({mu: members[mu]}, {mu: 1.0})
            knowing[mu] += weight[mu] * alone[mu]
    return knowing, blind


@pytest.mark.parametrize(
    ("family", "horizon"),
    [(FewBuses, 3), slow((FewBuses, 4)), (FewFridges, 2), slow((FewFridges, 3))],
)
def test_equals_brute_force_on_small_grids(family, horizon):
    env = small(family, horizon)
    knowing, blind = brute_force(env)
    ids = env.problem_ids("train")
    np.testing.assert_allclose(oracles.optimal(env, "train"), knowing[ids], atol=1e-5)
    np.testing.assert_allclose(oracles.no_exploration(env, "train"), blind[ids], atol=1e-5)
    assert knowing.mean() > blind.mean() + 0.01


@pytest.mark.parametrize("horizon", quick([1, 2, 3], 2))
@pytest.mark.parametrize(
    ("cost", "hinted"), [(0.1, False), (0.25, False), (0.15, True), (0.3, True)]
)
def test_no_policy_does_better(horizon, cost, hinted):
    env = Doors(horizon, cost, hinted)
    simulator, best = simulator_of(env), 0.0
    for instruction, weight in instructed(env).items():
        members = {mu: simulator.reset(mu, instruction) for mu in weight}
        totals = [sum(weight[mu] * r for mu, r in p.items()) for p in simulator.policies(members)]
        # 4 actions at the end; with k left and one problem 1 + 4 + 4 + 1 = 10 for k = 2, with two
        # problems the square after peeking: 4 + 4 + 4^2 + 1, 10 + 10 + 10^2 + 1.
        assert len(totals) == {1: 4, 2: 25, 3: 121}[horizon]
        best += max(totals) / env.num_problems
    assert oracles.no_exploration(env, "train").mean() == pytest.approx(best, abs=1e-6)
    knowing, blind = brute_force(env)
    np.testing.assert_allclose(oracles.optimal(env, "train"), knowing, atol=1e-6)
    np.testing.assert_allclose(oracles.no_exploration(env, "train"), blind, atol=1e-6)


@pytest.mark.parametrize(
    ("horizon", "cost", "hinted", "expected"),
    [
        (1, 0.3, False, 0.25),  # one door at random: (1 - 0.5) / 2
        (2, 0.3, False, 0.75),  # then the other: (1 + 0.5) / 2; tied doors, so equal on both ids
        (2, 0.1, False, 0.9),  # peek, then open
        (1, 0.3, True, 0.5),  # the hinted door: 2/3 - 0.5/3
        (2, 0.3, True, 5 / 6),  # 2/3 + 0.5/3
    ],
)
def test_doors_by_hand(horizon, cost, hinted, expected):
    env = Doors(horizon, cost, hinted)
    assert oracles.no_exploration(env, "train") == pytest.approx([expected] * 2, abs=1e-6)
    assert oracles.no_exploration(env, "test") == pytest.approx([expected], abs=1e-6)
    assert oracles.optimal(env, "train") == pytest.approx([1.0, 1.0], abs=1e-6)


def test_the_first_observation_counts():
    class Open(Doors):
        shows_problem_at_first = True

    assert oracles.bounds(Open(2), "train")[:2] == pytest.approx((1.0, 1.0), abs=1e-6)


def test_the_reward_counts():
    class Whispering(Doors):  # peeking shows nothing, but costs 0.05 more if the problem is 1
        def step(self, state, action):
            after, seen = super().step(state, action)
            hidden = seen.observation.at[0].set(0)
            extra = jnp.where(action == 2, 0.05 * state.problem, 0.0)
            return after, seen._replace(observation=hidden, reward=seen.reward - extra)

    blind = oracles.no_exploration(Whispering(2, cost=0.1), "train")
    assert blind == pytest.approx([0.9, 0.85], abs=1e-6)
