"""Trained agents: trials, evaluations, play in a dm_env world, and files of parameters."""

import io
import json
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from dream_jax import config as configs
from dream_jax import envs, presets
from dream_jax.agents import registry
from dream_jax.config import ConfigError
from dream_jax.envs.adapters.dm_env import DmEnvAdapter
from dream_jax.runs import agent_file, load
from dream_jax.runs.agent_programs import KEY, AgentPrograms
from dream_jax.runs.trained_agent import TrainedAgent
from dream_jax.training import evaluation
from tests.tiers import quick
from tests.trees import differing

SMALL = {"networks.hidden_size": 8, "networks.head_size": 8, "env.horizon": 8}


def make(benchmark="map", preset="dream", **overrides):
    """An untrained agent of seed 3."""
    config = configs.override(presets.get(benchmark, preset), SMALL | overrides)
    agent = registry.make(config, envs.from_config(benchmark, config.env))
    # Far from 0, or every greedy action is the same.
    start = jax.jit(agent.init)(jax.random.key(4))
    params = jax.tree.map(lambda x: 3.0 * np.asarray(x), start)
    return TrainedAgent(AgentPrograms(agent), params, seed=3, trials=640)


@pytest.fixture(scope="module")
def agent():
    return make(**{"trial.exploitation_episodes": 2})


def message(function, *arguments, **named):
    with pytest.raises(ConfigError) as error:
        function(*arguments, **named)
    text = str(error.value)
    assert "\n" not in text
    return text


def test_a_record_is_the_trial_without_its_padding(agent):
    record = agent.trial(problem=5, seed=2)
    instructions = jnp.asarray(record.instructions, jnp.uint8)
    test = jax.jit(agent.functions.meta_test)(
        agent.params, jax.random.key(2), jnp.int32(5), instructions
    )
    steps = int(test.exploration.mask.sum())
    pairs = [(record.exploration, test.exploration)]
    for n, episode in enumerate(record.exploitation):
        pairs.append((episode, jax.tree.map(lambda x, n=n: x[n], test.exploitation)))
    for got, padded in pairs:
        taken = int(padded.mask.sum())
        assert len(got.action) == taken and got.mask.all()
        np.testing.assert_array_equal(got.action, padded.action[:taken])
        np.testing.assert_array_equal(got.observation, padded.observation[: taken + 1])
    np.testing.assert_allclose(record.z, test.z, rtol=1e-5)
    np.testing.assert_allclose(
        record.q_values.exploration, test.exploration_q[:steps], rtol=1e-4, atol=1e-6
    )
    # Greedy actions are those of the largest Q-values that the record holds.
    np.testing.assert_array_equal(
        record.q_values.exploration.argmax(axis=1), record.exploration.action
    )
    for q, episode in zip(record.q_values.exploitation, record.exploitation, strict=True):
        np.testing.assert_array_equal(q.argmax(axis=1), episode.action)
    np.testing.assert_allclose(record.returns, test.exploitation.reward.sum(axis=1), rtol=1e-6)
    assert len(record.exploration_states) == steps + 1
    assert len(record.information_gain) == steps


@pytest.mark.parametrize("preset", quick(["dream", "e_rl2"], "dream"))
def test_what_each_step_told_is_named(preset):
    agent = make("cooking", preset)
    held_out, trained = (int(agent.env.problem_ids(split)[0]) for split in ("test", "train"))
    names = [agent.trial(problem).information_name for problem in (trained, held_out, trained)]
    moved = "belief moved by" if preset == "dream" else "context moved by"
    assert names == ["gain" if preset == "dream" else moved, moved, names[0]]
    assert (agent.trial(trained).z is None) == (preset == "e_rl2")


def test_a_record_draws_itself(agent, tmp_path):
    record = agent.trial(problem=3)
    record.gif(tmp_path / "trial.gif")
    with Image.open(tmp_path / "trial.gif") as picture:
        assert picture.n_frames >= 2
    html = record._repr_html_()
    assert html.startswith("<img") and "data:image/gif;base64," in html
    text = record.text()
    assert text.startswith("exploration, step 0\n")
    assert text.count("exploitation, go to the") == sum(
        len(states) for states in record.exploitation_states
    )
    assert "problem 3" in repr(record)


def test_programs_are_compiled_once(agent):
    problem = int(agent.env.problem_ids("test")[0])
    agent.trial(problem)
    agent.trial(int(agent.env.problem_ids("train")[0]))
    agent.evaluate(trials=8)
    programs = agent._programs
    before = programs._roll._cache_size(), programs._evaluate._cache_size()
    other = TrainedAgent(programs, jax.tree.map(np.negative, agent.params), seed=4, trials=0)
    for each in (agent, other):
        for problem in range(4):
            each.trial(problem, seed=problem)
        each.evaluate(trials=8)
        each.evaluate(trials=8, split="test")
    assert (programs._roll._cache_size(), programs._evaluate._cache_size()) == before


