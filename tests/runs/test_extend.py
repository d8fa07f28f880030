"""A run gets more trials, more seeds, other settings, or another run's parameters."""

import json
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest

import dream_jax as dj
from dream_jax import presets
from dream_jax.config import override
from dream_jax.runs import checkpoint, extend, folder
from dream_jax.runs.folder import RunRequest
from dream_jax.runs.load import initial_params
from tests.folders import one_line, snapshot
from tests.records import read_rows, reproducible, without_clock
from tests.runs.test_loop import restore
from tests.settings import message
from tests.small_run import PERIOD, SEEDS
from tests.trees import differing

SMOKE = presets.smoke(presets.get("map", "dream"))


def request(out, config=SMOKE, seeds=(0, 1), **others):
    return RunRequest(config, out, seeds, resume=True, overwrite=False, **others)


@pytest.fixture
def begun(tmp_path):
    """A folder with nothing but the config.json of a run."""
    out = tmp_path / "run"
    folder.prepare_folder(request(out))
    return out


# Which changes are possible


def test_the_same_again_changes_nothing(begun):
    assert not folder.check_folder(request(begun))
    before = snapshot(begun)
    folder.prepare_folder(request(begun))
    assert snapshot(begun) == before


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("training.trials", 32, "training.trials=64, not 32; --allow_changes goes on"),
        ("optimizer.learning_rate", 0.5, "optimizer.learning_rate=0.001, not 0.5; --allow_changes"),
        ("benchmark", "bus", "was trained on 'map'; to go on with its parameters elsewhere"),
    ],
)
def test_other_settings_need_a_flag(begun, path, value, said):
    changed = override(SMOKE, {path: value})
    text = message(folder.check_folder, request(begun, changed))
    assert said in text and str(begun) in text
    if path != "benchmark":
        found = folder.check_folder(request(begun, changed, allow_changes=True))
        assert list(found.fields) == [path] and not found.added_seeds


@pytest.mark.parametrize("seeds", [(0,), (1, 2), (2, 3)])
def test_no_seed_is_left_out(begun, seeds):
    text = message(folder.check_folder, request(begun, seeds=seeds))
    assert "--first_seed=0 --seeds=2; seeds can be added" in text


def test_what_changes_is_recorded(begun):
    longer = override(SMOKE, {"training.trials": 128})
    asked = request(begun, longer, seeds=(0, 1, 2))
    changes = folder.check_folder(asked)
    assert changes == ({"training.trials": (64, 128)}, (2,))
    before = json.loads((begun / "config.json").read_text())
    folder.prepare_folder(asked, changes, trials=48)
    saved = json.loads((begun / "config.json").read_text())
    (entry,) = saved["history"]
    assert entry["trials"] == 48 and entry["added_seeds"] == [2]
    assert entry["changed"] == {"training.trials": [64, 128]}
    assert saved["seeds"] == [0, 1, 2] and saved["config"]["training"]["trials"] == 128
    assert saved["versions"] == before["versions"] == entry["versions"]
    assert not folder.check_folder(asked)


def test_a_computed_run_is_not_extended(tmp_path):
    exact = presets.get("map", "optimal")
    folder.prepare_folder(request(tmp_path / "run", exact))
    text = message(folder.check_folder, request(tmp_path / "run", exact, seeds=(0,)))
    assert "--seeds=2, not 1" in text


@pytest.mark.parametrize("seeds", [[], ["0"], [0, 0], [-1], [True], [2**31], None, {"0": 1}])
def test_seeds_of_a_damaged_file_are_refused(begun, seeds):
    saved = json.loads((begun / "config.json").read_text())
    (begun / "config.json").write_text(json.dumps(saved | {"seeds": seeds}))
    assert "no run of ours" in message(folder.saved_run, begun)


# Merging


