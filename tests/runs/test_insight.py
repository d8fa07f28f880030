"""What pages show: the trials are those of the agent, the beliefs those of its decoder."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dream_jax import config as configs
from dream_jax import envs, presets
from dream_jax.agents import registry
from dream_jax.drawing.shapes import Circle, Drawing
from dream_jax.drawing.view import view_of
from dream_jax.runs import page_data, page_trials
from dream_jax.runs.agent_programs import AgentPrograms
from dream_jax.runs.insight import (
    FROM_EXPLORATION,
    FROM_ID,
    FROM_OTHER,
    ZERO,
    InsightProgram,
    choose,
    spread,
)
from dream_jax.runs.trained_agent import TrainedAgent

SMALL = {"networks.hidden_size": 8, "networks.head_size": 8, "env.horizon": 8}


def make(benchmark, preset="dream"):
    config = configs.override(presets.get(benchmark, preset), SMALL)
    agent = registry.make(config, envs.from_config(benchmark, config.env))
    start = jax.jit(agent.init)(jax.random.key(4))
    params = jax.tree.map(lambda x: 3.0 * np.asarray(x), start)
    return TrainedAgent(AgentPrograms(agent), params, seed=3, trials=640)


@pytest.fixture(scope="module")
def agent():
    return make("map")


@pytest.fixture(scope="module")
def insights(agent):
    return InsightProgram(agent.functions)(agent.params, choose(agent.env, 8, 1, True))


def test_trials_are_spread_over_splits_and_instructions():
    env = envs.make("distracting_bus")
    chosen = choose(env, 20, 2, True)
    test = set(env.problem_ids("test").tolist())
    problems = chosen.problem.tolist()
    assert len(problems) == 20 and len(set(problems)) == 10
    assert sum(problem in test for problem in problems) == 10
    assert chosen.instruction.shape == (20, 2, 2)
    assert (chosen.instruction[:, 0] != chosen.instruction[:, 1]).any(axis=1).all()
    assert not test & set(chosen.other.tolist()) and (chosen.other != chosen.problem).all()
    kitchen = choose(envs.make("cooking"), 20, 1, True)
    assert (kitchen.problem == 10).sum() == 3  # the only one that is held out
    assert spread(list("abcdefgh"), 3) == ["a", "c", "f"] and spread([1], 3) == [1]


def test_a_trial_is_that_of_the_agent(agent, insights):
    for i in (0, 3):
        one = jax.tree.map(lambda x, i=i: x[i], insights.trials)
        problem, instruction = int(insights.chosen.problem[i]), insights.chosen.instruction[i]
        record = agent.trial(problem, instruction)
        taken = len(record.exploration.action)
        np.testing.assert_array_equal(
            one.test.exploration.action[:taken], record.exploration.action
        )
        np.testing.assert_allclose(one.test.z, record.z, rtol=1e-4, atol=1e-5)
        steps = len(record.exploitation[0].action)
        np.testing.assert_array_equal(
            one.test.exploitation.action[0, :steps], record.exploitation[0].action
        )
        told = agent.functions.informed_test(
            agent.params, jax.random.key(0), jnp.int32(problem), jnp.asarray(instruction)
        )
        np.testing.assert_array_equal(one.exploited[FROM_ID].episode.action, told.action)
        assert set(one.exploited) == {FROM_ID, FROM_OTHER, ZERO}


def test_beliefs_are_those_of_the_decoder(agent, insights):
    data = page_trials.trials(agent.env, view_of(agent.env), insights)
    trial = data["trials"][1]
    exploration = trial["exploration"]
    record = agent.trial(trial["problem"], insights.chosen.instruction[1])
    functions = agent.functions
    padded = jax.tree.map(lambda x: x[1], insights.trials.test.exploration)
    g = np.asarray(functions.decode(agent.params, padded))[: len(record.exploration.action) + 1]
    f = np.stack(
        [functions.encode(agent.params, jnp.int32(problem)) for problem in insights.problems]
    )
    squared = np.square(g[:, None] - f[None]).sum(-1)
    own = insights.problems.tolist().index(trial["problem"])
    np.testing.assert_allclose(exploration["distance"], squared[:, own], atol=2e-4, rtol=1e-3)
    for row, nearest in zip(squared, exploration["nearest"], strict=True):
        assert [distance for _, distance in nearest] == sorted(d for _, d in nearest)
        assert nearest[0][1] == pytest.approx(row.min(), rel=1e-3, abs=2e-4)
    np.testing.assert_allclose(exploration["information"], record.information_gain, atol=1e-3)
    assert len(exploration["frames"]) == len(exploration["actions"]) + 1 == len(exploration["path"])
    for episodes in trial["exploitation"].values():
        for episode in episodes:
            assert len(episode["frames"]) == len(episode["actions"]) + 1
            assert len(episode["q"]) == len(episode["rewards"]) == len(episode["actions"])
    returns = sum(trial["exploitation"][FROM_EXPLORATION][0]["rewards"])
    assert returns == pytest.approx(float(record.returns[0]), abs=1e-3)


def test_the_data_is_json_with_drawings_by_index(agent, insights):
    data = page_data.of_trials(agent.env, insights)
    json.dumps(data, allow_nan=False)
    frames = [f for trial in data["trials"] for f in trial["exploration"]["frames"]]
    assert max(frames) < len(data["frames"])
    assert all(k < len(data["shapes"]) for _, _, shapes in data["frames"] for k in shapes)
    assert len(data["actions"]) == agent.env.num_actions
    encodings = data["encodings"]
    assert len(encodings["points"]) == len(encodings["problems"]) == 24
    assert encodings["groups"]["bus 1 goes"]["labels"][0] == "lower left"
    counts = np.array(page_trials.visits(agent.env, view_of(agent.env), insights))
    explored = {t["problem"]: len(t["exploration"]["frames"]) for t in data["trials"]}
    assert counts.shape == (9, 9) and counts.sum() == sum(explored.values())


def test_a_gallery_keeps_each_drawing_once():
    gallery = page_trials.Gallery()
    one, two = (Drawing(2, 2, (Circle(1, 1, r), Circle(0, 0, 1))) for r in (1, 2))
    assert [gallery.add(drawing) for drawing in (one, two, one)] == [0, 1, 0]
    assert len(gallery.data()["shapes"]) == 3


def test_a_plane_has_the_directions_of_most_variance():
    generator = np.random.default_rng(0)
    points = generator.normal(size=(50, 5)) * np.array([0.01, 3.0, 0.01, 1.0, 0.01])
    flat = np.array(page_trials.Plane(points)(points))
    assert abs(np.corrcoef(flat[:, 0], points[:, 1])[0, 1]) > 0.999
    assert abs(np.corrcoef(flat[:, 1], points[:, 3])[0, 1]) > 0.97
    assert np.shape(page_trials.Plane(points[:1])(points[:1])) == (1, 2)


@pytest.mark.slow
def test_an_agent_without_a_decoder_has_its_trials_alone():
    agent = make("cooking", "e_rl2")
    insights = InsightProgram(agent.functions)(agent.params, choose(agent.env, 4, 1, True))
    data = page_data.of_trials(agent.env, insights)
    assert data["encodings"] is None
    for trial in data["trials"]:
        assert set(trial["exploitation"]) == {FROM_EXPLORATION}
        assert "nearest" not in trial["exploration"]
