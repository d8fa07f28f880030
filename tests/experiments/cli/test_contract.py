"""The resolved config, seeds, closed pipes, JAX's modes, folders and text that fail."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from dream_jax import config as configs
from dream_jax import presets
from experiments import bandit, reproduce, sweep
from experiments.cli import process
from tests.folders import snapshot

ROOT = Path(__file__).parents[3]


def one_line(stderr):
    assert stderr.startswith("error: ") and stderr.count("\n") == 1
    return stderr


def run(*words, **variables):
    """A command in a process of its own, in the folder of the test."""
    return subprocess.run(
        [sys.executable, "-m", *words],
        env=os.environ | {"PYTHONPATH": str(ROOT)} | variables,
        capture_output=True,
    )


# --print_config


def test_print_config_shows_what_would_run_and_writes_nothing(command, place):
    before = snapshot(place)
    outcome = command("map", "--smoke", "--config.td.discount=0.5", "--print_config", "--out=full")
    assert (outcome.status, outcome.stderr) == (0, "")
    expected = presets.smoke(presets.get("map", "dream"))
    expected = configs.override(expected, {"td.discount": 0.5})
    assert configs.from_dict(json.loads(outcome.stdout)) == expected
    assert snapshot(place) == before
    Path("mine.json").write_text(outcome.stdout)
    again = command("map", "--config=mine.json", "--print_config")
    assert again.stdout == outcome.stdout


def test_print_config_checks_values(command, place):
    outcome = command("map", "--config.td.discount=2", "--print_config")
    assert (outcome.status, outcome.stdout) == (2, "")
    assert "td.discount=2.0" in one_line(outcome.stderr)


def test_other_commands_print_their_config(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert bandit.main(["--config=optimistic", "--print_config"]) == 0
    assert json.loads(capsys.readouterr().out)["initial_exploration_q"] == 1.0
    assert sweep.main(["bus", "--grid.td.discount=0.9,0.8", "--print_config"]) == 0
    assert json.loads(capsys.readouterr().out)["benchmark"] == "bus"
    assert not any(tmp_path.iterdir())


# --first_seed


def test_seeds_begin_at_the_first(command, tmp_path):
    out = tmp_path / "run"
    flags = ["--config=optimal", "--seeds=2", f"--out={out}"]
    assert command("bus", *flags, "--first_seed=100").status == 0
    assert json.loads((out / "config.json").read_text())["seeds"] == [100, 101]
    assert json.loads((out / "summary.json").read_text())["seeds"] == [100, 101]
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [row["seed"] for row in rows] == [100, 101]
    before = snapshot(out)
    outcome = command("bus", *flags, "--resume", "--first_seed=0")
    assert outcome.status == 2
    assert "--first_seed=100, not 0" in one_line(outcome.stderr)
    # Flags that are not given are as they were.
    for given in ([], flags[:1], flags[1:2]):
        outcome = command("bus", *given, "--resume", f"--out={out}")
        assert (outcome.status, outcome.stderr) == (0, "")
        assert outcome.stdout == f"{out}: finished; nothing to do\n"
    assert snapshot(out) == before


@pytest.mark.parametrize("first, said", [(-1, "at least 0"), (2**31 - 1, "2147483647")])
def test_seeds_are_numbers_of_32_bits(command, place, first, said):
    outcome = command("bus", "--config=optimal", "--seeds=2", f"--first_seed={first}")
    assert outcome.status == 2
    assert said in one_line(outcome.stderr)


def test_reproduce_hands_the_first_seed_on(tmp_path):
    out = tmp_path / "out"
    options = reproduce.parse(["--figure=6", f"--out={out}", "--first_seed=7", "--budget=full"])
    mine = [run for run in reproduce.runs(6, options) if run.name.startswith("map-dream-s")]
    seeds = [word for run in mine for word in run.arguments(out) if "first_seed" in word]
    assert seeds == [f"--first_seed={7 + k}" for k in range(5)]


# Closed pipes


@pytest.mark.parametrize("flags", [["--print_config"], ["--help"]])
def test_a_reader_that_leaves_ends_the_command_quietly(tmp_path, flags):
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as nobody:
        done = subprocess.run(
            [sys.executable, "-m", "experiments.bus", *flags],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            cwd=tmp_path,
            stdout=nobody,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert (done.returncode, done.stderr) == (141, "")


def test_an_error_that_nobody_reads_is_quiet_too():
    def work():
        raise BrokenPipeError

    assert process.exit_status(work, "interrupted") == process.PIPE_CLOSED == 141


# JAX


@pytest.mark.parametrize("option", ["jax_enable_x64", "jax_disable_jit"])
def test_modes_that_nothing_is_trained_in_are_named(command, capsys, place, option):
    before = snapshot(place)
    jax.config.update(option, True)
    try:
        outcome = command("bus", "--smoke")
        assert outcome.status == 2
        assert f"{option.upper()}=1: " in one_line(outcome.stderr)
        assert bandit.main(["--smoke"]) == 2
        assert f"{option.upper()}=1: " in one_line(capsys.readouterr().err)
    finally:
        jax.config.update(option, False)
    assert snapshot(place) == before


@pytest.mark.slow
def test_a_cache_that_cannot_be_written_is_one_line(place, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)  # it comes before HOME
    for variable in ("JAX_COMPILATION_CACHE_DIR", "HOME"):
        others = {"JAX_COMPILATION_CACHE_DIR": ""} | {variable: str(place / "a_file" / "cache")}
        done = run("experiments.bus", "--config=optimal", f"--out={place / variable}", **others)
        assert done.returncode == 0
        text = done.stderr.decode()
        assert text.startswith("compiled programs are not kept: cannot write to ")
        assert text.count("\n") == 1


# Text


@pytest.mark.slow
def test_names_outside_the_encoding_of_the_locale_are_escaped(place):
    before = snapshot(place)
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    name = "caf\N{LATIN SMALL LETTER E WITH ACUTE}"
    for flags, said in (
        ([f"--config={name}"], "unknown preset 'caf"),
        (["--config=optimal", f"--out={name}/run"], "set PYTHONUTF8=1"),
        ([f"--config.{name}=1"], "unknown config key 'caf"),
    ):
        done = run("experiments.bus", *flags, **locale)
        assert done.returncode == 2
        assert said in one_line(done.stderr.decode())
    assert snapshot(place) == before


@pytest.mark.slow
def test_a_run_is_reported_whatever_the_locale(command, place):
    assert command("bus", "--config=optimal", f"--out={place / 'run'}").status == 0
    folder = "K\N{LATIN SMALL LETTER U WITH DIAERESIS}che 1"
    Path("run").rename(folder)
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = run("experiments.report", folder, **locale)
    assert (done.returncode, done.stderr) == (0, b"")
    assert folder in (Path(folder) / "report.html").read_text(encoding="utf-8")