@pytest.mark.parametrize("stopped", ["before", "half", "deleted", "moved"])
def test_a_merge_that_a_crash_stopped_is_finished_or_forgotten(tmp_path, stopped):
    old, new = {"x": np.zeros(1)}, {"x": np.zeros(2)}
    folders = {name: tmp_path / name for name in (extend.CHECKPOINTS, extend.MERGED, extend.ADDED)}
    there, merged, added = folders.values()
    for step in (1, 2):
        checkpoint.save(there, step, old, {"seeds": [0]})
    added.mkdir()
    if stopped == "half":
        (merged / "2.orbax-checkpoint-tmp").mkdir(parents=True)
    elif stopped != "before":
        checkpoint.save(merged, 2, new, {"seeds": [0, 1]})
    if stopped in ("deleted", "moved"):
        shutil.rmtree(there / "2")
    if stopped == "moved":
        (merged / "2").rename(there / "2")
    extend._finish_merge(tmp_path)
    done = stopped in ("deleted", "moved")
    assert not merged.exists() and added.exists() != (stopped == "deleted")
    assert checkpoint.seeds_of(there, []) == ([0, 1] if done else [0])
    found = checkpoint.restore_newest(there, new if done else old)
    assert found.step == 2 and found.metadata["seeds"] == ([0, 1] if done else [0])


# Whole runs


@pytest.fixture
def shorter(finished_run, tmp_path):
    """The run that files share, as if it had been asked for 144 of its 160 trials."""
    out = tmp_path / "shorter"
    shutil.copytree(finished_run[0], out)
    shutil.rmtree(out / "checkpoints" / "160")
    edit(out / "config.json", lambda saved: saved["config"]["training"].update(trials=144))
    lines = (out / "metrics.jsonl").read_text().splitlines(keepends=True)
    (out / "metrics.jsonl").write_text("".join(lines[: 9 * SEEDS]))
    edit(out / "summary.json", lambda summary: summary.update(trials=144))
    return out


