"""`import dream_jax as dj`: train, stop, go on, load, without the command line."""

import re
import signal
import subprocess
import sys
import threading
from unittest import mock

import numpy as np
import pytest

import dream_jax as dj
from dream_jax.runs import checkpoint, device_training
from dream_jax.runs.device_training import NotFinite
from tests.records import read_rows, reproducible
from tests.trees import differing

pytestmark = pytest.mark.usefixtures("quick_compilation")
# The runs of tests/runs/test_loop.py: ten evaluations, a checkpoint after every other one.
ARGUMENTS = {"smoke": True, "seeds": 2, "overrides": {"training.trials": 160}, "verbose": False}
FLAGS = ["--config=dream", "--smoke", "--seeds=2", "--config.training.trials=160"]
EVALUATIONS, PERIOD, SEEDS = 10, 16, 2


def after(evaluations):
    """A callback that stops at this evaluation, counted from now, and the events that it saw."""
    events = []

    def on_evaluation(event):
        events.append(event)
        return len(events) < evaluations

    return on_evaluation, events


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A finished run, in a folder."""
    out = tmp_path_factory.mktemp("whole") / "run"
    return dj.train("bus", out=out, **ARGUMENTS)


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


def test_a_run_in_memory_is_that_of_the_command_line(command, whole, tmp_path):
    out = tmp_path / "run"
    outcome = command("bus", *FLAGS, f"--out={out}")
    assert (outcome.status, outcome.stderr) == (0, "")
    assert reproducible(read_rows(out)) == reproducible(whole.rows)
    assert reproducible(read_rows(whole.out)) == reproducible(whole.rows)
    names = sorted(path.relative_to(out) for path in out.rglob("*.*"))
    ours = sorted(path.relative_to(whole.out) for path in whole.out.rglob("*.*"))
    boards = re.compile(r"tfevents")
    assert [x for x in names if not boards.search(str(x))] == [
        x for x in ours if not boards.search(str(x))
    ]
    assert whole.finished and whole.summary["benchmark"] == "bus"


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


def test_it_goes_on_in_any_thread_to_the_same_end(whole, stopped):
    run, _ = stopped
    on_evaluation, _ = after(1)
    ended = []
    thread = threading.Thread(target=lambda: ended.append(run.train(on_evaluation)))
    thread.start()
    thread.join()
    assert ended == [run] and run.trials == 3 * PERIOD
    assert "is training already" in message(lambda: run.train(lambda event: event.run.train()))
    run.train()
    assert run.finished
    assert reproducible(run.rows) == reproducible(whole.rows)
    clock = [row["wall_s"] for row in run.rows[::SEEDS]]
    assert clock == sorted(clock)
    for seed in (0, 1):
        left, right = (each.agent(seed).trial(seed=1) for each in (run, whole))
        np.testing.assert_array_equal(left.q_values.exploration, right.q_values.exploration)
    assert "has finished training.trials=160" in message(run.train)


def test_stop_ends_the_chunk_and_stop_again_ends_at_once():
    """As a notebook's Stop button: SIGINT in the main thread."""
    before = signal.getsignal(signal.SIGINT)
    run = dj.train("bus", on_evaluation=lambda event: press_stop(times=1), **ARGUMENTS)
    assert run.trials == PERIOD and not run.finished
    with pytest.raises(KeyboardInterrupt):
        run.train(on_evaluation=lambda event: press_stop(times=2))
    assert signal.getsignal(signal.SIGINT) is before
    # The second Stop came between two chunks, so the run goes on.
    run.train(on_evaluation=after(1)[0])
    assert run.trials == 3 * PERIOD
    params = run.agent().params
    with (
        mock.patch.object(device_training, "_check_finite", side_effect=NotFinite("loss_x is nan")),
        pytest.raises(FloatingPointError, match="loss_x is nan; training stopped, nothing is kept"),
    ):
        run.train()
    assert "this run failed" in message(run.train)
    assert run.agent().params is not None and differing(run.agent().params, params) == []


def press_stop(times):
    for _ in range(times):
        signal.raise_signal(signal.SIGINT)


def test_a_run_in_a_folder_is_resumed_by_either_way_in(command, whole, tmp_path):
    out = tmp_path / "run"
    run = dj.train("bus", out=out, on_evaluation=after(3)[0], **ARGUMENTS)
    assert checkpoint.latest_step(out / "checkpoints") == 3 * PERIOD == run.trials
    assert "give another, resume=True or overwrite=True" in message(
        dj.train, "bus", out=out, **ARGUMENTS
    )
    run = dj.train("bus", out=out, resume=True, on_evaluation=after(1)[0], **ARGUMENTS)
    assert run.trials == 4 * PERIOD and len(run.rows) == 4 * SEEDS
    outcome = command("bus", *FLAGS, "--resume", f"--out={out}")
    assert (outcome.status, outcome.stderr) == (0, "")
    assert reproducible(read_rows(out)) == reproducible(whole.rows)


def test_a_start_that_fails_leaves_no_folder_in_the_way(tmp_path):
    out = tmp_path / "run"
    for _ in range(2):
        with (
            mock.patch.object(device_training, "compile_programs", side_effect=MemoryError),
            pytest.raises(MemoryError),
        ):
            dj.train("bus", out=out, **ARGUMENTS)
        assert not out.exists()


def test_a_trained_agent_is_loaded_from_a_folder_or_a_file(whole, tmp_path):
    agent = whole.agent(seed=1)
    agent.save(tmp_path / "agent.npz")
    for loaded in (dj.load(whole.out, seed=1), dj.load(tmp_path / "agent.npz")):
        assert (loaded.seed, loaded.trained_trials) == (1, 160)
        left, right = agent.trial(seed=3), loaded.trial(seed=3)
        np.testing.assert_allclose(
            left.q_values.exploration, right.q_values.exploration, rtol=1e-4, atol=1e-6
        )
    assert "seed=7: the run has the seeds 0, 1" in message(dj.load, whole.out, seed=7)
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
