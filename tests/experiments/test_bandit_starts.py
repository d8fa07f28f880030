"""First values of the bandit's tables: on one scale for both methods, measured in one program."""

import dataclasses

import numpy as np
import pytest

from dream_jax.bandit import learners
from dream_jax.config import ConfigError
from experiments import bandit
from experiments.figures import bandit_runs, bandit_starts, claims
from experiments.figures.bandit_config import PRESETS
from experiments.figures.bandit_starts import Start
from tests.folders import one_line

SMALL = dataclasses.replace(
    PRESETS["starts"], action_counts=(2, 4), max_trials=512, start_step_sizes=(0.0,)
)


def test_a_level_means_the_same_for_both_methods():
    """Neutral is an action that reveals nothing, optimistic one that reveals the problem."""
    plain = learners.Options()
    expected = {  # A = 4: Q_exp of RL2, of DREAM, and Q_task of both
        "pessimistic": (0.25 - 0.75, -2 * np.log(4), 0.25 - 0.75),
        "neutral": (0.25, -np.log(4), 0.25),
        "optimistic": (1.0, 0.0, 1.0),
    }
    for level, (rl2, dream, task) in expected.items():
        x = learners.LEVELS[level]
        mine = learners.starting_from(learners.RL2, plain, 4.0, x, x)
        assert mine.initial_exploration_q == pytest.approx(rl2)
        assert mine.initial_exploitation_q == pytest.approx(task)
        other = learners.starting_from(learners.DREAM, plain, 4.0, x, x)
        assert other.initial_exploration_q == pytest.approx(dream)
        assert other.initial_exploitation_q == pytest.approx(task)


@pytest.mark.slow
def test_cases_of_one_program_are_what_each_is_alone():
    starts = bandit_starts.all_starts((0.0,), ("dream",))
    assert len(starts) == 9
    chosen = [starts[0], starts[-1]]
    found = {(s, a): x for s, a, x in bandit_starts.measure(SMALL, chosen, range(3), {})}
    assert set(found) == {(s, a) for s in chosen for a in (2, 4)}
    for (start, actions), trials in found.items():
        options = bandit_starts.options(SMALL, start, actions)
        alone = dataclasses.replace(
            SMALL,
            initial_exploration_q=options.initial_exploration_q,
            initial_exploitation_q=options.initial_exploitation_q,
        )
        ((_, expected),) = bandit_runs.trials_needed(alone, "dream", 1, [actions], range(3))
        np.testing.assert_array_equal(trials, expected)
    # What is known is not measured again.
    assert not list(bandit_starts.measure(SMALL, chosen, range(3), found))


def test_the_file_is_read_back_and_a_damaged_one_refused(tmp_path):
    measured = {
        (Start("rl2", 0.1, "neutral", "optimistic"), 4): np.array([7.0, np.nan]),
        (Start("dream", 0.0, "optimistic", "neutral"), 4): np.array([3.0, 5.0]),
    }
    path = tmp_path / "starts.csv"
    assert bandit_starts.read(path) == ({}, [])
    bandit_starts.write(path, measured, [100, 101])
    found, seeds = bandit_starts.read(path)
    assert seeds == [100, 101]
    assert found.keys() == measured.keys()
    for key, trials in measured.items():
        np.testing.assert_array_equal(found[key], trials)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:-1]))
    with pytest.raises(ConfigError, match="seeds are missing"):
        bandit_starts.read(path)


def measured(rl2, dream, step=0.0):
    """Trials at A = 4, 8, 16 of one start of each method, equal over seeds but for 10%."""
    spread = np.array([0.9, 1.0, 1.1])
    starts = (Start("rl2", step, "neutral", "neutral"), Start("dream", step, "neutral", "neutral"))
    return {
        (start, a): x * spread
        for start, row in zip(starts, (rl2, dream), strict=True)
        for a, x in zip((4, 8, 16), row, strict=True)
    }


def test_pairings_by_hand():
    (pair,) = bandit_starts.pairings(measured((16, 64, 256), (4, 8, 16)), 0.0)
    assert (pair.fewer, pair.slower) == (True, True)  # A^2 against A
    (pair,) = bandit_starts.pairings(measured((16, 32, 64), (4, 8, 16)), 0.0)
    assert (pair.fewer, pair.slower) == (True, False)
    (pair,) = bandit_starts.pairings(measured((16, 64, 15), (4, 8, 16)), 0.0)
    assert not pair.fewer
    # RL2 does not settle at two sizes: it needs more trials, and has no exponent.
    (pair,) = bandit_starts.pairings(measured((16, np.nan, np.nan), (4, 8, 16)), 0.0)
    assert (pair.fewer, pair.slower) == (True, None)
    verdicts = claims.start_verdicts(measured((16, 32, 64), (4, 8, 16)), 3, "command")
    assert [v.verdict for v in verdicts] == ["holds", "holds", "does not hold"]
    assert verdicts[2].measured == "in 0 of 1 pairings"
    late = claims.start_verdicts(measured((16, np.nan, np.nan), (4, 8, 16)), 3, "command")
    assert late[2].measured == "in 0 of 0 pairings whose seeds all settle"


@pytest.mark.slow
def test_the_command_measures_starts_and_resumes(tmp_path, capsys):
    flags = ["--config=starts", "--smoke", "--seeds=2", f"--out={tmp_path / 'run'}"]
    flags += ["--config.max_trials=1024"]
    assert bandit.main(flags) == 0
    path = tmp_path / "run" / "starts.csv"
    before = path.read_text()
    assert before.count("\n") == 1 + 2 * 2 * 9 * 2 * 2  # steps, methods, pairings, sizes, seeds
    path.write_text("".join(before.splitlines(keepends=True)[: 1 + 2 * 5]))
    assert bandit.main([*flags, "--resume"]) == 0
    assert path.read_text() == before


def test_an_impossible_step_size_is_refused(capsys):
    assert bandit.main(["--config=starts", "--config.start_step_sizes=0,2"]) == 2
    assert "start_step_sizes=2.0 must be between 0" in one_line(capsys.readouterr().err)
