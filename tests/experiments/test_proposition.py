"""Proposition 1: the optimum of DREAM's objectives is the optimum of the return, exactly."""

import math

import numpy as np
import pytest

from experiments import proposition as command
from experiments.analyses import proposition
from tests.folders import one_line


def test_enough_exploration_of_the_signs_returns_what_can_be_had():
    family = proposition.signs()
    small = proposition.largest_weight(family) / 2
    assert proposition.informed_value(family) == pytest.approx(1.0)
    assert proposition.uninformed_value(family) == pytest.approx(0.6)  # the arm that always pays
    for steps in (2, 3, 4):
        found = proposition.dream(family, steps, small)
        assert proposition.best_value(family, steps) == pytest.approx(1.0)
        assert found.value == pytest.approx(1.0)
        # z is what the far sign says, and nothing of the near one's text: log 2 nats.
        assert found.encoding == (0, 0, 0, 1, 1, 1)
        assert found.information == pytest.approx(math.log(2))


def test_prediction_of_the_whole_problem_reads_the_wrong_sign():
    """The counter-example: log 3 nats of no use are near, log 2 nats of use are far."""
    family = proposition.signs()
    small = proposition.largest_weight(family) / 2
    for steps in (2, 3):
        found = proposition.dynamics(family, steps, small)
        assert found.information == pytest.approx(math.log(3))
        # z is drawn without knowing: right in half of the trials, worse than not exploring.
        assert found.value == pytest.approx(0.5)
    # With five steps both signs can be read.
    assert proposition.dynamics(family, 5, small).value == pytest.approx(1.0)


def test_a_heavy_bottleneck_gives_up_return():
    family = proposition.signs()
    found = proposition.dream(family, 5, 1.0)
    assert found.encoding == (0,) * 6
    assert found.value == pytest.approx(0.6)


def test_problems_that_look_alike_are_outside_of_the_proposition():
    family = proposition.hidden_twin()
    small = proposition.largest_weight(family) / 2
    assert not proposition.can_be_told_apart(family, 4)
    assert proposition.best_value(family, 4) == pytest.approx(1.0)
    # One z for problems 0 and 2: on 0 and 1 it is drawn, 1/2 each. Problem 0 then always returns 1,
    # with arm 0 or 1; problem 1 in half of the trials; problem 2, which is identified, always.
    assert proposition.dream(family, 4, small).value == pytest.approx((1 + 0.5 + 1) / 3)


@pytest.mark.parametrize("seed", range(12))
def test_random_families_whose_problems_can_be_told_apart(seed):
    """DREAM's worst tie is as good as the best policies; without the condition it is no better."""
    family = proposition.random_family(seed, problems=4)
    small = proposition.largest_weight(family) / 2
    found = proposition.dream(family, 6, small)
    best = proposition.best_value(family, 6)
    assert found.value <= best + proposition.TIE <= proposition.informed_value(family) + 1e-6
    if proposition.can_be_told_apart(family, 6):
        assert found.value == pytest.approx(best)
        assert best == pytest.approx(proposition.informed_value(family))


def test_enough_random_families_are_within_the_proposition():
    within = [
        proposition.can_be_told_apart(proposition.random_family(seed, problems=4), 6)
        for seed in range(12)
    ]
    assert sum(within) >= 4


def test_the_best_value_agrees_with_every_policy_tried_in_turn():
    """All explorations of two steps, and all exploitations of each history."""
    family = proposition.random_family(3, problems=3)
    returns = []
    for first in range(2):
        node = family.edges[0, first]
        seen = [int(x) for x in family.looks[:, node]]
        for second in np.ndindex(2, 2):  # the second action after each first look
            there = [int(family.edges[node, second[look]]) for look in seen]
            histories = [
                (look, k, int(family.looks[mu, k]))
                for mu, (look, k) in enumerate(zip(seen, there, strict=True))
            ]
            total = 0.0
            for history in set(histories):
                alike = [mu for mu, each in enumerate(histories) if each == history]
                total += max(
                    sum(family.rewards[mu, i, arms[i]] for mu in alike for i in range(2))
                    for arms in np.ndindex(3, 3)
                )
            returns.append(total / 6)
    assert proposition.best_value(family, 2) == pytest.approx(max(returns))


def test_the_command(capsys):
    assert command.main(["--families=3"]) == 0
    said = capsys.readouterr().out
    assert "2 steps: Eq. 1 1.000; DREAM 1.000, 0.69 nats of z; prediction 0.500" in said
    assert command.main(["--families=0"]) == 2
    assert "--families" in one_line(capsys.readouterr().err)
