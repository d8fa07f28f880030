"""`python -m experiments.coupling`, and what it records of the bandit."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dream_jax.bandit import learners
from dream_jax.bandit.problem import Bandit, Sizes
from experiments import coupling as command
from experiments.figures import coupling
from tests.experiments.test_report_command import Page

ACTIONS, TRIALS = 3, 60


@pytest.fixture(scope="module")
def recorded():
    return {m: coupling.record(m, ACTIONS, (4, 5), TRIALS) for m in learners.METHODS}


@pytest.mark.parametrize("method", learners.METHODS)
def test_the_record_is_that_of_the_learner(recorded, method):
    learner, sizes = learners.METHODS[method], Sizes(ACTIONS)
    bandit, options = Bandit(jnp.int32(ACTIONS), jnp.int32(ACTIONS)), learners.Options()
    start = learners.init(learner, sizes, options)
    key = jax.random.key(5)
    state = learners.run(learner, sizes, bandit, options, key, start, TRIALS)
    run = jax.tree.map(lambda x: x[1], recorded[method])
    np.testing.assert_array_equal(run.exploration_q[-1], state.exploration_q[0])
    taken = np.bincount(run.explored, minlength=ACTIONS)
    np.testing.assert_array_equal(taken, state.exploration_visits[0])
    pulled = np.bincount(run.pulled, minlength=ACTIONS)
    np.testing.assert_array_equal(pulled, state.exploitation_visits.sum(axis=0))
    seen = learners.snapshot(learner, sizes, bandit, state)
    assert run.expected_return[-1] == pytest.approx(float(seen.expected_return))
    wrong = int(state.last_wrong)
    assert coupling.settled(run.optimal) == (wrong + 1 if wrong < TRIALS else None)
    if method == "dream":  # it counts the problems that a* showed
        revealed = run.problem[run.explored == ACTIONS - 1]
        shown = np.diag(state.seen[ACTIONS:])
        np.testing.assert_array_equal(np.bincount(revealed, minlength=ACTIONS), shown)


def test_both_methods_meet_the_same_problems_and_know_nothing_at_first(recorded):
    rl2, dream = recorded["rl2"], recorded["dream"]
    np.testing.assert_array_equal(rl2.problem, dream.problem)
    for run in (rl2, dream):
        assert run.expected_return[:, 0] == pytest.approx(1 / ACTIONS)
        assert run.star_success[:, 0] == pytest.approx(1 / ACTIONS)


def test_settled_is_the_first_trial_after_the_last_wrong_one():
    assert coupling.settled(np.array([False, True, False, True, True])) == 3
    assert coupling.settled(np.array([True, True])) == 0
    assert coupling.settled(np.array([True, False])) is None


def test_the_page_has_the_record(recorded, tmp_path, capsys):
    file = tmp_path / "new" / "page.html"
    flags = [f"--actions={ACTIONS}", f"--trials={TRIALS}", "--seeds=2", "--first_seed=4"]
    assert command.main([f"--out={file}", *flags]) == 0
    out = capsys.readouterr().out
    assert "seed 4: trials until exploration is optimal: RL2 " in out and str(file) in out
    data = Page(file).data
    assert data["actions"] == ACTIONS and [one["seed"] for one in data["seeds"]] == [4, 5]
    for k, one in enumerate(data["seeds"]):
        for run in one["methods"]:
            mine = recorded[run["method"]]
            assert run["explored"] == mine.explored[k].tolist()
            np.testing.assert_allclose(run["exploration_q"], mine.exploration_q[k], atol=6e-4)
    assert json.dumps(data)  # finite
    assert command.main([f"--out={file}", *flags]) == 0  # replaces a page of ours


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--actions=1"], "--actions=1 must be at least 2"),
        (["--actions=17"], "--actions=17 must be at most 16"),
        (["--trials=5001"], "--trials=5001 must be at most 5,000"),
        (["--first_seed=99999999999"], "--first_seed=99999999999 must be at most"),
        (["--out={there}"], "is a file and no report of ours"),
    ],
)
def test_bad_input_is_one_clear_line(flags, message, tmp_path, capsys):
    there = tmp_path / "mine.html"
    there.write_text("mine")
    assert command.main([flag.format(there=there) for flag in flags]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert there.read_text() == "mine"
