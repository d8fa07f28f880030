"""Statistics over seeds and benchmarks, by hand."""

import numpy as np
import pytest

from dream_jax.viz import statistics


def test_interval_by_hand():
    # Ten values, five of them 1: the sum of a resample is Binomial(10, 1/2). P(sum <= 1) = 11/1024
    # = 0.011 < 0.025 < P(sum <= 2) = 56/1024 = 0.055, so the 2.5% point is 2/10; 8/10 by symmetry.
    # A symmetric sample has neither bias nor acceleration to correct.
    assert statistics.ci95([0, 1] * 5) == pytest.approx((0.2, 0.8))


def test_the_interval_is_wider_towards_the_seed_that_failed():
    """What acceleration does; the plain percentiles would reach as far down only without it."""
    values = [1.0, 1.0, 1.0, 1.0, 0.5]
    low, high = statistics.ci95(values)
    drawn = np.random.default_rng(0).integers(5, size=(9_999, 5))
    assert low < np.quantile(np.array(values)[drawn].mean(axis=1), 0.025)
    assert high == 1.0


def test_one_seed_has_no_interval_and_equal_seeds_have_one_without_width():
    assert statistics.ci95([0.3]) is None
    assert statistics.ci95([0.3] * 5) == (0.3, 0.3)
    with pytest.raises(ValueError, match="at least 1 value"):
        statistics.ci95([])


def test_interval_is_the_same_each_time_and_moves_with_the_values():
    values = np.random.default_rng(1).normal(size=7)
    low, high = statistics.ci95(values)
    assert (low, high) == statistics.ci95(values)
    assert low < values.mean() < high
    assert statistics.ci95(2 * values + 5) == pytest.approx((2 * low + 5, 2 * high + 5), rel=0.01)


def test_strata_are_resampled_each_on_its_own():
    """Two benchmarks without spread: mixed draws would have some, stratified ones have none."""
    assert statistics.stratified_ci95([[0.0] * 5, [1.0] * 5]) == (0.5, 0.5)
    low, high = statistics.stratified_ci95([[0.0] * 5, [0.9, 1.0, 1.1]])
    assert 0.3 < low < 3 / 8 < high < 0.45
    assert statistics.stratified_ci95([[0.0], [1.0]]) is None
    assert statistics.stratified_ci95([[0.0], [0.9, 1.0, 1.1]]) is None  # says nothing of the first


def test_interquartile_mean_by_hand():
    # Of four values the middle two; of three the middle one, and a quarter of each neighbour's
    # third: (1 + 4 * 2 + 9) / 6 with edges 1/12, 1/3, 1/12.
    assert statistics.iqm([100.0, 1.0, 2.0, -50.0]) == pytest.approx(1.5)
    assert statistics.iqm([9.0, 1.0, 2.0]) == pytest.approx((1 + 4 * 2 + 9) / 6)
    assert statistics.iqm([7.0]) == pytest.approx(7.0)
    rows = np.array([[100.0, 1.0, 2.0, -50.0], [1.0, 1.0, 1.0, 1.0]])
    assert statistics.iqm(rows).tolist() == pytest.approx([1.5, 1.0])
    with pytest.raises(ValueError, match="at least 1"):
        statistics.iqm([])


def test_probability_of_improvement_by_hand():
    # Of the four pairs of the first benchmark three are won and one tied; the second is lost.
    value, interval = statistics.probability_of_improvement(
        [[1.0, 2.0], [0.0, 0.1]], [[0.5, 1.0], [1.0, 1.1]]
    )
    assert value == pytest.approx((3.5 / 4 + 0) / 2)
    assert interval is not None
    assert interval[0] <= value <= interval[1]
    assert statistics.probability_of_improvement([[1.0]], [[0.0]]) == (1.0, None)
    assert statistics.probability_of_improvement([[1.0, 0.9]], [[0.0]]) == (1.0, None)
    with pytest.raises(ValueError, match="2 benchmarks against 1"):
        statistics.probability_of_improvement([[1.0], [1.0]], [[1.0]])


def test_performance_profile_by_hand():
    shares = statistics.performance_profile([0.2, 0.95, 1.0, 1.0], np.array([0.0, 0.95, 1.0, 1.1]))
    assert shares.tolist() == [1.0, 0.75, 0.5, 0.0]


def test_groups_explain_what_they_decide_and_no_more():
    rng = np.random.default_rng(0)
    group = np.arange(240) % 24
    centres, noise = rng.normal(size=(24, 5)), rng.normal(size=(240, 5))
    assert statistics.explained(centres[group], group) == pytest.approx(1.0)
    assert statistics.explained(noise, group) < 0.05  # eta squared would be about 0.1
    assert statistics.explained(centres[group] + noise, group) == pytest.approx(0.5, abs=0.1)
