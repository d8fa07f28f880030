"""The agents that ship: they are those of their cards, and return what these say."""

import json
import shutil

import numpy as np
import pytest

import dream_jax
from dream_jax.config import ConfigError
from dream_jax.runs import agent_file, load, packing, pretrained

NAMES = ("cooking", "distracting_bus", "map", "sign")


def test_all_are_small_and_say_how_they_were_made():
    assert tuple(pretrained.names()) == NAMES
    for name in NAMES:
        card = pretrained.card(name)
        assert card["benchmark"] == name
        assert card["command"].startswith(f"python -m experiments.{name} --config=dream")
        assert f"--first_seed={card['seed']}" in card["command"]
        assert len(card["git"]["commit"]) == 40 and card["git"]["dirty"] is False
        assert card["trained_trials"] > 10_000 and card["versions"]["jax"]
        assert (pretrained._folder() / f"{name}.npz").stat().st_size < pretrained.LARGEST_BYTES


def test_an_agent_is_loaded_by_name():
    agent = dream_jax.load("pretrained:map")
    card = pretrained.card("map")
    assert (agent.seed, agent.trained_trials) == (card["seed"], card["trained_trials"])
    assert agent.config.benchmark == "map"
    with pytest.raises(ConfigError, match="seed=1: pretrained:map holds the agent of seed 100"):
        dream_jax.load("pretrained:map", seed=1)
    with pytest.raises(ConfigError, match="unknown agent pretrained:cookin; nearest: cooking"):
        dream_jax.load("pretrained:cookin")


def test_another_file_is_refused(tmp_path, monkeypatch):
    for suffix in ("npz", "json"):
        shutil.copy(pretrained._folder() / f"map.{suffix}", tmp_path)
    monkeypatch.setattr(pretrained, "_folder", lambda: tmp_path)
    pretrained.load("map")
    with (tmp_path / "map.npz").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(ConfigError, match=r"map\.npz is not the file of its card"):
        pretrained.load("map")
    (tmp_path / "map.npz").unlink()
    with pytest.raises(ConfigError, match=r"map\.npz is not the file of its card"):
        pretrained.load("map")


def test_packed_parameters_are_rounded_and_nothing_else():
    rng = np.random.default_rng(0)
    arrays = {
        "['params']['large']": rng.normal(size=(512, 64)).astype(np.float32),
        "['params']['small']": rng.normal(size=7).astype(np.float32),
        "['params']['zero']": np.zeros((packing.LARGE // 2, 2), np.float32),
        "['params']['huge']": np.array([1e9], np.float32),
        "['statistics']['count']": np.array([1e6], np.float32),
        "['params']['n']": np.array([300]),
    }
    small = packing.packed(arrays)
    assert small["['params']['large']"].dtype == np.int8
    assert small["['params']['small']"].dtype == np.float16
    back = packing.unpacked(small)
    assert list(back) == list(arrays)
    for name, array in arrays.items():
        assert (back[name].dtype, back[name].shape) == (array.dtype, array.shape)
    for name in ("['params']['zero']", "['params']['huge']", "['statistics']['count']"):
        np.testing.assert_array_equal(back[name], arrays[name])
    large = arrays["['params']['large']"]
    step = np.abs(large).max(axis=0) / 127  # of each column
    assert np.all(np.abs(back["['params']['large']"] - large) <= 0.501 * step)


@pytest.mark.slow
def test_a_large_agent_is_packed_and_its_card_is_about_what_is_kept(
    finished_run, tmp_path, monkeypatch
):
    run = finished_run[0]
    agent_file.write(tmp_path / "whole.npz", *_kept(run))
    most = (tmp_path / "whole.npz").stat().st_size - 1
    monkeypatch.setattr(pretrained, "LARGEST_BYTES", most)
    monkeypatch.setattr(packing, "LARGE", 1_024)
    monkeypatch.setattr(pretrained, "_folder", lambda: tmp_path)
    pretrained.make(run, "small", tmp_path)
    card = pretrained.card("small")
    assert card["parameters"] == "float16, and 8-bit integers"
    assert (tmp_path / "small.npz").stat().st_size < 0.6 * most
    agent = pretrained.load("small")
    same = json.loads(json.dumps(pretrained.returns(agent)))
    assert same == card["splits"]
    monkeypatch.setattr(pretrained, "LARGEST_BYTES", 1_000)
    with pytest.raises(ConfigError, match=r"tiny\.npz would have .* bytes, more than 1,000"):
        pretrained.make(run, "tiny", tmp_path)
    assert not list(tmp_path.glob("tiny*"))


def _kept(run):
    agent = load.load_run(run).trained_agent()
    return agent.config, agent.params, agent.seed, agent.trained_trials


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_returns_are_those_of_the_card(name):
    card = pretrained.card(name)
    got = json.loads(json.dumps(pretrained.returns(pretrained.load(name))))
    assert set(got) == set(card["splits"])
    for split, part in got.items():
        for field, value in part.items():
            assert value == pytest.approx(card["splits"][split][field], abs=1e-5), (split, field)
    # Sign's is 1 in 99 of 100 trials.
    assert got["test"]["normalised_per_seed"][0] > (0.97 if name == "sign" else 0.99)
