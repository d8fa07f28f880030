"""When a run reached 0.95, and its returns at fixed numbers of steps."""

import pytest

from dream_jax.oracles.bounds import Bounds
from dream_jax.runs import milestones

BOUNDS = {"train": Bounds(1.0, 0.0), "test": Bounds(2.0, 0.0)}  # optimal, no exploration


def rows(*normalised, seed=0, steps=100_000):
    """One row per evaluation, from (train, test) normalised returns."""
    return [
        {
            "seed": seed,
            "env_steps": steps * (k + 1),
            "updates": 10 * (k + 1),
            "wall_s": float(k + 1),
            "train_return": train,
            "test_return": 2.0 * test,
        }
        for k, (train, test) in enumerate(normalised)
    ]


LOW, HIGH = (0.94, 1.0), (0.96, 0.95)


@pytest.mark.parametrize(
    ("evaluations", "first"),
    [
        ([HIGH, HIGH, HIGH], 1),
        ([LOW, HIGH, HIGH, HIGH], 2),
        ([HIGH, HIGH, LOW, HIGH, HIGH, HIGH], 4),  # it fell back before it was confirmed
        ([HIGH, HIGH, HIGH, LOW], 1),  # a later fall does not count
        ([LOW, HIGH, HIGH], None),  # two evaluations must follow
        ([(1.0, 0.9)] * 5, None),  # both splits count
        ([(0.9, 1.0)] * 5, None),
        ([], None),
    ],
)
def test_the_first_evaluation_at_095_that_two_more_confirm(evaluations, first):
    found = milestones.reached_95(rows(*evaluations), [0], BOUNDS)
    expected = (None, None, None) if first is None else (float(first), 100_000 * first, 10 * first)
    assert tuple(x[0] for x in found.values()) == expected
    assert list(found) == ["time_to_95_s", "env_steps_to_95", "updates_to_95"]


def test_seeds_are_apart_and_in_their_order():
    both = [
        x
        for pair in zip(rows(*[LOW] * 4, seed=7), rows(*[HIGH] * 4, seed=3), strict=True)
        for x in pair
    ]
    assert milestones.reached_95(both, [7, 3], BOUNDS)["updates_to_95"] == [None, 10]


def test_nothing_is_reached_where_the_oracles_are_unknown():
    nan = Bounds(float("nan"), float("nan"))
    unknown = milestones.reached_95(rows(*[HIGH] * 4), [0], {"train": nan, "test": nan})
    assert unknown["time_to_95_s"] == [None]


def test_returns_at_budgets_are_of_the_last_evaluation_within_them():
    found = milestones.return_at_env_steps(rows(*[(0.0, k / 10) for k in range(1, 8)]), [0])
    assert found["250000"] == [pytest.approx(0.4)]  # at 200,000 steps
    assert found["500000"] == [pytest.approx(1.0)]  # at 500,000 steps exactly
    assert found["1000000"] == [None]  # it trained for 700,000
    late = milestones.return_at_env_steps(rows((0.0, 1.0), steps=600_000), [0])
    assert late["500000"] == [None]  # its first evaluation came later
