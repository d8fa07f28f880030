import json
import math
import os
import sys

import jax.numpy as jnp
import numpy as np
import pytest

from dream_jax.runs import files
from dream_jax.runs import metrics as logging


def read_rows(directory):
    return [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]


def make_row(seed=0, updates=0, **others):
    return {
        "seed": seed,
        "env_steps": 10 * updates,
        "updates": updates,
        "train_return": 0.5,
        "test_return": 0.25,
        "train_return_encoder": 0.75,
        "exploration_length": 8.0,
        **others,
    }


def test_each_row_is_on_disk_at_once(tmp_path):
    with logging.MetricsWriter(tmp_path / "run") as writer:
        writer.write({"seed": np.int64(1), "loss_q": np.float32(0.1), "x": jnp.asarray(2)})
        # 0.1 rounded to float32, which is what was measured.
        assert read_rows(tmp_path / "run") == [{"seed": 1, "loss_q": 0.10000000149011612, "x": 2}]
        writer.write({"seed": 2})
        assert len(read_rows(tmp_path / "run")) == writer.rows == 2


def test_numbers_that_are_not_finite_are_null(tmp_path):
    with logging.MetricsWriter(tmp_path) as writer:
        writer.write({"a": math.nan, "b": -math.inf, "c": jnp.float32(np.inf), "d": [np.nan, 1.0]})
    text = (tmp_path / "metrics.jsonl").read_text()
    assert text == '{"a": null, "b": null, "c": null, "d": [null, 1.0]}\n'


def test_resuming_drops_the_rows_after_the_checkpoint(tmp_path):
    rows = [make_row(updates=updates) for updates in range(5)]
    with logging.MetricsWriter(tmp_path) as writer:
        for row in rows:
            writer.write(row)
    whole = (tmp_path / "metrics.jsonl").read_bytes()
    with logging.MetricsWriter(tmp_path, rows[:3]) as writer:
        assert writer.rows == 3
        for row in rows[3:]:
            writer.write(row)
    assert (tmp_path / "metrics.jsonl").read_bytes() == whole


@pytest.mark.parametrize("left", ['{"updates": 0}\n{"upda', '{"updates": 0}\n', "", "x\n", None])
def test_rows_that_the_file_lost_come_back(tmp_path, left):
    path = tmp_path / "metrics.jsonl"
    if left is not None:
        path.write_text(left)
    with logging.MetricsWriter(tmp_path, [{"updates": 0}, {"updates": 1}]) as writer:
        writer.write({"updates": 2})
    assert path.read_text() == '{"updates": 0}\n{"updates": 1}\n{"updates": 2}\n'


def test_rows_are_read_up_to_the_first_that_is_damaged(tmp_path):
    path = tmp_path / "metrics.jsonl"
    for text, count in (
        ('{"a": 0}\n{"a": 1}\n', 2),
        ('{"a": 0}\n{"a": 1', 1),
        ('{"a": 0}\n{"a": 1}', 1),  # the end of the line comes last
        ('{"a": 0}\n\x00\x00\n{"a": 2}\n', 1),
        ("", 0),
        ("[1]\n", 0),
    ):
        path.write_text(text)
        assert files.json_lines(path) == [{"a": k} for k in range(count)]


def test_starting_anew(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"old": 1}\n')
    with logging.MetricsWriter(tmp_path) as writer:
        writer.write({"new": 1})
    assert read_rows(tmp_path) == [{"new": 1}]


def test_tensorboard_mirror(tmp_path):
    pytest.importorskip("tensorboardX")
    with logging.MetricsWriter(tmp_path) as writer:
        for seed in (0, 1):
            writer.write(make_row(seed, updates=1, loss_q=math.nan))
    events = {path.parent.name: path.read_bytes() for path in tmp_path.rglob("events*")}
    assert sorted(events) == ["seed_0", "seed_1"]
    assert b"test_return" in events["seed_1"]
    assert b"loss_q" not in events["seed_1"]  # null is no point on a curve


def test_a_resumed_mirror_hides_what_comes_again(tmp_path, monkeypatch):
    library = pytest.importorskip("tensorboardX")
    purged = []

    class Spy(library.SummaryWriter):
        def __init__(self, directory, purge_step):
            purged.append(purge_step)
            super().__init__(directory, purge_step=purge_step)

    monkeypatch.setattr(library, "SummaryWriter", Spy)
    for kept in ([], [make_row(0, 1), make_row(0, 2)]):
        with logging.MetricsWriter(tmp_path, kept) as writer:
            for updates in (1, 2, 3):
                writer.write(make_row(0, updates))
    # By environment steps and by updates: rows of 10 and 20 steps, 1 and 2 updates stay.
    assert purged == [None, None, 21, 3]


def test_no_tensorboard_no_mirror_no_error(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)  # makes the import fail
    with logging.MetricsWriter(tmp_path) as writer:
        writer.write(make_row())
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl"]


def test_progress_line():
    rows = [
        make_row(0, 4000, train_return=0.6, test_return=0.5),
        make_row(1, 4000, train_return=0.4, test_return=0.2, exploration_length=6.0),
    ]
    assert logging.progress_line(rows, 20_000, steps_per_s=31250.4, left_s=130) == (
        "updates 4,000/20,000 | 31,250 steps/s | train 0.500 (min 0.400) | test 0.350 (min 0.200)"
        " | encoder 0.750 | explore 7.0 steps | 2m10s left"
    )


def test_progress_line_of_one_seed_with_unknowns():
    row = {"updates": 0, "train_return": None, "test_return": math.nan, "train_return_encoder": 1}
    assert logging.progress_line([row], 10) == "updates 0/10 | encoder 1.000"


@pytest.mark.parametrize(
    "seconds, text",
    [(0, "0s"), (-3, "0s"), (9.6, "10s"), (59.6, "1m00s"), (3599, "59m59s"), (7980, "2h13m")],
)
def test_duration(seconds, text):
    assert logging.duration(seconds) == text


def test_write_json_replaces_whole_files(tmp_path, monkeypatch):
    path = tmp_path / "summary.json"
    logging.write_json(path, {"a": (1, None, True), "b": np.array([0.5, np.nan]), 3: path})
    assert json.loads(path.read_text()) == {"a": [1, None, True], "b": [0.5, None], "3": str(path)}
    old = path.read_text()
    with pytest.raises(TypeError, match="cannot write a object as JSON"):
        logging.write_json(path, {"a": object()})

    def full_disk(_):
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="no space left"):
        logging.write_json(path, {"a": 2})
    assert path.read_text() == old
    assert os.listdir(tmp_path) == ["summary.json"]


def test_versions_name_what_ran():
    found = logging.versions()
    assert json.loads(json.dumps(found)) == found
    assert found["python"].split(".")[:2] == [str(n) for n in sys.version_info[:2]]
    assert found["numpy"] == np.__version__
    assert found["backend"] in ("cpu", "gpu", "tpu")
    assert len(found["devices"]) == len(set(found["devices"])) >= 1
    names = ("jax", "jaxlib", "flax", "optax", "rlax", "platform", "cpu_count")
    assert all(found[name] for name in names)
