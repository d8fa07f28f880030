"""report.html while a run trains: what it may cost, and what it does when it fails."""

import json
import types

import pytest

from dream_jax import config as configs
from dream_jax import envs, presets
from dream_jax.agents import registry
from dream_jax.runs import page_data, run_page
from dream_jax.runs.agent_programs import AgentPrograms


@pytest.fixture
def page(tmp_path):
    config = configs.override(presets.get("map", "dream"), {"networks.hidden_size": 8})
    agent = registry.make(config, envs.from_config("map", config.env))
    lines = []
    made = run_page.RunPage(AgentPrograms(agent), tmp_path, lines.append)
    made.lines = lines
    return made


def run_at(seconds, trials=64):
    row = {"seed": 0, "wall_s": seconds, "trials": trials, "env_steps": 10 * trials}
    return types.SimpleNamespace(rows=[row], seeds=(0,), failed={})


def test_the_page_costs_a_small_share_of_the_run(page, monkeypatch):
    clock, calls = [0.0], []
    monkeypatch.setattr(run_page.time, "perf_counter", lambda: clock[0])

    def costs(name, seconds):
        def work(run, summary=None):
            calls.append(name)
            clock[0] += seconds

        return work

    monkeypatch.setattr(page, "_roll", costs("trials", 6.0))
    monkeypatch.setattr(page, "_write", costs("page", 0.1))
    for seconds in range(1, 1201):
        page.evaluated(run_at(float(seconds)))
        assert clock[0] <= run_page.SHARE * seconds + 1e-9
    assert calls.count("trials") == 1  # 12 s are allowed for them, each takes 6.1
    assert calls.count("page") > 20
    assert calls.index("trials") > 2  # the numbers are shown long before


def test_a_failure_is_one_line(page, monkeypatch):
    def fail(run, summary):
        raise OSError("disk\nfull")

    monkeypatch.setattr(page, "_write", fail)
    page.stopped(run_at(5.0))
    (line,) = page.lines
    assert line.startswith("report.html was not written: OSError: disk") and "\n" not in line


def test_visits_after_a_resumed_checkpoint_are_dropped(page, tmp_path):
    for trials in (64, 128, 192):
        page._note_visits(run_at(1.0, trials), [[trials]])
    path = tmp_path / run_page.VISITS
    assert [json.loads(x)["counts"] for x in path.read_text().splitlines()] == [
        [[64]], [[128]], [[192]],
    ]  # fmt: skip
    page._visits = None  # a new process, which goes on from 64
    page._note_visits(run_at(1.0, 128), [[5]])
    assert [json.loads(x)["trials"] for x in path.read_text().splitlines()] == [64, 128]
    assert page._visits[-1]["counts"] == [[5]]


def test_long_curves_are_thinned_and_end_with_the_newest_row():
    rows = [{"seed": 0, "x": float(k), "bad": float("nan")} for k in range(1_001)]
    curve = page_data.curves(rows, [0])["0"]
    assert len(curve["x"]) <= page_data.MOST_POINTS and curve["x"][-1] == 1_000
    assert set(curve["bad"]) == {None}
    kept = page_data.of_visits(
        envs.make("map").view(), [{"env_steps": k, "counts": []} for k in range(200)]
    )
    assert len(kept["env_steps"]) <= 60 and kept["env_steps"][-1] == 199


def test_the_command_makes_the_same_run():
    config = configs.override(presets.get("map", "dream"), {"td.discount": 0.9})
    command = page_data.command(config, [100, 101], "runs/a")
    assert command == (
        "python -m experiments.map --config=dream --seeds=2 --first_seed=100 "
        "--config.td.discount=0.9 --out=runs/a"
    )
