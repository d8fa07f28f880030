"""A problem family of the user's, by MODULE:CLASS: the one of docs/own_problem.md."""

import json
import re
from pathlib import Path

import pytest

from dream_jax import envs
from experiments import evaluate, own_problem, sweep

pytestmark = pytest.mark.usefixtures("quick_compilation")
DOCS = Path(__file__).parents[1] / "docs"
OTHERS = """
from lamps import Lamps

class Halved:
    name = "halved"
    def __init__(self, horizon): ...

class Fixed(Lamps):
    def __init__(self): ...

class Unknown(Lamps):
    reference_returns = float("nan"), float("nan")

class Wrong(Lamps):
    settings = {"training": {"trails": 3}}

function = len
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """One to work in that has the guide's lamps.py, and others.py."""
    found = re.search(r"```python\n(.*?)```", (DOCS / "own_problem.md").read_text(), re.DOTALL)
    (tmp_path / "lamps.py").write_text(found[1])
    (tmp_path / "others.py").write_text(OTHERS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_guides_problem_is_learned_by_the_command(folder):
    assert own_problem.main(["lamps:Lamps", "--config.training.trials=5120"]) == 0
    out = folder / "runs" / "lamps.Lamps"
    summary = json.loads((out / "summary.json").read_text())
    train = summary["splits"]["train"]
    assert (train["optimal"], train["no_exploration"]) == (pytest.approx(1.0), pytest.approx(0.5))
    assert train["normalised_per_seed"][0] > 0.5  # without exploring: 0
    assert [path.suffix for path in (out / "videos").iterdir()] == [".gif"]
    loaded = evaluate.load(out, {})
    assert (loaded.env.name, loaded.env.horizon, loaded.trials) == ("lamps", 5, 5120)


def test_oracles_presets_and_sweeps_know_it(folder, capsys):
    assert own_problem.main(["lamps:Lamps", "--config=pearl_ub", "--out=upper"]) == 0
    summary = json.loads((folder / "upper" / "summary.json").read_text())
    assert 0.5 < summary["splits"]["train"]["return_mean"] < 1.0
    request = sweep.parse(["lamps:Lamps", "--grid.td.discount=0.9,0.99", "--out=sweep"])
    assert [config.env.horizon for config in request.configs] == [5, 5]
    with pytest.raises(SystemExit, match="0"):
        own_problem.main(["--help"])
    assert "experiments.own_problem MODULE:CLASS [flags]" in capsys.readouterr().out


def test_returns_that_nobody_knows_are_not_normalised(folder):
    flags = ["--config=no_exploration", "--out=unknown"]
    assert own_problem.main(["others:Unknown", *flags]) == 0
    summary = json.loads((folder / "unknown" / "summary.json").read_text())
    assert summary["splits"]["test"]["normalised_per_seed"] == [None]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "error: '' is no MODULE:CLASS; give one first"),
        (["cooking"], "error: 'cooking' is no MODULE:CLASS; give one first"),
        (
            ["nowhere:Lamps"],
            "error: unknown environment 'nowhere:Lamps': No module named 'nowhere'",
        ),
        ([":Lamps"], "error: unknown environment ':Lamps'"),
        (["lamps:Lamp"], "error: unknown environment 'lamps:Lamp': lamps has no class 'Lamp'"),
        (["others:function"], "others has no class 'function'"),
        (
            ["others:Halved"],
            "error: others:Halved lacks descriptors, end_episode_action, horizon, ",
        ),
        (["others:Fixed"], "it is made as Fixed(horizon=5)"),
        (["others:Wrong"], "error: unknown config key 'training.trails'"),
        (["lamps:Lamps", "--config.env.horizon=0"], "error: env.horizon=0 must be "),
        (["lamps:Lamps", "--config=drem"], "error: unknown preset 'drem'; nearest: dream"),
    ],
)
def test_bad_input_is_one_clear_line(folder, flags, message, capsys):
    before = sorted(folder.iterdir())
    assert own_problem.main(flags) == 2
    out, error = capsys.readouterr()
    assert message in error and error.count("\n") == 1 and not out
    assert [path for path in sorted(folder.iterdir()) if path.name != "__pycache__"] == before


def test_a_benchmark_of_another_command_is_named(capsys):
    Path("lamps.json").write_text(json.dumps({"benchmark": "lamps:Lamps"}))
    from experiments import common

    assert common.main("cooking", ["--config=lamps.json"]) == 2
    assert "python -m experiments.own_problem lamps:Lamps" in capsys.readouterr().err
    assert envs.make("lamps:Lamps", horizon=3).horizon == 3
