"""The tabular learners by hand, and what Section 5.2 says of them."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dream_jax.bandit import learners as agents
from dream_jax.bandit import problem as envs
from dream_jax.bandit.problem import Bandit, Sizes
from dream_jax.viz.statistics import power_law
from experiments import bandit as experiment
from experiments.figures import bandit_runs as bandit_sweep
from tests.bandit.families import DEFAULT, family


def test_choices():
    q = jnp.array([0.5, 2.0, 2.0, -1.0, 9.0])  # the last action is not there
    draws = jax.random.uniform(jax.random.key(0), (6000, 2))

    def shares(epsilon):
        chosen = jax.vmap(lambda pair: agents.choose(q, jnp.int32(4), epsilon, pair))(draws)
        return np.bincount(chosen, minlength=5) / len(draws)

    # Standard error of a share: below sqrt(0.25 / 6000) = 0.0065.
    np.testing.assert_allclose(shares(0.0), [0, 0.5, 0.5, 0, 0], atol=0.026)
    np.testing.assert_allclose(shares(1.0), [0.25, 0.25, 0.25, 0.25, 0], atol=0.026)
    np.testing.assert_allclose(shares(0.4), [0.1, 0.4, 0.4, 0.1, 0], atol=0.026)
    assert shares(0.0)[[0, 3, 4]].tolist() == [0, 0, 0]
    assert shares(1.0)[4] == 0


def plain_python(method, actions, horizon, arms, options, key, trials):
    """The learners again, as dictionaries keyed by what was seen; for the same random draws."""
    draws = jax.vmap(lambda t: jax.random.uniform(jax.random.fold_in(key, t), (2 * horizon + 3,)))
    draws = np.asarray(draws(jnp.arange(trials)))
    explore, exploit, seen, last_wrong = {}, {}, {}, 0

    def value(table, history, action, initial):
        return table.get((history, action), (initial, 0))[0]

    def learn(table, history, action, target, initial):
        q, visits = table.get((history, action), (initial, 0))
        rate = options.step_size or 1 / (visits + 1)
        table[history, action] = (q + rate * (target - q), visits + 1)

    def choose(table, history, count, pair, initial):
        q = [value(table, history, action, initial) for action in range(count)]
        allowed = [a for a in range(count) if pair[0] < options.epsilon or q[a] == max(q)]
        return allowed[int(np.float32(pair[1]) * np.float32(len(allowed)))]

    first, second = options.initial_exploration_q, options.initial_exploitation_q
    for t in range(trials):
        mu = int(np.float32(draws[t, 0]) * np.float32(actions))
        done = ()
        for step in range(horizon):
            pair = draws[t, 1 + 2 * step : 3 + 2 * step]
            done = (*done, choose(explore, done, actions, pair, first))
        tau = (done, mu if done == (actions - 1,) * horizon else None)
        context = tau if method == "rl2" else mu
        arm = choose(exploit, context, arms, draws[t, -2:], second)
        learn(exploit, context, arm, float(arm == mu), second)
        if method == "rl2":
            target = max(value(exploit, tau, a, second) for a in range(arms))
        else:
            seen[tau, mu] = seen.get((tau, mu), 0) + 1
            total = sum(count for (what, _), count in seen.items() if what == tau)
            target = math.log(seen[tau, mu] / total)
        for depth in reversed(range(horizon)):
            learn(explore, done[:depth], done[depth], target, first)
            target = max(value(explore, done[:depth], a, first) for a in range(actions))
        for depth in range(horizon):
            row = [value(explore, (actions - 1,) * depth, a, first) for a in range(actions)]
            if row[-1] <= max(row[:-1]):
                last_wrong = t + 1
    return explore, last_wrong


@pytest.mark.parametrize("method", agents.METHODS)
@pytest.mark.parametrize(
    ("actions", "horizon", "arms", "options"),
    [
        (3, 1, 3, DEFAULT),
        (3, 2, 9, DEFAULT),
        (2, 3, 2, agents.Options(0.3, 0.25, 1.0, 0.5)),
    ],
)
def test_equals_plain_python(method, actions, horizon, arms, options):
    sizes, bandit = family(actions, horizon, arms)
    learner, key, trials = agents.METHODS[method], jax.random.key(3), 150
    state = agents.init(learner, sizes, options)
    state = jax.jit(functools.partial(agents.run, learner, sizes, trials=trials))(
        bandit, options, key, state
    )
    explore, last_wrong = plain_python(method, actions, horizon, arms, options, key, trials)
    assert len(explore) >= actions
    for (history, action), (q, visits) in explore.items():
        row = envs.prefix_row(sizes, history)
        assert int(state.exploration_visits[row, action]) == visits
        assert float(state.exploration_q[row, action]) == pytest.approx(q, abs=1e-5)
    assert int(state.exploration_visits.sum()) == horizon * trials
    assert int(state.last_wrong) == last_wrong
    assert int(state.trials) == trials


def test_dream_by_hand():
    # Two actions; action 0 shows nothing. Seen once, its problem seems certain: log 1. Then, with
    # the other problem: log 1/2, and the average of the two.
    sizes, bandit = family(2)
    state = agents.init(agents.DREAM, sizes, DEFAULT)
    for problem, target in ((0, 0.0), (1, math.log(1 / 2)), (1, math.log(2 / 3))):
        state = state._replace(seen=state.seen.at[0, problem].add(1))
        found = agents.DREAM.target(bandit, state, problem, 0)
        assert float(found) == pytest.approx(target, abs=1e-6)


def test_rl2_values_what_it_can_exploit_so_far():
    sizes, bandit = family(3)
    state = agents.init(agents.RL2, sizes, DEFAULT)
    state = state._replace(exploitation_q=state.exploitation_q.at[1].set([0.1, 0.7, 0.2]))
    assert float(agents.RL2.target(bandit, state, 2, 1)) == pytest.approx(0.7)


@pytest.mark.parametrize("method", agents.METHODS)
def test_padding_changes_nothing(method):
    learner, key, trials = agents.METHODS[method], jax.random.key(1), 400
    bandit = Bandit(jnp.int32(4), jnp.int32(4))
    tight, wide = (
        agents.run(
            learner, sizes, bandit, DEFAULT, key, agents.init(learner, sizes, DEFAULT), trials
        )
        for sizes in (Sizes(4), Sizes(7))
    )
    np.testing.assert_array_equal(wide.exploration_q[:, :4], tight.exploration_q)
    assert np.all(wide.exploration_visits[:, 4:] == 0)
    assert int(wide.last_wrong) == int(tight.last_wrong)


def test_going_on_is_the_same_as_one_run():
    sizes, bandit = family(4)
    key, start = jax.random.key(0), agents.init(agents.RL2, sizes, DEFAULT)
    run = functools.partial(agents.run, agents.RL2, sizes, bandit, DEFAULT, key)
    for a, b in zip(run(run(start, 70), 30), run(start, 100), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("method", agents.METHODS)
def test_both_learn_to_explore_and_to_exploit(method):
    config = experiment.BanditConfig(curve_actions=4, curve_trials=3_000, curve_period_trials=1_000)
    curve = bandit_sweep.curves(config, method, range(8))
    assert curve.trials[:, 0].tolist() == [0, 1000, 2000, 3000]
    assert curve.expected_return[0] == pytest.approx(0.25)  # nothing is known: 1 / A
    assert curve.expected_return[-1] == pytest.approx(1.0)
    assert curve.star_value[-1] == pytest.approx(1.0, abs=0.01)
    assert np.all(curve.star_q[-1] > curve.other_q[-1])


# The specification's own measurements; its means are of 20 to 30 seeds, ours of 100.
MEASURED = {
    ("rl2", 4): 239,
    ("rl2", 8): 1268,
    ("dream", 4): 9,
    ("dream", 8): 19,
    ("dream", 16): 38,
    ("dream", 32): 75,
}


@pytest.mark.slow
@pytest.mark.parametrize("method", agents.METHODS)
def test_sample_complexity(method):
    counts = [actions for name, actions in MEASURED if name == method]
    found = dict(
        bandit_sweep.trials_needed(experiment.BanditConfig(), method, 1, counts, range(100))
    )
    for actions, trials in found.items():
        # Their mean is of 20 seeds at worst. DREAM's hardly scatters, and depends on details that
        # they do not tell: how ties are broken, and when counts are updated.
        error = trials.std(ddof=1) * math.sqrt(1 / 20 + 1 / 100)
        details = 0.3 * MEASURED[method, actions] if method == "dream" else 0.5
        expected = MEASURED[method, actions]
        assert trials.mean() == pytest.approx(expected, abs=3 * error + details)


def test_seeds_that_do_not_settle_are_said_so():
    config = experiment.BanditConfig(max_trials=16)
    found = dict(bandit_sweep.trials_needed(config, "rl2", 1, [4, 8], range(5)))
    assert set(found) == {4, 8}
    assert all(np.isnan(trials).any() for trials in found.values())
    assert "not within 16 trials" in experiment.describe(
        experiment.Setting("rl2", 8, 1), found[8], config.max_trials
    )


def test_power_law():
    generator = np.random.default_rng(1)
    samples = [[3.0 * a**1.5] * 4 for a in (2, 4, 8)]
    assert power_law((2, 4, 8), samples) == pytest.approx((1.5, 1.5, 1.5))
    noisy = [3.0 * a**1.5 * generator.exponential(size=50) for a in (2, 4, 8)]
    exponent, low, high = power_law((2, 4, 8), noisy)
    assert low < exponent < high
    assert low < 1.5 < high
    assert 0.1 < high - low < 1.0
