"""Host families: the same trials as in JAX, and worlds that crash, hang or lie cost a trial."""

import pickle
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dream_jax import api, envs
from dream_jax.envs import splits
from dream_jax.envs.adapters import findings
from tests.envs.adapters import host_cases

MODULE = host_cases.__name__


@pytest.fixture(scope="module")
def doors():
    env = envs.make(f"{MODULE}:Doors", horizon=3)
    yield env
    env.close()


@pytest.fixture(scope="module")
def faulty():
    env = host_cases.Faulty(3)
    yield env
    env.close()


def walk(env, problem, actions):
    """The episodes [n] of problems [n] and actions [n, 3]."""
    instruction = jnp.zeros((len(problem), 1), jnp.uint8)
    keys = jax.random.split(jax.random.key(0), len(problem))

    def one(key, problem, instruction, actions):
        state, first = env.reset(key, problem, instruction)
        _, rest = jax.lax.scan(env.step, state, actions)
        return first, rest

    return jax.jit(jax.vmap(one))(keys, jnp.int32(problem), instruction, jnp.int32(actions))


def test_episodes_are_those_of_the_world(doors):
    first, rest = walk(doors, [0, 1, 2, 2], [[3, 0, 0], [3, 3, 1], [0, 1, 2], [3, 3, 3]])
    np.testing.assert_array_equal(first.observation, np.zeros((4, 1)))
    np.testing.assert_array_equal(
        rest.observation[:, :, 0], [[1, 0, 0], [2, 2, 0], [0] * 3, [3] * 3]
    )
    np.testing.assert_array_equal(rest.reward, [[0, 1, 0], [0, 0, 1], [0, 0, 0], [0, 0, 0]])
    np.testing.assert_array_equal(rest.terminated[:3].any(axis=1), [True] * 3)
    np.testing.assert_array_equal(rest.truncated[3], [False, False, True])


def test_a_killed_process_costs_no_episode(doors, capsys):
    state, _ = jax.jit(doors.reset)(jax.random.key(1), jnp.int32(2), jnp.zeros(1, jnp.uint8))
    doors.pool._workers[0].process.kill()
    state, shown = jax.jit(doors.step)(state, jnp.int32(3))
    assert int(shown.observation[0]) == 3 and not shown.truncated
    assert "starts anew and plays its episodes again" in capsys.readouterr().err
    # A state from before, as after a resume: its episode is played again.
    old = state._replace(ticket=jnp.int32(1_000_000))
    _, shown = jax.jit(doors.step)(old, jnp.int32(2))
    assert float(shown.reward) == 1.0 and bool(shown.terminated)


def test_a_host_family_may_have_validation_problems():
    plain = host_cases.Doors(3)
    assert len(plain.pool._workers) == 1
    env = splits.with_validation(plain, 1)
    assert plain._pool is None  # its processes would stay beside those of the copy
    sent = pickle.loads(pickle.dumps(env))
    np.testing.assert_array_equal(sent.problem_ids("train"), env.problem_ids("train"))
    _, rest = walk(env, env.problem_ids("validation"), [[3, 3, 3]])
    env.close()
    assert rest.observation[0, 0, 0] == 1 + env.problem_ids("validation")[0]


def test_a_family_that_cannot_go_to_processes_is_refused_in_one_line():
    with pytest.raises(ValueError, match=r"^\S+:Held: it cannot be sent to .* lambda.*: ") as error:
        envs.make(f"{MODULE}:Held", horizon=3)
    assert "\n" not in str(error.value)
    found = list(findings.of_family(host_cases.Held(3)))
    assert [finding.what for finding in found] == ["processes"]
    assert found[0].verdict == "bad" and "lambda" in found[0].text


@pytest.mark.slow
def test_faults_cost_their_episode_and_a_line(faulty, capsys):
    began = time.monotonic()
    _, rest = walk(faulty, [0, 1, 2, 0], [[1, 0, 1], [1, 0, 1], [1, 0, 1], [1, 1, 1]])
    np.testing.assert_array_equal(rest.truncated[:3], [[False, True, True]] * 3)
    np.testing.assert_array_equal(rest.reward, [[1, 0, 0]] * 3 + [[1, 1, 1]])
    assert faulty.pool.lost == 3 and time.monotonic() - began < 300
    lines = capsys.readouterr().err
    assert "problem 0, step 2: died; the episode ends there" in lines
    assert "problem 1, step 2: hangs (no answer for 3 s)" in lines
    assert "problem 2, step 2: ValueError: observation '' component 0 is 77" in lines


@pytest.mark.slow
def test_a_host_family_is_trained_as_any_other(tmp_path):
    overrides = {
        "training.trials": 3_840,
        "training.evaluation_period_trials": 960,
        "training.evaluation_trials": 9,
        "training.final_evaluation_trials": 9,
        "replay.capacity_trials": 3_840,
        "replay.warmup_trials_exploitation": 64,
        "replay.warmup_trials_exploration": 64,
    }
    run = api.train(f"{MODULE}:Doors", overrides=overrides, out=tmp_path / "run", verbose=False)
    assert run.summary["splits"]["train"]["return_mean"] > 0.7
    assert run.agent().trial().returns.shape == (1,)
