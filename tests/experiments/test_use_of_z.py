"""Returns with the right z, another problem's, that of no exploration, and zero."""

import json
import types

import jax.numpy as jnp
import numpy as np
import pytest

from dream_jax.config import TrialConfig
from experiments import use_of_z as command
from experiments.analyses import use_of_z
from experiments.figures import page_parts, page_studies, records
from tests import probes, small_run
from tests.folders import one_line


def test_another_problem_is_never_the_same_one():
    train = np.array([2, 3, 7], np.int32)
    problems = np.array([2, 3, 7, 5] * 50, np.int32)
    others = use_of_z.other_problems(train, problems)
    assert (others != problems).all() and set(others.tolist()) == {2, 3, 7}
    assert set(others[3::4].tolist()) == {2, 3, 7}  # of a problem that is not trained on


def test_each_z_gets_the_return_that_it_is_worth():
    """An agent that is paid 1 for z of its own problem, 0.5 for no exploration and 0.25 for 0."""
    worth = {"own": 1.0, "shuffled": 0.0, "unexplored": 0.5, "zero": 0.25}

    def exploit_all(params, key, problem, instructions, z):
        own = jnp.where(z[0] == problem + 1, params, 0.0)
        reward = jnp.where(z[0] == 99, 0.5, jnp.where(z[0] == 0, 0.25, own))
        played = types.SimpleNamespace(reward=jnp.broadcast_to(reward, (1, 1)))
        return types.SimpleNamespace(episode=played)

    env = probes.Signpost()
    agent = types.SimpleNamespace(
        env=env,
        config=types.SimpleNamespace(trial=TrialConfig()),
        test_epsilon=0.0,
        explore=lambda params, key, problem, epsilon: types.SimpleNamespace(episode=problem),
        read=lambda params, explored: jnp.array([explored + 1.0]),
        decode=lambda params, explored: jnp.array([[99.0], [explored + 1.0]]),
        exploit_all=exploit_all,
    )
    first, second = use_of_z.returns(agent, jnp.array([1.0, 3.0]), "test", 16)
    assert first == worth
    assert second == worth | {"own": 3.0}


def test_the_command_prints_returns_by_split(finished_run, capsys):
    folder, _ = finished_run
    assert command.main([f"--checkpoint={folder}", "--trials=4", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found["splits"]) == {"train", "test"}
    for kinds in found["splits"].values():
        assert set(kinds) == {"own", "shuffled", "unexplored", "zero"}
        for part in kinds.values():
            assert len(part["return_per_seed"]) == small_run.SEEDS


@pytest.mark.parametrize(
    ("flags", "offending", "remedy"),
    [
        ("--trials=4", "--checkpoint is missing", "--pretrained=cooking"),
        ("--checkpoint=x --pretrained=cooking", "--checkpoint and --pretrained", "give one"),
        ("--pretrained=cookin", "pretrained:cookin", "nearest: cooking"),
        ("--checkpoint=nowhere", "--checkpoint=nowhere", "give its --out"),
        ("--checkpoint=nowhere --record", "nowhere", "no run"),
    ],
)
def test_bad_input_is_one_line(capsys, tmp_path, monkeypatch, flags, offending, remedy):
    monkeypatch.chdir(tmp_path)
    assert command.main(flags.split()) == 2
    text = one_line(capsys.readouterr().err)
    assert offending in text
    assert remedy in text
    assert not any(tmp_path.iterdir())


def test_the_returns_of_an_agent_that_ships_are_kept_as_a_record(capsys, tmp_path, monkeypatch):
    worth = {"own": 0.8, "shuffled": -0.2, "unexplored": 0.3, "zero": 0.0}
    monkeypatch.setattr(use_of_z, "returns", lambda agent, params, split, trials: [worth])
    assert command.main(["--pretrained=map", "--record", f"--data={tmp_path}"]) == 0
    assert "use_of_z/map-pretrained: written to" in capsys.readouterr().out
    known = records.read(tmp_path)
    record = known["use_of_z/map-pretrained"]
    assert not record.finished
    assert record.about["command"].endswith("--pretrained=map --trials=1000 --record")
    # 0.3 is no exploration, 0.8 optimal.
    (row,) = (x for x in record.rows if (x["split"], x["z"]) == ("test", "shuffled"))
    assert row["normalised"] == pytest.approx(-1.0)
    text = page_studies.use_of_z(known)
    assert "| map-pretrained | test | 100 | 1.00 | -1.00 | 0.00 | -0.60 |" in text
    assert page_studies.use_of_z({}) == page_parts.NONE


def test_the_seeds_of_a_setting_share_a_row():
    def of(seed, own):
        about = {"study": "use_of_z", "name": f"map-dream-s{seed}", "command": f"measure {seed}"}
        row = {"split": "test", "z": "own", "seed": seed, "normalised": own}
        return records.Record(about, [row, row | {"z": "zero", "normalised": -1.0}])

    text = page_studies.use_of_z({"a": of(100, 1.0), "b": of(101, 0.9)})
    assert "| map-dream | test | 100, 101 | 1.00, 0.90 | -1.00, -1.00 |" in text
    assert text.endswith("    measure 100")
