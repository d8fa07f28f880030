"""`python -m benchmarks.throughput`: what it reports, and what it refuses."""

import contextlib
import io
import json
from importlib import util

import pytest

from benchmarks import original_stand_ins, settings, throughput, worker
from dream_jax import envs
from dream_jax.training import setup
from dream_jax.validation import validate

has_torch = util.find_spec("torch") is not None


def run(*flags):
    """(status, standard output, standard error) of the command."""
    stdout, stderr = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
        status = throughput.main(flags)
    return status, stdout.getvalue(), stderr.getvalue()


@pytest.fixture(scope="module")
def quick():
    status, stdout, stderr = run("--quick", "--json", "--presets=dream", "--seeds=1", "--rounds=2")
    assert status == 0, stderr
    return json.loads(stdout)


@pytest.mark.slow
def test_the_report_is_complete(quick):
    part = quick["presets"]["dream"]
    assert quick["machine"]["cores"] == worker.cores()
    assert part["flops_per_update"] > 1e5
    row = part["contenders"]["dream_jax, 1 seed"]
    for measure, units in (
        ("collect", {"env_steps_per_s", "trials_per_s"}),
        ("update", {"updates_per_s", "flops_per_s", "share_of_peak"}),
        ("train", {"env_steps_per_s", "trials_per_s", "updates_per_s"}),
    ):
        assert set(row[measure]) == units
        for unit in units - {"flops_per_s", "share_of_peak"}:
            rate = row[measure][unit]
            assert 0 < rate["min"] <= rate["median"] <= rate["max"]
            assert len(rate["rounds"]) == 2
    assert 0 < row["update"]["share_of_peak"] < 1
    assert row["recompilations"] == 0
    assert row["peak_memory_bytes"] > 1e8
    assert set(row["compile_s"]) == {"collect", "update", "train"}
    # By the compiler: the replay, parameters and optimisers, and what an iteration needs beside.
    assert row["replay_bytes"] < row["compiler"]["state_bytes"] < row["compiler"]["peak_bytes"]


@pytest.mark.slow
def test_what_is_not_there_is_said(quick):
    missing = quick["presets"]["dream"]["not_available"]
    assert "dream_paper" in missing["authors' code"] or not has_torch
    assert ("PyTorch baseline" in missing) == (not has_torch)
    assert bool(quick["presets"]["dream"]["ratios"]) == has_torch


@pytest.mark.slow
@pytest.mark.skipif(not has_torch, reason="needs the extra `torch`: pip install -e '.[torch]'")
def test_ratios_are_taken_within_a_round(quick):
    part = quick["presets"]["dream"]
    rows, ratios = part["contenders"], part["ratios"]["train"]
    ours, theirs = (
        rows[n]["train"]["env_steps_per_s"]["rounds"]
        for n in ("dream_jax, 1 seed", "PyTorch baseline")
    )
    ratio = ratios["dream_jax, 1 seed / PyTorch baseline"]["rounds"]
    assert ratio == [a / b for a, b in zip(ours, theirs, strict=True)]


@pytest.mark.slow
def test_the_table_names_every_contender(quick):
    text = throughput.table(quick)
    for name in quick["presets"]["dream"]["contenders"]:
        assert name in text


@pytest.mark.parametrize("preset", settings.PRESETS)
@pytest.mark.parametrize("benchmark", settings.BENCHMARKS)
def test_what_is_measured_is_a_possible_config(benchmark, preset):
    for make in (settings.training, settings.collecting, settings.updating):
        config = make(benchmark, preset, quick=False)
        validate(config, envs.make(benchmark).num_actions)
    assert setup.total_updates(settings.collecting(benchmark, preset, quick=False)) == 0
    updating = settings.updating(benchmark, preset, quick=False).training
    assert updating.updates_per_iteration >= 100 * updating.trials_per_iteration


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--presets=dreem"], "unknown preset 'dreem'; nearest: dream"),
        (["--benchmark=kooking"], "unknown benchmark 'kooking'; nearest: cooking"),
        (["--seeds=one"], "--seeds=one must be a whole number"),
        (["--seeds=0"], "--seeds=0 must be at least 1"),
        (["--seeds=1,1"], "--seeds=1,1 must name each number once"),
        (["--presets=dream,dream"], "--presets=dream,dream: give each once"),
        (["--rounds=0"], "--rounds=0 must be at least 1"),
        (["--rounds=some"], "--rounds=some must be a whole number"),
        (["--seconds=-1"], "--seconds=-1 must be above 0"),
        (
            ["--original=/nowhere"],
            "--original=/nowhere is not a checkout of the authors' code: it has no main.py",
        ),
        (["--orginal=/nowhere"], "unknown argument '--orginal=/nowhere'; nearest: --original"),
    ],
)
def test_bad_input_is_one_line_and_status_2(flags, message):
    status, stdout, stderr = run(*flags)
    assert (status, stdout) == (2, "")
    assert message in stderr and stderr.startswith("error: ") and stderr.count("\n") == 1


def test_a_contender_that_fails_is_named(monkeypatch):
    monkeypatch.setattr(throughput, "PRESETS", ("dream", "nonsense"))
    status, _, stderr = run("--quick", "--presets=nonsense", "--seeds=1")
    assert status == 1
    assert "error: benchmarks.jax_worker failed in 'prepare'" in stderr.splitlines()[-1]
    assert "nonsense" in stderr.splitlines()[-1]


def test_trial_numbers_alternate_and_skip_what_is_no_training():
    numbers = original_stand_ins.trial_numbers()
    first = [next(numbers) for _ in range(300)]
    assert all(n % 100 for n in first)
    assert [n % 2 for n in first] == [0, 1] * 150
