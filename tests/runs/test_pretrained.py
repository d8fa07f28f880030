"""The agents that ship: they are those of their cards, and return what these say."""

import json
import shutil

import pytest

import dream_jax
from dream_jax.config import ConfigError
from dream_jax.runs import pretrained

NAMES = ("cooking", "distracting_bus", "map")


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


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_returns_are_those_of_the_card(name):
    card = pretrained.card(name)
    got = json.loads(json.dumps(pretrained.returns(pretrained.load(name))))
    assert set(got) == set(card["splits"])
    for split, part in got.items():
        for field, value in part.items():
            assert value == pytest.approx(card["splits"][split][field], abs=1e-5), (split, field)
    assert got["test"]["normalised_per_seed"][0] > 0.99
