"""A problem family of the user's, by MODULE:CLASS: the one of docs/own_problem.md."""

import json
import math
import re
from pathlib import Path

import pytest

from dream_jax import envs
from dream_jax.oracles import belief_search as beliefs
from dream_jax.oracles import bounds as oracles
from dream_jax.runs import summary as summaries
from experiments import evaluate, own_problem, report, sweep
from experiments.cli import process as common

DOCS = Path(__file__).parents[3] / "docs"
OTHERS = """
import dataclasses
import jax
import jax.numpy as jnp
import numpy as np
from lamps import Lamps

class BigObservation(Lamps):
    def reset(self, key, problem, instruction):
        state, shown = super().reset(key, problem, instruction)
        return state, shown._replace(observation=shown.observation + 100)

class NanReward(Lamps):
    def step(self, state, action):
        state, shown = super().step(state, action)
        return state, shown._replace(reward=jnp.where(state.step == 3, jnp.nan, shown.reward))

class WrongShape(Lamps):
    def reset(self, key, problem, instruction):
        state, shown = super().reset(key, problem, instruction)
        return state, shown._replace(observation=jnp.zeros((2,), jnp.int32))

def made(horizon):
    return WrongShape(horizon)

class Halved:
    name = "halved"
    def __init__(self, horizon): ...

class Fixed(Lamps):
    def __init__(self): ...

class Failing(Lamps):
    def __init__(self, horizon): raise KeyError("fuse")

class Deaf(Lamps):
    def __init__(self, horizon): self.horizon = 7

class Random(Lamps):
    def reset(self, key, problem, instruction):
        state, seen = super().reset(key, problem, instruction)
        return state._replace(lit=jax.random.randint(key, (), 0, 6)), seen

class Unknown(Lamps):
    reference_returns = float("nan"), float("nan")

class Single(Lamps):
    reference_returns = 1.0

class Like(Lamps):
    @property
    def same_returns_as(self): return Lamps(9)

class LikeNothing(Lamps):
    same_returns_as = None

class Short(Lamps):
    descriptors = Lamps.descriptors[:7]

class Untested(Lamps):
    def problem_ids(self, split): return super().problem_ids(split)[: 0 if split == "test" else 9]

class Beyond(Lamps):
    num_problems, descriptors = 50, None

class Wide(Lamps):
    observation_sizes = (0,)

class Overlapping(Lamps):
    def problem_ids(self, split):
        ids = super().problem_ids(split)
        return np.append(ids, 5) if split == "train" else ids

class Flat(Lamps):
    def instructions(self, problem): return np.arange(5)

class Typed(Lamps):
    settings = {"env": 3}

class Wrong(Lamps):
    settings = {"training": {"trails": 3}}

class Array(Lamps):
    settings = {"networks": {"embedding": np.zeros(2)}}

@dataclasses.dataclass
class Unhashable(Lamps):
    horizon: int

function = len
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """One to work in that has the guide's lamps.py, others.py, and broken.py."""
    found = re.search(r"```python\n(.*?)```", (DOCS / "own_problem.md").read_text(), re.DOTALL)
    (tmp_path / "lamps.py").write_text(found[1])
    (tmp_path / "others.py").write_text(OTHERS)
    (tmp_path / "broken.py").write_text("class Lamps\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
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
    assert report.main([str(out)]) == 0
    assert "Settings that differ from the preset" in (out / "report.html").read_text()


def test_oracles_presets_and_sweeps_know_it(folder, capsys):
    assert own_problem.main(["lamps:Lamps", "--config=pearl_ub", "--out=upper"]) == 0
    summary = json.loads((folder / "upper" / "summary.json").read_text())
    assert 0.5 < summary["splits"]["train"]["return_mean"] < 1.0
    request = sweep.parse(["lamps:Lamps", "--grid.td.discount=0.9,0.99", "--out=sweep"])
    assert [config.env.horizon for config in request.configs] == [5, 5]
    with pytest.raises(SystemExit, match="0"):
        own_problem.main(["--help"])
    assert "experiments.own_problem MODULE:CLASS [flags]" in capsys.readouterr().out


def test_returns_that_nobody_knows_are_not_normalised(folder, capsys):
    flags = ["--config=no_exploration", "--out=unknown"]
    assert own_problem.main(["others:Unknown", *flags]) == 0
    summary = json.loads((folder / "unknown" / "summary.json").read_text())
    assert summary["splits"]["test"]["normalised_per_seed"] == [None]
    capsys.readouterr()
    # Where the oracles cannot know, they say why.
    assert own_problem.main(["others:Random", "--config=optimal", "--out=random"]) == 2
    assert "need a reset that ignores its key" in capsys.readouterr().err
    assert not (folder / "random").exists()
    bounds = summaries.bounds_of(envs.make("others:Random", horizon=5))
    known = [(part.optimal, part.no_exploration) for part in bounds.values()]
    assert all(math.isnan(value) for part in known for value in part)
    out, error = capsys.readouterr()
    assert "returns are not normalised: lamps: the exact oracles need" in error and not out


def test_a_search_without_end_is_given_up(monkeypatch):
    monkeypatch.setattr(beliefs, "MAX_BELIEFS", 1_000)
    with pytest.raises(ValueError, match="less than 1,000 belief states"):
        oracles.bounds(envs.make("lamps:Lamps", horizon=5), "train")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "error: '' is not MODULE:CLASS; give the class first"),
        (["cooking"], "error: 'cooking' is not MODULE:CLASS; give the class first"),
        (["nowhere:Lamps"], "No module named 'nowhere'; give MODULE:CLASS of a module that Python"),
        ([":Lamps"], "error: unknown environment ':Lamps'"),
        (["broken:Lamps"], "error: unknown environment 'broken:Lamps': SyntaxError: "),
        (["lamps:Lamp"], "error: unknown environment 'lamps:Lamp': lamps has no class 'Lamp'"),
        (["others:function"], "TypeError: len() takes no keyword arguments, raised by len("),
        (["others:Halved"], "others:Halved lacks horizon, num_actions, num_problems, "),
        (["others:Fixed"], "raised by Fixed(horizon=5)"),
        (["others:Failing"], "error: others:Failing: KeyError: 'fuse', raised by Failing("),
        (["others:Deaf"], "error: others:Deaf: horizon must be the 5 given, not 7"),
        (["others:Single"], "reference_returns must be (optimal, no exploration), not 1.0"),
        (
            ["others:Like"],
            "same_returns_as must be a family with num_problems=120 and horizon=5, not <",
        ),
        (["others:LikeNothing"], "num_problems=120 and horizon=5, not None"),
        (["others:Short"], "descriptors must be None or [120, D], not 'an array [7, 25]'"),
        (["others:Untested"], "problem_ids('test') must be [n] ids from 0 to 119, not []"),
        (["others:Beyond"], "problem_ids('train') must be [n] ids from 0 to 49, not [0, 1,"),
        (
            ["others:Wide"],
            "observation_sizes must be a tuple of ints from 1 to 2147483647, not (0,)",
        ),
        (
            ["others:Overlapping"],
            "1 problem ids are in both splits (5); the splits must be disjoint",
        ),
        (["others:Flat"], "instructions(problem) must be [M, 1], not 'an array [5]'"),
        (["others:Typed"], "others:Typed: settings={'env': 3} must be a dict of dicts of fields"),
        (["others:Wrong"], "others:Wrong: settings: unknown config key 'training.trails'"),
        (["others:Array"], "error: others:Array: settings: "),
        (
            ["others:BigObservation"],
            "observation component 0 is 100; its spec allows 0 to 5, at st",
        ),
        (["others:NanReward"], "others:NanReward: reward is nan at step 3 of problem "),
        (["others:WrongShape"], "observation has shape [2] in reset and [1] in step"),
        (["others:made"], "others:made: observation has shape [2] in reset and [1] in step"),
        (
            ["gymnasium:make"],
            "gymnasium environments are not pure JAX; wrap a function that makes th",
        ),
        (["gymnasium:Env"], "wrap a function that makes them in dream_jax.HostFamily"),
        (["others:Unhashable"], "it must be hashable (a dataclass: eq=False), not 'Unhashable'"),
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
    assert common.main("cooking", ["--config=lamps.json"]) == 2
    assert "python -m experiments.own_problem lamps:Lamps" in capsys.readouterr().err
