"""Which checkpoints stay, and how one of them is asked for."""

import pytest

from dream_jax.config import ConfigError
from dream_jax.runs import checkpoint
from dream_jax.runs.load import load_run
from dream_jax.runs.rows import best_step
from experiments import evaluate


def rows(**returns):
    """Two seeds; returns by column, one for each of the evaluations at 10, 20, 30 trials."""
    return [
        {"trials": 10 * (k + 1), "seed": seed} | {name: each[k] for name, each in returns.items()}
        for k in range(3)
        for seed in (0, 1)
    ]


def test_validation_decides_where_there_is_one_and_never_the_test():
    found = rows(train_return=[1, 2, 3], validation_return=[3, 2, 1], test_return=[0, 9, 0])
    assert best_step(found, [10, 20, 30]) == 10
    assert best_step(found, [20, 30]) == 20
    assert best_step(rows(train_return=[1, 2, 3], test_return=[9, 0, 0]), [10, 20, 30]) == 30


def test_of_equals_the_newest_and_of_nothing_none():
    assert best_step(rows(train_return=[1, 1, 0]), [10, 20, 30]) == 20
    assert best_step([], [10]) is None
    assert best_step(rows(train_return=[1, 2, float("nan")]), [10, 20, 30]) == 20


def test_the_best_stays_beside_the_newest_and_can_be_asked_for(finished_run, capsys):
    folder = finished_run[0]
    there = checkpoint.steps(folder / "checkpoints")
    known = checkpoint.read_metadata(folder / "checkpoints")["metrics"]
    evaluated = {row["trials"] for row in known}
    best = load_run(folder, at="best")
    assert best.trials == best_step(known, there)
    assert {*there} <= evaluated
    oldest = there[0]
    assert load_run(folder, at=oldest).trials == oldest
    flags = [f"--checkpoint={folder}", "--trials=2", f"--at={oldest}"]
    assert evaluate.main(flags) == 0
    assert f"after {oldest:,} trials" in capsys.readouterr().out


def test_another_checkpoint_is_refused_with_those_there_are(finished_run):
    there = checkpoint.steps(finished_run[0] / "checkpoints")
    with pytest.raises(ConfigError, match=rf"no checkpoint '7'; valid: newest, best, {there[0]}"):
        load_run(finished_run[0], at="7")