@pytest.fixture
def alone(finished_run, tmp_path):
    """The run that files share, as if it had only seed 0."""
    out = tmp_path / "alone"
    shutil.copytree(finished_run[0], out)
    shutil.rmtree(out / "checkpoints")
    metadata = checkpoint.read_metadata(finished_run[0] / "checkpoints")
    rows = [row for row in metadata["metrics"] if row["seed"] == 0]
    metadata |= {"seeds": [0], "metrics": rows, "rows": len(rows)}
    state = jax.tree.map(lambda x: x[:1], restore(finished_run[0]))
    checkpoint.save(out / "checkpoints", 160, state, metadata)
    edit(out / "config.json", lambda saved: saved.update(seeds=[0]))
    edit(out / "summary.json", lambda summary: summary.update(seeds=[0]))
    (out / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for path in (out / "videos").glob("*seed1*"):
        path.unlink()
    return out


def edit(path, change):
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


def assert_same(whole, out):
    assert reproducible(read_rows(out)) == reproducible(read_rows(whole))
    assert differing(restore(whole), restore(out)) == []
    summaries = [json.loads((run / "summary.json").read_text()) for run in (whole, out)]
    assert without_clock(summaries[0]) == without_clock(summaries[1])
    for part in (".", "videos"):
        assert len({frozenset(x.name for x in (run / part).iterdir()) for run in (whole, out)}) == 1


@pytest.mark.slow
def test_more_trials_are_as_from_the_start(command, finished_run, shorter):
    outcome = command("bus", "--resume", "--config.training.trials=160", f"--out={shorter}")
    assert (outcome.status, outcome.stderr) == (0, "")
    assert "training.trials: 144 until trial 144, then 160\n" in outcome.stdout
    assert_same(finished_run[0], shorter)
    (entry,) = json.loads((shorter / "config.json").read_text())["history"]
    assert (entry["trials"], entry["changed"]) == (144, {"training.trials": [144, 160]})


@pytest.mark.slow
def test_more_seeds_are_as_from_the_start(command, finished_run, alone, monkeypatch):
    # Stopped when the new seed has caught up, and again when it only lacks its place.
    def stop(*_):
        raise KeyboardInterrupt

    for name, stopped in (("_merge", stop), ("_finish_merge", only_first(stop))):
        with monkeypatch.context() as patch:
            patch.setattr(extend, name, stopped)
            assert command("bus", "--resume", "--seeds=2", f"--out={alone}").status == 130
        assert checkpoint.seeds_of(alone / "checkpoints", []) == [0]
    outcome = command("bus", "--resume", f"--out={alone}")  # the rest is remembered
    assert (outcome.status, outcome.stderr) == (0, "")
    assert_same(finished_run[0], alone)
    saved = json.loads((alone / "config.json").read_text())
    (entry,) = saved["history"]
    assert (entry["trials"], entry["added_seeds"], saved["seeds"]) == (160, [1], [0, 1])


def only_first(function):
    """`_finish_merge` that fails where there is something to put in place."""
    original = extend._finish_merge

    def wrapped(out):
        if (Path(out) / extend.MERGED).exists():
            function()
        original(out)

    return wrapped


@pytest.mark.slow
def test_settings_that_keep_shapes_change(command, finished_run, tmp_path):
    out = tmp_path / "run"
    shutil.copytree(finished_run[0], out)
    before = snapshot(out)
    flags = ["--resume", "--allow_changes", f"--out={out}"]
    outcome = command("bus", *flags, "--config.networks.hidden_size=32")
    assert outcome.status == 2
    assert "networks.hidden_size cannot be changed in" in one_line(outcome.stderr)
    outcome = command("bus", *flags, "--config.training.trials=32")
    assert outcome.status == 2
    assert "has trained on 160 trials already, more than training.trials=32" in outcome.stderr
    assert snapshot(out) == before
    more = ["--config.optimizer.learning_rate=0.01", f"--config.training.trials={12 * PERIOD}"]
    outcome = command("bus", *flags, *more)
    assert (outcome.status, outcome.stderr) == (0, "")
    assert "optimizer.learning_rate: 0.001 until trial 160, then 0.01\n" in outcome.stdout
    rows = read_rows(out)
    assert rows[: 10 * SEEDS] == read_rows(finished_run[0]) and len(rows) == 12 * SEEDS
    fields = json.loads((out / "config.json").read_text())["history"][0]["changed"]
    assert set(fields) == {"optimizer.learning_rate", "training.trials"}


@pytest.mark.slow
def test_parameters_of_another_run_come_first(command, finished_run, tmp_path):
    file = tmp_path / "agent.npz"
    dj.load(finished_run[0], seed=1).save(file)
    # It learns nothing.
    small = ["--smoke", "--config.optimizer.learning_rate=1e-9"]
    out = tmp_path / "run"
    flags = [*small, f"--init_from={finished_run[0]}", "--seeds=3", f"--out={out}"]
    outcome = command("bus", *flags)
    assert (outcome.status, outcome.stderr) == (0, "")
    assert json.loads((out / "config.json").read_text())["init_from"] == str(finished_run[0])
    for seed, was in ((0, 0), (1, 1), (2, 0)):  # the same seed where there is one
        trees = dj.load(finished_run[0], seed=was).params, dj.load(out, seed=seed).params
        for left, right in zip(*map(jax.tree.leaves, trees), strict=True):
            np.testing.assert_allclose(left, right, atol=1e-5)
    loaded = initial_params(str(file), dj.load(out).functions, [0, 5]).params
    for left, right in zip(*map(jax.tree.leaves, (dj.load(file).params, loaded)), strict=True):
        np.testing.assert_array_equal(np.stack([left, left]), right)
    refused = command("map", "--smoke", f"--init_from={file}", f"--out={tmp_path / 'map'}")
    assert refused.status == 2
    assert "must be the same" in one_line(refused.stderr)
    assert not (tmp_path / "map").exists()