def test_an_evaluation_covers_every_problem(agent):
    results = agent.evaluate(trials=8)
    assert set(results) == {"train", "test"}
    trial, key = agent.config.trial, jax.random.key(KEY)
    trials = evaluation.trial_set(agent.env, "test", 8, trial.exploitation_episodes, cover=True)
    assert set(trials.problem) == set(agent.env.problem_ids("test"))
    roll = jax.jit(lambda params: evaluation.evaluate(agent.functions, params, key, trials))
    expected = roll(agent.params)
    part = results["test"]
    assert part["trials"] == len(trials.problem)
    np.testing.assert_allclose(part["return_mean"], expected.trial_return.mean(), rtol=1e-5)
    assert part["optimal"] > part["no_exploration"]
    assert agent.evaluate(trials=8, split="test") == part


def test_an_instruction_is_chosen_or_given(agent):
    rows = agent.env.instructions(5)
    assert agent.trial(5).instructions.tolist() == [rows[2].tolist(), rows[3].tolist()]
    assert agent.trial(5, rows[1]).instructions.tolist() == [rows[1].tolist()] * 2
    assert agent.trial(5, rows[:2].tolist()).instructions.tolist() == rows[:2].tolist()


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ({"problem": 24}, "problem=24: valid: 0 to 23 on map"),
        ({"problem": -1}, "problem=-1: valid: 0 to 23"),
        ({"problem": 1.5}, "problem=1.5: valid"),
        ({"problem": 0, "instruction": [9, 9]}, "[9, 9] is not one of problem 0; valid: ["),
        ({"problem": 0, "instruction": 1}, "instruction=1 is not one of problem 0"),
        ({"problem": 0, "instruction": [[0, 0]]}, "give 2 numbers, or 2 x 2"),
    ],
)
def test_bad_trials_are_refused_in_one_line(agent, arguments, part):
    assert part in message(agent.trial, **arguments)


def test_bad_evaluations_are_refused_in_one_line(agent):
    assert "unknown split 'tset'; nearest: test" in message(agent.evaluate, split="tset")
    assert "trials=0 must be at least 1" in message(agent.evaluate, trials=0)


@pytest.mark.slow
def test_a_dm_env_world_is_played_as_trials_are_rolled():
    agent = make()
    record = agent.trial(problem=5)
    played = agent.play(DmEnvAdapter(agent.env), problem=5)
    np.testing.assert_array_equal(played.exploration.action, record.exploration.action)
    np.testing.assert_array_equal(played.exploitation[0].action, record.exploitation[0].action)
    np.testing.assert_allclose(played.z, record.z, rtol=1e-5, atol=1e-6)
    assert "agent='e_rl2' cannot be played" in message(
        make("map", "e_rl2").play, DmEnvAdapter(agent.env), problem=5
    )


# Files


def test_a_file_holds_the_agent_and_nothing_else(agent, tmp_path):
    file = tmp_path / "agent.npz"
    agent.save(file)
    loaded = load.load_file(file)
    assert differing(agent.params, loaded.params) == []
    assert (loaded.config, loaded.seed, loaded.trained_trials) == (agent.config, 3, 640)
    assert [path.name for path in tmp_path.iterdir()] == ["agent.npz"]
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(agent.params))
    assert file.stat().st_size < size + 10_000
    np.load(file, allow_pickle=False).close()
    agent.save(file)  # replaces it
    left, right = agent.trial(5, seed=1), loaded.trial(5, seed=1)
    np.testing.assert_array_equal(left.exploration.action, right.exploration.action)


def archive(path, about, **arrays):
    text = np.frombuffer(json.dumps(about).encode(), np.uint8)
    np.savez(path, about=text, **arrays)
    return path


def bad_files(folder, good):
    """Name -> a file, and a part of what is said about it."""
    (folder / "text.npz").write_text("not an archive")
    (folder / "empty.npz").write_bytes(b"")
    pickled = io.BytesIO()
    np.save(pickled, np.array([{"a": 1}], object), allow_pickle=True)
    with zipfile.ZipFile(folder / "pickle.npz", "w") as file:
        file.writestr("about.npy", pickled.getvalue())
    np.savez(folder / "other.npz", x=np.zeros(3))
    archive(folder / "newer.npz", {"format": agent_file.FORMAT, "version": 99})
    archive(folder / "format.npz", {"format": "another"})
    (folder / "cut.npz").write_bytes(good.read_bytes()[:-1000])
    with np.load(good) as whole:
        arrays = dict(whole)
    name = next(name for name, x in arrays.items() if name != "about" and len(x) > 1)
    less = {key: value for key, value in arrays.items() if key != name}
    np.savez(folder / "less.npz", **less)
    np.savez(folder / "shape.npz", **(arrays | {name: arrays[name][:1]}))
    np.savez(folder / "more.npz", **arrays, extra=np.zeros(2))
    return {
        "text": "no NumPy archive",
        "empty": "no NumPy archive",
        "pickle": "holds no agent of ours",
        "other": "holds no agent of ours",
        "newer": "version 99",
        "format": "'another'",
        "cut": "no NumPy archive",
        "less": f"{name} is missing",
        "shape": f"holds other parameters: {name}",
        "more": "extra is float64[2], not missing",
    }


def test_other_files_are_refused_in_one_line(agent, tmp_path):
    agent.save(tmp_path / "good.npz")
    for name, part in bad_files(tmp_path, tmp_path / "good.npz").items():
        text = message(load.load_file, tmp_path / f"{name}.npz")
        assert part in text and name in text
    assert "is a folder" in message(agent.save, tmp_path)
    assert "cannot be written" in message(agent.save, tmp_path / "none" / "agent.npz")
