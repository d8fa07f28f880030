"""The command line: overwriting, help, and what it says where nothing can be known."""

import json
import signal
import threading

import pytest

from experiments.cli import flags, process


@pytest.mark.parametrize("where", [".", "link"])
def test_overwrite_deletes_a_run_and_nothing_else(command, tmp_path, monkeypatch, where):
    """Whatever else is in the folder stays, and so does the folder: it may be a link or `.`."""
    run = tmp_path / "run"
    assert command("bus", "--config=optimal", "--seeds=2", f"--out={run}").status == 0
    (run / "checkpoints").mkdir()
    (run / "notes.txt").write_text("precious")
    (run / "link").symlink_to(run)
    monkeypatch.chdir(run)
    assert command("bus", "--config=no_exploration", "--overwrite", f"--out={where}").status == 0
    assert (run / "notes.txt").read_text() == "precious"
    assert not (run / "checkpoints").exists()
    assert json.loads((run / "summary.json").read_text())["config"] == "no_exploration"
    assert len((run / "metrics.jsonl").read_text().splitlines()) == 1


def test_help_shows_the_flags(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = []
    with pytest.raises(SystemExit) as stop:
        done.append(command("bus", "--help"))
    assert not stop.value.code
    assert not done
    assert not any(tmp_path.iterdir())


def test_a_horizon_too_short_to_explore_has_no_normalised_return(command, tmp_path):
    """With one step, knowing the problem is worth nothing: optimal equals no exploration."""
    out = tmp_path / "run"
    outcome = command("bus", "--config=optimal", "--config.env.horizon=1", f"--out={out}")
    assert outcome.status == 0
    summary = json.loads((out / "summary.json").read_text())
    assert summary["splits"]["test"]["normalised_per_seed"] == [None]


@pytest.mark.parametrize(("horizon", "known"), [(13, True), (12, False)])
def test_sign_says_what_is_optimal_only_where_every_object_is_in_reach(
    command, tmp_path, horizon, known
):
    for preset, value, more in (
        ("optimal", 1.0, ()),
        ("pearl_ub", 1 / 3, ("--config.pearl_ub.exploitation=sample",)),
    ):
        flags = (f"--config.env.horizon={horizon}", *more, f"--out={tmp_path / preset}")
        assert command("sign", f"--config={preset}", *flags).status == 0
        summary = json.loads((tmp_path / preset / "summary.json").read_text())
        part = summary["splits"]["test"]
        assert part["return_mean"] == (pytest.approx(value) if known else None)
        assert part["normalised_per_seed"] == [pytest.approx(value) if known else None]
        assert (part["no_exploration"], part["no_reading"]) == (None, 0.0)  # searched for 20 steps


def test_main_works_where_jax_is_already_in_use(spawn, tmp_path):
    out = tmp_path / "run"
    process = spawn("bus", "--config=optimal", f"--out={out}", before="import jax; jax.devices(); ")
    _, stderr = process.communicate()
    assert process.returncode == 0, stderr
    assert (out / "summary.json").exists()


def test_main_works_in_a_thread(tmp_path):
    """As in a notebook: only the main thread may handle signals."""
    statuses = []
    argv = ["--config=optimal", f"--out={tmp_path / 'run'}"]
    thread = threading.Thread(target=lambda: statuses.append(process.main("bus", argv)))
    thread.start()
    thread.join()
    assert statuses == [0]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2])
def test_a_schedulers_signal_before_training_asks_to_be_started_again(command, monkeypatch, number):
    monkeypatch.setattr(flags, "read_flags", lambda *_, **__: signal.raise_signal(number))
    before = signal.getsignal(number)
    outcome = command("bus")
    assert outcome.status == 75
    assert outcome.stderr == f"{number.name}: interrupted before training began\n"
    assert signal.getsignal(number) == before
