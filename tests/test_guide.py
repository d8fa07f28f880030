"""The families of docs/own_problem.md, as they are written there."""

import re
from pathlib import Path

import pytest

from dream_jax import api, envs, presets
from dream_jax.envs.adapters import check

GUIDE = (Path(__file__).parents[1] / "docs" / "own_problem.md").read_text()
FAMILIES = {
    "lamps": "Lamps",
    "wells": "Wells",
    "cards": "Cards",
    "boxes": "Boxes",
    "doors": "Doors",
}
# The least return on training problems after `--config.training.trials` of the third column.
LEARNS = [
    ("wells", 25_600, 0.7),
    ("cards", 15_360, 0.9),
    ("boxes", 76_800, 0.8),
    ("doors", 5_120, 0.9),
]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """One with the files of the guide, to work in and to import from."""
    for name, code in blocks().items():
        (tmp_path / f"{name}.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def blocks() -> dict[str, str]:
    """Code by the name of its file: each block follows a "Save this as `NAME.py`"."""
    found = re.findall(r"Save this as\s+`(\w+)\.py`:\s+```python\n(.*?)```", GUIDE, re.DOTALL)
    return dict(found)


def family(name: str) -> str:
    return f"{name}:{FAMILIES[name]}"


def test_the_guide_has_five_families():
    assert sorted(blocks()) == sorted(FAMILIES)


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_a_family_does_what_it_declares(name):
    config = presets.get(family(name), "dream")
    env = envs.make(family(name), horizon=config.env.horizon)
    walk = check.random_walk(env, steps=60, seed=1)
    assert not check.mistakes_of(env, walk)
    memory = "none" if getattr(env, "markov", False) else "mingru"
    assert config.networks.exploitation_memory == memory
    getattr(env, "close", lambda: None)()


@pytest.mark.slow
@pytest.mark.parametrize(("name", "trials", "least"), LEARNS)
def test_a_family_is_learned(name, trials, least):
    run = api.train(family(name), overrides={"training.trials": trials}, verbose=False)
    assert run.summary["splits"]["train"]["return_mean"] >= least
