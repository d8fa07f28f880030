"""An agent from outside the package, by the command line alone: trained, evaluated, reported."""

import json
from pathlib import Path

import pytest

from dream_jax.agents import registry
from dream_jax.config import ConfigError
from experiments import evaluate
from experiments import report as report_command
from tests.agents import outside_agent

NAME = "tests.agents.outside_agent:Guesser"


@pytest.mark.slow
def test_an_agent_from_outside_is_trained_evaluated_and_reported(command, tmp_path, capsys):
    assert len(Path(outside_agent.__file__).read_text().splitlines()) < 150
    out = tmp_path / "run"
    flags = ["--smoke", f"--config.agent={NAME}", f"--out={out}"]
    done = command("map", *flags)
    assert done.status == 0, done.stderr
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["loss_td"] > 0 and rows[-1]["updates"] > 0
    assert "train_return_encoder" not in rows[-1]  # it cannot be told the problem
    assert json.loads((out / "config.json").read_text())["config"]["agent"] == NAME

    assert evaluate.main([f"--checkpoint={out}", "--trials=8", "--json"]) == 0
    splits = json.loads(capsys.readouterr().out.splitlines()[-1])["splits"]
    assert set(splits) == {"train", "test"}

    assert report_command.main([str(out)]) == 0
    assert NAME in (out / "report.html").read_text()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("dreem", "unknown agent 'dreem'; nearest: dream"),
        ("tests.agents.outside_agent:Gesser", "has no attribute 'Gesser'"),
        ("no_such_module:Agent", "No module named 'no_such_module'; give MODULE:CLASS"),
        ("tests.agents.outside_agent:GuesserParams", "lacks name, analytic"),
    ],
)
def test_what_is_no_agent_is_refused_in_one_line(name, message):
    with pytest.raises(ConfigError) as error:
        registry.find(name)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
