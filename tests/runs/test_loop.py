"""Runs of the command line: reproducible, interruptible, and refused when damaged."""

import json
import math
import shutil
import signal
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dream_jax import envs
from dream_jax.runs import checkpoint, provenance
from dream_jax.scaling import seeds as scaling
from dream_jax.training import setup
from tests.records import read_rows, reproducible, without_clock
from tests.small_run import EVALUATIONS, FLAGS, PERIOD, SEEDS
from tests.trees import differing, raw


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
    assert (process.returncode, stderr) == (0, "")
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


@pytest.mark.parametrize("damage", ["checkpoint", "no rows", "half a row", "rows missing"])
def test_a_damaged_run_is_refused_before_it_is_compiled(command, finished_run, tmp_path, damage):
    out = tmp_path / "run"
    shutil.copytree(finished_run[0], out)
    rows = out / "metrics.jsonl"
    if damage == "checkpoint":
        for path in (out / "checkpoints").rglob("*"):
            if path.is_file():
                path.write_bytes(b"junk")
    elif damage == "no rows":
        rows.unlink()
    else:
        lines = rows.read_text().splitlines(keepends=True)
        lines[0] = "" if damage == "rows missing" else lines[0][:10] + "\n"
        rows.write_text("".join(lines))
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    outcome = command("bus", *FLAGS, "--resume", f"--out={out}")
    assert outcome.status == 2
    assert outcome.stderr.startswith("error: --resume: ") and str(out) in outcome.stderr
    assert outcome.stderr.count("\n") == 1
    assert "compiled" not in outcome.stdout
    assert before == {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}


@pytest.mark.slow
@pytest.mark.parametrize("updates", [2, 1])  # 1: no loss has seen its result yet
def test_a_loss_that_is_not_finite_stops_the_run(command, tmp_path, updates):
    out = tmp_path / "run"
    flags = [
        "--config=dream",
        "--smoke",
        "--seeds=2",
        "--config.optimizer.weight_decay=1e38",
        # The first update is in the third evaluation period.
        "--config.replay.warmup_trials_exploitation=40",
        "--config.replay.warmup_trials_exploration=40",
        f"--config.training.updates_per_iteration={updates}",
        f"--config.training.trials_per_iteration={16 // updates}",
        f"--out={out}",
    ]
    outcome = command("bus", *flags)
    rows = read_rows(out)
    assert outcome.status == 1
    assert outcome.stderr.startswith("error: loss_")
    assert outcome.stderr.count("\n") == 1
    assert str(out / "checkpoints" / f"{PERIOD}") in outcome.stderr
    assert [row["trials"] for row in rows] == [PERIOD, PERIOD, 2 * PERIOD, 2 * PERIOD]
    assert all(math.isfinite(value) for row in rows for value in row.values())
    assert checkpoint.latest_step(out / "checkpoints") == PERIOD
    state = restore(out)
    floats = [raw(x) for x in jax.tree.leaves(state) if jnp.issubdtype(x.dtype, jnp.floating)]
    assert all(np.all(np.isfinite(x)) for x in floats)
    assert np.all(state.trials == PERIOD)
    assert not (out / "summary.json").exists()

    # Resumed, it goes the same way from the checkpoint, and no row is there twice.
    again = command("bus", *flags, "--resume")
    assert (again.status, again.stderr) == (1, outcome.stderr)
    assert f"at {PERIOD} trials" in again.stdout
    assert reproducible(read_rows(out)) == reproducible(rows)
    assert not (out / "summary.json").exists()
