"""The sentence at the end of a run, for each thing that its columns can mean."""

import math

import numpy as np
import pytest

from dream_jax.oracles.bounds import Bounds
from dream_jax.runs import verdict
from dream_jax.runs.verdict import Returns

EXACT = {"train": Bounds(1.0, 0.0), "test": Bounds(1.0, 0.0)}
UNKNOWN = {split: Bounds(math.nan, math.nan) for split in ("train", "test")}
TRAINED = {
    split: Bounds(math.nan, math.nan, told=1.0, never_explores=0.0) for split in ("train", "test")
}


def rows(*train, seed=0, informed=None):
    return [{"seed": seed, "train_return": x, "train_return_encoder": informed} for x in train]


FLAT = rows(*[0.9] * 10)
SOLVED = "exploration is solved: train equals told-the-id"
KEEP_UP = "unseen problems keep up"


@pytest.mark.parametrize("bounds", [EXACT, TRAINED])
@pytest.mark.parametrize(
    ("returns", "expected"),
    [
        (Returns(0.98, 0.97, 0.99, True, None), f"{SOLVED}; {KEEP_UP}"),
        (
            Returns(0.98, 0.79, 0.99, True, None),
            f"{SOLVED}; unseen problems fall behind by 0.19: more training problems, or another "
            "losses.bottleneck_weight",
        ),
        (Returns(0.98, 0.5, 0.99, False, None), SOLVED),  # the same problems: nothing is unseen
        (
            Returns(0.4, 0.39, 0.99, True, None),
            "exploration is not learned: train returns 0.40, and 0.99 when told the problem id; "
            + KEEP_UP,
        ),
        (
            Returns(0.88, 0.87, 0.99, True, None),
            "exploration is learned in part: train returns 0.88, and 0.99 when told the problem "
            f"id; {KEEP_UP}",
        ),
        (
            Returns(0.6, 0.6, 0.62, True, None),
            "exploitation is learned in part: told the problem id, it returns 0.62 where 1.00 can "
            "be had",
        ),
        (
            Returns(0.1, 0.1, 0.12, True, None),
            "exploitation is not learned: told the problem id, it returns 0.12 where 1.00 can be "
            "had",
        ),
        (Returns(0.97, 0.97, None, True, None), f"the training problems are solved; {KEEP_UP}"),
        (
            Returns(0.02, 0.02, None, True, None),
            f"train returns no more than without exploration; {KEEP_UP}",
        ),
        (
            Returns(0.55, 0.54, None, True, None),
            f"train reaches 0.55 of what exploration is worth; {KEEP_UP}",
        ),
    ],
)
def test_stages_are_judged_in_the_order_in_which_they_are_learned(bounds, returns, expected):
    assert verdict.sentence(returns, bounds, FLAT) == expected


def test_nothing_is_said_about_the_exploration_of_a_reference_line():
    line = "a reference line, in which exploration plays no part"
    told = Returns(0.98, 0.7, 0.98, True, "told")
    said = verdict.sentence(told, EXACT, FLAT)
    assert said.startswith(f"{line}; unseen problems fall behind by 0.28")
    said = verdict.sentence(told._replace(train=0.1, informed=0.1), EXACT, FLAT)
    assert said.startswith("exploitation is not learned: told the problem id")
    rising = rows(*np.linspace(0.0, 0.9, 20))
    never = told._replace(line="never_explores")
    for bounds in (EXACT, UNKNOWN):
        said = verdict.sentence(never._replace(train=0.8), bounds, rising)
        assert said == f"{line}; still rising at the end: raise training.trials"


def test_splits_are_compared_by_what_can_be_had_on_each():
    bounds = {"train": Bounds(1.0, 0.0), "test": Bounds(2.0, 1.0)}
    behind = verdict.sentence(Returns(1.0, 1.5, 1.0, True, None), bounds, FLAT)
    assert "fall behind by 0.50" in behind
    assert KEEP_UP in verdict.sentence(Returns(0.5, 1.5, 0.5, True, None), UNKNOWN, rows(0.0, 1.0))


def test_without_any_reference_the_curves_are_the_scale():
    curve = rows(*[0.0, 2.0, 4.0, 6.0, 8.0] + [10.0] * 10, informed=10.0)
    assert verdict.sentence(Returns(10.0, 9.8, 10.0, True, None), UNKNOWN, curve) == (
        f"{SOLVED}; {KEEP_UP}"
    )
    assert "fall behind by 3.00" in verdict.sentence(
        Returns(10.0, 7.0, 10.0, True, None), UNKNOWN, curve
    )
    alone = verdict.sentence(Returns(10.0, 10.0, None, True, None), UNKNOWN, curve)
    assert alone.startswith("train returns 10.00, and nothing says how much can be had")


def test_a_curve_that_rises_at_its_end_asks_for_more_trials():
    more = "still rising at the end: raise training.trials"
    rising = rows(*[0.05 * k for k in range(20)])
    assert verdict.sentence(Returns(0.9, 0.9, 0.96, True, None), EXACT, rising).endswith(more)
    assert more not in verdict.sentence(
        Returns(0.98, 0.98, 0.98, True, None), EXACT, rising
    )  # solved
    low = verdict.sentence(Returns(0.3, 0.3, 0.3, True, None), EXACT, rising)
    assert low.startswith("exploitation is not learned") and low.endswith(more)
    assert more not in verdict.sentence(Returns(0.9, 0.9, 0.96, True, None), EXACT, rising[:9])
    both = [*rising, *rows(*[-0.05 * k for k in range(20)], seed=1)]  # one seed falls
    assert more not in verdict.sentence(Returns(0.9, 0.9, 0.96, True, None), EXACT, both)


def test_where_knowing_the_problem_is_worth_nothing_it_says_so():
    same = {"train": Bounds(0.5, 0.5), "test": Bounds(0.5, 0.5)}
    assert "nothing to explore for" in verdict.sentence(
        Returns(0.5, 0.5, 0.5, True, None), same, FLAT
    )
