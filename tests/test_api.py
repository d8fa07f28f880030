"""`import dream_jax as dj`: train, stop, go on, load, without the command line."""

import re
import shutil
import signal
import subprocess
import sys
import threading
from unittest import mock

import numpy as np
import pytest

import dream_jax as dj
from dream_jax.runs import checkpoint, device_training
from tests.records import read_rows, reproducible
from tests.small_run import EVALUATIONS, FLAGS, PERIOD, SEEDS
from tests.trees import differing

# As FLAGS.
ARGUMENTS = {"smoke": True, "seeds": 2, "overrides": {"training.trials": 160}, "verbose": False}


def after(evaluations):
    """A callback that stops at this evaluation, counted from now, and the events that it saw."""
    events = []

    def on_evaluation(event):
        events.append(event)
        return len(events) < evaluations

    return on_evaluation, events


@pytest.fixture(scope="module")
def resumed(finished_run, tmp_path_factory):
    """A run of the command line whose last evaluation is missing, brought to its end."""
    out = tmp_path_factory.mktemp("resumed") / "run"
    shutil.copytree(finished_run[0], out)
    shutil.rmtree(out / "checkpoints" / f"{EVALUATIONS * PERIOD}")
    shutil.rmtree(out / "videos")
    (out / "summary.json").unlink()
    return dj.train("bus", out=out, resume=True, **ARGUMENTS)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A run without a folder, stopped after two evaluations, and the events until then."""
    on_evaluation, events = after(2)
    folder = tmp_path_factory.mktemp("nowhere")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run = dj.train("bus", on_evaluation=on_evaluation, **ARGUMENTS)
    assert not list(folder.iterdir())
    return run, events


def message(function, *arguments, **named):
    with pytest.raises(dj.ConfigError) as error:
        function(*arguments, **named)
    text = str(error.value)
    assert "\n" not in text and "--" not in text
    return text


def test_importing_is_light():
    code = "import sys, dream_jax as dj; assert 'jax' not in sys.modules; print(dj.__version__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert re.fullmatch(r"\d+\.\d+.*\n", done.stdout)
    assert {"make", "train", "load", "presets", "Config"} <= set(dir(dj))
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        dj.trian  # noqa: B018


def test_a_run_in_a_folder_is_that_of_the_command_line(finished_run, resumed):
    folder = finished_run[0]
    assert reproducible(resumed.rows) == reproducible(read_rows(folder))
    assert reproducible(read_rows(resumed.out)) == reproducible(read_rows(folder))
    for part in (".", "videos", "checkpoints"):
        names, ours = ({x.name for x in (out / part).iterdir()} for out in (folder, resumed.out))
        assert names == ours
    assert resumed.finished and resumed.summary["benchmark"] == "bus"


def test_a_stopped_run_says_how_far_it_is(stopped):
    run, events = stopped
    assert [event.trials for event in events] == [PERIOD, 2 * PERIOD]
    assert events[-1].run is run and events[-1].rows == run.rows[-SEEDS:]
    assert events[-1].line.startswith("updates ")
    assert run.trials == 2 * PERIOD and not run.finished and run.summary is None
    assert "at 32 of 160 trials" in repr(run)
    assert "data:image/png" in run._repr_html_()
    assert "no folder" in message(run.save)
    assert "seeds 0, 1" in message(run.agent, 7)


def test_stop_ends_the_chunk_and_stop_again_ends_at_once(stopped):
    """As a notebook's Stop button: SIGINT in the main thread."""
    run, _ = stopped
    before, trials = signal.getsignal(signal.SIGINT), run.trials
    run.train(on_evaluation=lambda event: press_stop(times=1))
    assert run.trials == trials + PERIOD and not run.finished
    with pytest.raises(KeyboardInterrupt):
        run.train(on_evaluation=lambda event: press_stop(times=2))
    assert signal.getsignal(signal.SIGINT) is before
    # The second Stop came between two chunks, so the run can go on.
    assert run.trials == trials + 2 * PERIOD


def test_it_goes_on_in_any_thread_to_the_same_end(finished_run, resumed, stopped):
    run, _ = stopped
    trials, ended = run.trials, []
    thread = threading.Thread(target=lambda: ended.append(run.train(after(1)[0])))
    thread.start()
    thread.join()
    assert ended == [run] and run.trials == trials + PERIOD
    assert "is training already" in message(lambda: run.train(lambda event: event.run.train()))
    run.train()
    assert run.finished
    assert reproducible(run.rows) == reproducible(read_rows(finished_run[0]))
    clock = [row["wall_s"] for row in run.rows[::SEEDS]]
    assert clock == sorted(clock)
    for seed in (0, 1):
        left, right = (each.agent(seed).trial(seed=1) for each in (run, resumed))
        np.testing.assert_array_equal(left.q_values.exploration, right.q_values.exploration)
    assert "has finished training.trials=160" in message(run.train)


def press_stop(times):
    for _ in range(times):
        signal.raise_signal(signal.SIGINT)


