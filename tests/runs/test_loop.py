"""Runs of the command line: reproducible, interruptible, and refused when damaged."""

import json
import shutil
import signal
import time

import pytest

from dream_jax import envs
from dream_jax.runs import checkpoint, provenance
from dream_jax.scaling import seeds as scaling
from dream_jax.training import setup
from tests.folders import one_line, snapshot
from tests.records import read_rows, reproducible, without_clock
from tests.small_run import EVALUATIONS, FLAGS, SEEDS
from tests.trees import differing


def restore(out):
    """The newest checkpoint of a run of the bus benchmark."""
    config = provenance.load(out / "config.json")
    trainer = setup.make_trainer(config, envs.make("bus", horizon=config.env.horizon))
    return checkpoint.restore(out / "checkpoints", scaling.state_shape(trainer, SEEDS))[0]


@pytest.mark.slow  # resuming, below, ends as bit-equal
def test_the_same_seed_twice_is_bit_equal(command, finished_run, tmp_path):
    first, _ = finished_run
    out = tmp_path / "run"
    assert command("bus", *FLAGS, f"--out={out}").status == 0
    rows = reproducible(read_rows(first))
    assert reproducible(read_rows(out)) == rows
    assert len(rows) == EVALUATIONS * SEEDS
    # A seed is not like another, nor an evaluation like the one before.
    losses = {row["loss_exploitation_td"] for row in rows}
    assert len(losses) == len(rows)
    assert differing(restore(first), restore(out)) == []
    summaries = [json.loads((run / "summary.json").read_text()) for run in (first, out)]
    assert without_clock(summaries[0]) == without_clock(summaries[1])


def test_interrupted_and_resumed_equals_uninterrupted(command, spawn, finished_run, tmp_path):
    whole, _ = finished_run
    out = tmp_path / "run"
    process = spawn("bus", *FLAGS, f"--out={out}")
    try:
        while process.poll() is None:
            time.sleep(0.005)
            if (out / "metrics.jsonl").exists() and read_whole_lines(out) >= SEEDS:
                break
        process.send_signal(signal.SIGTERM)
        stdout, stderr = process.communicate(timeout=120)
    finally:
        process.kill()
    assert (process.returncode, stderr) == (75, "")
    assert "stopped by SIGTERM" in stdout
    before = read_rows(out)
    assert SEEDS <= len(before) < EVALUATIONS * SEEDS
    assert checkpoint.latest_step(out / "checkpoints") == before[-1]["trials"]
    assert not (out / "summary.json").exists()

    outcome = command("bus", *FLAGS, "--resume", f"--out={out}")
    assert (outcome.status, outcome.stderr) == (0, "")
    assert f"at {before[-1]['trials']} trials" in outcome.stdout
    rows = read_rows(out)
    assert rows[: len(before)] == before  # not written anew
    assert reproducible(rows) == reproducible(read_rows(whole))
    assert differing(restore(whole), restore(out)) == []
    summaries = [json.loads((run / "summary.json").read_text()) for run in (whole, out)]
    assert without_clock(summaries[0]) == without_clock(summaries[1])
    # The clock goes on from where the interrupted run stood.
    clock = [row["wall_s"] for row in rows[::SEEDS]]
    assert clock == sorted(clock)
    assert summaries[1]["wall_s"] > clock[-1]


def read_whole_lines(out):
    return (out / "metrics.jsonl").read_bytes().count(b"\n")


def test_a_run_leaves_the_signal_handlers_as_they_were(finished_run):
    assert finished_run[1].handlers_restored


@pytest.mark.parametrize("damage", ["checkpoint", "config"])
def test_a_damaged_run_is_refused_before_it_is_compiled(command, finished_run, tmp_path, damage):
    out = tmp_path / "run"
    shutil.copytree(finished_run[0], out)
    if damage == "checkpoint":  # all of them
        for path in (out / "checkpoints").rglob("*"):
            if path.is_file():
                path.write_bytes(b"junk")
    else:
        text = (out / "config.json").read_text()
        (out / "config.json").write_text(text[: len(text) // 2])
    before = snapshot(out)
    outcome = command("bus", *FLAGS, "--resume", f"--out={out}")
    assert outcome.status == 2
    assert str(out) in one_line(outcome.stderr)
    assert "compiled" not in outcome.stdout
    assert snapshot(out) == before


@pytest.mark.parametrize("damage", ["nothing", "no rows", "half a row", "a row of zeros", "more"])
def test_a_finished_run_is_repaired_and_nothing_else(command, finished_run, tmp_path, damage):
    out = tmp_path / "run"
    shutil.copytree(finished_run[0], out)
    before, path = snapshot(out), out / "metrics.jsonl"
    if damage == "no rows":
        path.unlink()
    elif damage != "nothing":
        data = path.read_bytes()
        ends = {"half a row": data[:-20], "a row of zeros": data[:-9] + b"\0" * 9, "more": data * 2}
        path.write_bytes(ends[damage])
    outcome = command("bus", "--resume", f"--out={out}")
    assert (outcome.status, outcome.stderr) == (0, "")
    assert outcome.stdout.endswith("finished; nothing to do\n")
    assert ("come from the checkpoint" in outcome.stdout) == (damage not in ("nothing", "more"))
    assert "compiled" not in outcome.stdout
    assert snapshot(out) == before
