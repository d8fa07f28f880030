"""Every preset of the command line runs and leaves its files."""

import itertools
import json
import math

import jax
import numpy as np
import pytest
from PIL import Image

from dream_jax import config as configs
from dream_jax import envs, presets
from dream_jax.runs import checkpoint, files, provenance
from dream_jax.scaling import seeds as scaling
from dream_jax.training import setup
from tests.presets.kinds import ANALYTIC
from tests.records import read_rows
from tests.runs.expected_files import ROW, check_summary
from tests.tiers import quick


@pytest.mark.parametrize(
    "benchmark, preset",
    quick(
        itertools.product(envs.BENCHMARKS, ANALYTIC), ("bus", "optimal"), ("map", "no_exploration")
    ),
)
def test_analytic_presets(command, tmp_path, benchmark, preset):
    flags = [f"--config={preset}", "--smoke", "--seeds=2", f"--out={tmp_path / 'run'}"]
    outcome = command(benchmark, *flags)
    assert (outcome.status, outcome.stderr) == (0, "")
    summary = check_summary(tmp_path / "run", benchmark, preset, 2)
    # PEARL-UB: 0.5025 of 0.3 to 0.8 on the distracting bus, 0.3514 of 0.1972 to 0.4667 on cooking.
    pearl = {"cooking": 0.572, "distracting_bus": 0.405}.get(benchmark, 0.4)
    value = {"optimal": 1.0, "no_exploration": 0.0, "pearl_ub": pearl}[preset]
    shares = summary["splits"]["test"]["normalised_per_seed"]
    assert shares == pytest.approx([value, value], abs=2e-3 if preset == "pearl_ub" else 1e-6)
    assert [time is not None for time in summary["time_to_95_s"]] == [value == 1.0] * 2
    rows = read_rows(tmp_path / "run")
    assert [row["seed"] for row in rows] == [0, 1]
    split = summary["splits"]["test"]
    assert all(row["test_return"] == pytest.approx(split["return_mean"]) for row in rows)
    saved = provenance.load(tmp_path / "run" / "config.json")
    assert saved == presets.smoke(presets.get(benchmark, preset))


def test_a_whole_run_leaves_its_files(finished_run):
    check_files(finished_run[0], "bus", "dream", 2, {"training.trials": 160})


@pytest.mark.slow
@pytest.mark.parametrize(
    "benchmark, preset, more",
    [("cooking", "dream_paper", {"training.env_steps_per_update": 16}), ("bus", "e_rl2", {})],
)
def test_whole_runs_of_other_presets(command, tmp_path, benchmark, preset, more):
    out = tmp_path / "run"
    overrides = [f"--config.{path}={value}" for path, value in more.items()]
    outcome = command(benchmark, f"--config={preset}", "--smoke", *overrides, f"--out={out}")
    assert (outcome.status, outcome.stderr) == (0, "")
    check_files(out, benchmark, preset, 1, more)


def check_files(out, benchmark, preset, seeds, more):
    config = provenance.load(out / "config.json")
    expected = presets.smoke(presets.get(benchmark, preset))
    assert config == configs.override(expected, {path: str(x) for path, x in more.items()})
    record = json.loads((out / "config.json").read_text())
    assert record["seeds"] == list(range(seeds))
    assert record["versions"]["jax"] == jax.__version__
    assert record["versions"]["devices"]

    rows = read_rows(out)
    training = config.training
    evaluations = training.trials // training.evaluation_period_trials
    assert [(row["trials"], row["seed"]) for row in rows] == [
        ((k + 1) * training.evaluation_period_trials, seed)
        for k in range(evaluations)
        for seed in range(seeds)
    ]
    for row in rows:
        losses = {name for name in row if name.startswith("loss_")}
        assert losses
        # There is no telling this agent the problem id.
        untold = {"train_return_encoder"} if preset == "e_rl2" else set()
        assert set(row) - losses == ROW - untold
        assert all(math.isfinite(value) for value in row.values())
        assert 1 <= row["exploration_length"] <= config.env.horizon
        assert row["wall_s"] > row["compile_s"] > 0
    for seed in range(seeds):
        mine = [row for row in rows if row["seed"] == seed]
        for name in ("env_steps", "updates", "wall_s"):
            values = [row[name] for row in mine]
            assert values == sorted(set(values))
    summary = check_summary(out, benchmark, preset, seeds)
    assert summary["trials"] == training.trials == rows[-1]["trials"]
    last = rows[-seeds:]
    assert summary["updates"] == int(np.mean([row["updates"] for row in last]))
    assert summary["env_steps"] == int(np.mean([row["env_steps"] for row in last]))

    assert checkpoint.latest_step(out / "checkpoints") == training.trials
    trainer = setup.make_trainer(config, envs.make(benchmark, horizon=config.env.horizon))
    state, _ = checkpoint.restore(out / "checkpoints", scaling.state_shape(trainer, seeds))
    assert state.learners[0].updates.tolist() == [row["updates"] for row in last]
    if not training.updates_per_iteration:  # paid for by environment steps, the first ones too
        paid = state.exploitation_steps // training.env_steps_per_update
        assert state.learners.exploitation.updates.tolist() == paid.tolist()
    with Image.open(out / "curves.png") as picture:
        assert picture.size[0] > 300
    videos = sorted((out / "videos").glob("*.gif"))
    assert len(videos) == seeds
    for path in videos:
        with Image.open(path) as video:
            assert video.n_frames >= 2


def test_what_a_killed_process_had_half_written_goes(tmp_path):
    (tmp_path / "videos").mkdir()
    left = [tmp_path / ".curves.png.13202.tmp", tmp_path / "videos" / ".seed_0.gif.7.tmp"]
    kept = [tmp_path / "curves.png", tmp_path / ".mine.tmp", tmp_path / "notes.13.tmp"]
    for path in (*left, *kept):
        path.write_text("x")
    files.remove_scratch(tmp_path)
    assert not any(path.exists() for path in left)
    assert all(path.exists() for path in kept)