@pytest.mark.slow
def test_a_run_in_a_folder_is_resumed_by_either_way_in(command, finished_run, tmp_path):
    out = tmp_path / "run"
    run = dj.train("bus", out=out, on_evaluation=after(3)[0], **ARGUMENTS)
    assert checkpoint.latest_step(out / "checkpoints") == 3 * PERIOD == run.trials
    run = dj.train("bus", out=out, resume=True, on_evaluation=after(1)[0], **ARGUMENTS)
    assert run.trials == 4 * PERIOD and len(run.rows) == 4 * SEEDS
    outcome = command("bus", *FLAGS, "--resume", f"--out={out}")
    assert (outcome.status, outcome.stderr) == (0, "")
    assert reproducible(read_rows(out)) == reproducible(read_rows(finished_run[0]))


@pytest.mark.slow
def test_saving_from_another_thread_waits_for_the_chunk(tmp_path):
    saved = []

    def on_evaluation(event):
        if not saved:  # the first evaluation, whose checkpoint is there already
            other = threading.Thread(target=event.run.save)
            other.start()
            other.join()
        saved.append(checkpoint.latest_step(tmp_path / "run" / "checkpoints"))
        return len(saved) < 2

    dj.train("bus", out=tmp_path / "run", on_evaluation=on_evaluation, **ARGUMENTS)
    # No checkpoint is due at the second evaluation, but one was asked for.
    assert saved == [PERIOD, 2 * PERIOD]


def test_a_run_that_failed_does_not_go_on():
    run = dj.train("bus", on_evaluation=after(1)[0], **ARGUMENTS)
    params = run.agent().params
    with (
        mock.patch.object(device_training, "not_finite", return_value={0: "x is nan", 1: "y"}),
        pytest.raises(FloatingPointError, match="x is nan; in seed 0, trials 16 to 32; tr"),
    ):
        run.train()
    assert "this run failed" in message(run.train)
    assert differing(run.agent().params, params) == []  # those of the newest evaluation


def test_a_start_that_fails_leaves_no_folder_in_the_way(tmp_path):
    out = tmp_path / "run"
    for _ in range(2):
        with (
            mock.patch.object(device_training, "compile_programs", side_effect=MemoryError),
            pytest.raises(MemoryError),
        ):
            dj.train("bus", out=out, **ARGUMENTS)
        assert not out.exists()


def test_a_trained_agent_is_loaded_from_a_folder_or_a_file(resumed, tmp_path):
    agent = resumed.agent(seed=1)
    agent.save(tmp_path / "agent.npz")
    for loaded in (dj.load(resumed.out, seed=1), dj.load(tmp_path / "agent.npz")):
        assert (loaded.seed, loaded.trained_trials) == (1, 160)
        left, right = agent.trial(seed=3), loaded.trial(seed=3)
        np.testing.assert_allclose(
            left.q_values.exploration, right.q_values.exploration, rtol=1e-4, atol=1e-6
        )
    assert "seed=7: the run has the seeds 0, 1" in message(dj.load, resumed.out, seed=7)
    assert "holds the agent of seed 1" in message(dj.load, tmp_path / "agent.npz", seed=0)
    assert "does not exist" in message(dj.load, tmp_path / "nothing")
    assert "holds no run" in message(dj.load, tmp_path)


def test_computed_presets_have_rows_and_a_summary():
    run = dj.train("bus", "optimal", seeds=2, first_seed=100)
    assert [row["seed"] for row in run.rows] == [100, 101]
    assert run.finished and run.summary["splits"]["test"]["normalised_per_seed"] == [1.0, 1.0]
    for each in (run.train, run.agent, run.save):
        assert "agent='optimal' is computed" in message(each)


def test_environments_are_made_by_name():
    assert dj.make("map", horizon=7).horizon == 7
    assert "unknown benchmark 'mapp'; nearest: map" in message(dj.make, "mapp")
    assert "horizn" in message(dj.make, "map", horizn=7)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ({"benchmark": "mapp"}, "unknown benchmark 'mapp'; nearest: map"),
        ({"preset": "dreem"}, "unknown preset 'dreem'; nearest: dream"),
        ({"overrides": {"td.discuont": 0.9}}, "td.discount"),
        ({"overrides": {"td.discount": "high"}}, "td.discount='high'"),
        ({"overrides": {"td.discount": 2}}, "td.discount=2.0 must be between 0 and 1"),
        ({"overrides": {"training.trials": 2.5}}, "training.trials=2.5"),
        ({"seeds": 0}, "seeds=0"),
        ({"seeds": "two"}, "seeds='two'"),
        ({"first_seed": -1}, "first_seed=-1"),
        ({"first_seed": 2**31}, "first_seed="),
        ({"resume": True}, "need out=DIR"),
        ({"out": "file"}, "out=file is a file; give a folder"),
        ({"out": 3}, "out=3 is not a path"),
        ({"allow_changes": True}, "allow_changes is for resume=True"),
        ({"init_from": "file"}, "init_from=file: file holds no agent of ours"),
        ({"init_from": "folder"}, "init_from=folder: folder holds no run"),
        ({"overrides": 3}, "overrides=3"),
        ({"overrides": {3: 4}}, "overrides"),
        ({"preset": 3}, "unknown preset 3"),
        ({"benchmark": 3}, "unknown benchmark 3"),
        ({"out": "file", "resume": True, "overwrite": True}, "exclude each other"),
        ({"out": "folder"}, "out=folder exists; give another, resume=True or overwrite=True"),
        ({"out": "folder", "overwrite": True}, "out=folder holds files but no run of ours"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(arguments, part, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("precious")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis.tex").write_text("precious")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert part in message(dj.train, **({"benchmark": "map"} | arguments))
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
