"""Where metrics go beside metrics.jsonl."""

import csv
import sys
import types

import pytest

from dream_jax.config import ConfigError
from dream_jax.runs import loggers
from dream_jax.runs.metrics import MetricsWriter


def row(seed, updates, **more):
    return {"seed": seed, "updates": updates, "env_steps": 10 * updates, "wall_s": 0.5} | more


def read(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def test_rows_as_csv(tmp_path):
    with MetricsWriter(tmp_path, log=("csv",)) as writer:
        writer.write(row(0, 1, loss=float("nan")))
        writer.write(row(1, 1))
        writer.write(row(0, 2, later=3.5))  # a new column
        writer.write(row(1, 2, later=4.5))
    rows = read(tmp_path / "metrics.csv")
    assert [r["seed"] for r in rows] == ["0", "1", "0", "1"]
    assert [r["later"] for r in rows] == ["", "", "3.5", "4.5"]
    assert rows[0]["loss"] == ""  # as null in metrics.jsonl
    kept = [row(0, 1), row(1, 1)]
    with MetricsWriter(tmp_path, kept, log=("csv",)) as writer:  # goes on from there
        writer.write(row(0, 2))
    assert [(r["seed"], r["updates"]) for r in read(tmp_path / "metrics.csv")] == [
        ("0", "1"),
        ("1", "1"),
        ("0", "2"),
    ]


def test_tensorboard_has_three_axes(tmp_path, monkeypatch):
    library = pytest.importorskip("tensorboardX")
    points = []

    class Spy:
        def __init__(self, folder, purge_step):
            self.folder = folder.removeprefix(str(tmp_path / "tensorboard"))

        def add_scalar(self, name, value, step):
            points.append((self.folder, name, value, step))

        def flush(self):
            pass

        close = flush

    monkeypatch.setattr(library, "SummaryWriter", Spy)
    with MetricsWriter(tmp_path) as writer:
        writer.write(row(3, 7, wall_s=12.7, test_return=0.25))
    assert [point for point in points if point[1] == "test_return"] == [
        ("/seed_3", "test_return", 0.25, 70),
        ("/by_updates/seed_3", "test_return", 0.25, 7),
        ("/by_seconds/seed_3", "test_return", 0.25, 12),
    ]


def fake_wandb(monkeypatch, fails=False):
    """A stand-in: the real one needs an account or a server."""
    sent = []

    def log(numbers):
        if fails:
            raise OSError("no network")
        sent.append(numbers)

    def init(**named):
        sent.append(named)
        return types.SimpleNamespace(log=log, finish=lambda: sent.append("finished"))

    module = types.ModuleType("wandb")
    module.init = init
    module.__spec__ = types.SimpleNamespace()
    monkeypatch.setitem(sys.modules, "wandb", module)
    return sent


def test_rows_go_to_weights_and_biases(tmp_path, monkeypatch):
    sent = fake_wandb(monkeypatch)
    for _ in range(2):
        with MetricsWriter(tmp_path, log=("wandb",)) as writer:
            writer.write(row(1, 2, test_return=0.5, loss=None))
    first, numbers, last, again, *_ = sent
    assert numbers["test_return/seed_1"] == 0.5 and numbers["env_steps/seed_1"] == 20
    assert "loss/seed_1" not in numbers and last == "finished"
    assert first == again and first["resume"] == "allow" and len(first["id"]) == 16


def test_a_failure_of_weights_and_biases_is_told_once(tmp_path, monkeypatch, capsys):
    fake_wandb(monkeypatch, fails=True)
    with MetricsWriter(tmp_path, log=("wandb",)) as writer:
        for updates in (1, 2, 3):
            writer.write(row(0, updates))
    assert capsys.readouterr().out.count("wandb stopped: OSError: no network") == 1
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 3


def test_unknown_loggers_are_refused(monkeypatch):
    assert loggers.check(["csv", "csv"]) == ("csv",)
    with pytest.raises(ConfigError, match="unknown logger 'cvs'; nearest: csv"):
        loggers.check(["cvs"])
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="wandb is not installed; pip install wandb"):
        loggers.check(["wandb"])
