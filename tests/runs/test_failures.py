"""A number that is not finite stops its seed, and no other."""

import json
import shutil
from types import SimpleNamespace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import dream_jax as dj
from dream_jax.data import replay
from dream_jax.runs import checkpoint, diagnosis
from dream_jax.types import LearnerState
from tests.agents.failing_agent import BAD_SEED, GOOD_SEED, NAME
from tests.folders import one_line
from tests.records import read_rows, reproducible

PERIOD = 16
# The first update is in the third evaluation period.
FLAGS = ["--smoke", f"--config.agent={NAME}", "--config.replay.warmup_trials_exploitation=40"]


class SimpleTrial(NamedTuple):
    problem: jax.Array
    reward: jax.Array
    action: jax.Array


class SimplePair(NamedTuple):
    policy: LearnerState


@pytest.fixture(scope="module")
def survived(command, tmp_path_factory):
    out = tmp_path_factory.mktemp("survived") / "run"
    flags = [*FLAGS, "--config.training.trials=96"]
    outcome = command("map", *flags, f"--first_seed={GOOD_SEED}", "--seeds=2", f"--out={out}")
    return out, outcome


def test_the_other_seeds_go_on(survived):
    out, outcome = survived
    assert outcome.status == 1
    assert "the others finished: loss_td is nan: parameter" in one_line(outcome.stderr)
    summary = json.loads((out / "summary.json").read_text())
    assert list(summary["failed"]) == [f"{BAD_SEED}"]
    failure = summary["failed"][f"{BAD_SEED}"]
    assert (failure["trials"], failure["checkpoint"]) == (2 * PERIOD, PERIOD)
    for said in ("grows", "after update", f"in seed {BAD_SEED}", "trials 32 to 48"):
        assert said in failure["reason"]
    for split in summary["splits"].values():
        good, bad = split["return_per_seed"]
        assert (split["return_mean"], bad, split["return_ci95"]) == (good, None, None)
    seeds = [row["seed"] for row in read_rows(out)]
    assert (seeds.count(GOOD_SEED), seeds.count(BAD_SEED)) == (6, 2)
    assert not list((out / "videos").glob(f"*seed{BAD_SEED}*"))
    # The last checkpoint in which the seed is good stays.
    steps = sorted(int(path.name) for path in (out / "checkpoints").iterdir())
    assert steps == [PERIOD, 80, 96]


def test_a_failed_seed_has_the_agent_that_was_good(survived):
    out, _ = survived
    assert dj.load(out, seed=GOOD_SEED).trained_trials == 96
    agent = dj.load(out, seed=BAD_SEED)
    assert agent.trained_trials == PERIOD
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(agent.params))


@pytest.mark.slow
def test_a_seed_beside_one_that_fails_is_as_alone(survived, command, tmp_path):
    out, _ = survived
    flags = [*FLAGS, "--config.training.trials=96", f"--first_seed={GOOD_SEED}"]
    assert command("map", *flags, f"--out={tmp_path / 'run'}").status == 0
    mine = [row for row in reproducible(read_rows(out)) if row["seed"] == GOOD_SEED]
    assert mine == reproducible(read_rows(tmp_path / "run"))


@pytest.mark.slow
def test_a_run_with_a_failed_seed_is_extended(survived, command, tmp_path):
    """And the failed seed stays as it is."""
    out = tmp_path / "run"
    shutil.copytree(survived[0], out)
    outcome = command("map", "--resume", "--config.training.trials=128", f"--out={out}")
    assert outcome.status == 1
    assert "in seed 3, trials 32 to 48" in one_line(outcome.stderr)
    assert [row["seed"] for row in read_rows(out)[-2:]] == [GOOD_SEED] * 2


@pytest.mark.slow
def test_a_run_without_a_good_seed_ends(command, tmp_path):
    out = tmp_path / "run"
    flags = [*FLAGS, f"--first_seed={BAD_SEED}", f"--out={out}"]
    outcome = command("map", *flags)
    assert outcome.status == 1
    line = one_line(outcome.stderr)
    assert line.startswith("error: loss_td is nan: parameter policy['extra']['grows'] is ")
    assert f"the last good checkpoint is {out / 'checkpoints' / '16'}" in line
    rows = read_rows(out)
    assert [row["trials"] for row in rows] == [PERIOD, 2 * PERIOD]
    assert checkpoint.latest_step(out / "checkpoints") == PERIOD
    assert not (out / "summary.json").exists()
    # Resumed, it goes the same way from the checkpoint, and no row is there twice.
    again = command("map", *flags, "--resume")
    assert (again.status, again.stderr) == (1, outcome.stderr)
    assert reproducible(read_rows(out)) == reproducible(rows)


@pytest.mark.slow
def test_a_failure_before_the_first_evaluation_leaves_nothing(command, tmp_path):
    flags = [*FLAGS[:-1], "--config.replay.warmup_trials_exploitation=8"]
    out = tmp_path / "a" / "b"
    outcome = command("map", *flags, f"--first_seed={BAD_SEED}", f"--out={out}")
    assert outcome.status == 1
    assert "no checkpoint yet" in one_line(outcome.stderr)
    assert not (tmp_path / "a").exists()


# What the message names


def make_state(reward, weight):
    """Of two seeds, each with a replay of 3 trials of 2 episodes of 4 steps."""
    example = SimpleTrial(jnp.zeros((), jnp.int32), jnp.zeros((2, 4)), jnp.zeros((2, 4), jnp.uint8))
    storage = jax.vmap(lambda _: replay.init(example, 3))(jnp.arange(2))
    filled = storage.storage._replace(
        problem=jnp.array([[7, 8, 9], [7, 8, 9]]), reward=reward.reshape(2, 3, 8)
    )
    params = {"w": weight}
    learner = LearnerState(params, params, (), jnp.array([5, 6]))
    state = SimpleNamespace(
        replay=storage._replace(storage=filled, inserted=jnp.array([2, 3])),
        learners=SimplePair(learner),
    )
    return state, example


def test_the_environment_is_named_before_the_parameters():
    reward, weight = np.zeros((2, 3, 2, 4)), np.zeros((2, 3))
    assert describe(reward, weight, 1) == "loss is nan"
    weight[1, 2] = np.inf
    assert describe(reward, weight, 0) == "loss is nan"
    assert describe(reward, weight, 1) == (
        "loss is nan: parameter policy['w'] is inf after update 6"
    )
    reward[1, 2, 1, 3] = np.nan
    assert describe(reward, weight, 1) == (
        "loss is nan: the environment's reward is nan at reward episode 1, step 3 of problem 9"
    )
    assert describe(np.full((2, 3, 2, 4), np.nan), weight, 0).endswith("step 0 of problem 7")


def describe(reward, weight, seed):
    state, example = make_state(jnp.asarray(reward), jnp.asarray(weight))
    return diagnosis.describe("loss is nan", state, seed, example)
