"""A job goes on from its checkpoint as if it had never stopped, and leaves its best point's run."""

import json

import pytest

from dream_jax import config as configs
from dream_jax.runs import checkpoint
from dream_jax.runs.folder import RunRequest, check_folder
from dream_jax.runs.metrics import write_json
from experiments.sweeps import best, folder
from experiments.sweeps import job as sweep_job
from experiments.sweeps import space as sweep_space
from tests.experiments.sweeps.small import SMALL


@pytest.fixture(scope="module")
def jobs(tmp_path_factory):
    """The files of a job that ran at once, and of one that was stopped after each evaluation."""
    first = sweep_space.shared_values(SMALL)
    second = first | {"optimizer.learning_rate": 1e-2, "losses.rho": 0.5}
    found = []
    for name in ("at_once", "stopped"):
        path = tmp_path_factory.mktemp(name) / "0000.json"
        about = {
            "config": configs.to_dict(SMALL),
            "values": [first, second],
            "points": [3, 5],
            "seeds": [0, 3],
        }
        write_json(path, about)
        found.append(folder.JobFiles(path))
    at_once, stopped = found
    assert sweep_job.train(at_once, lambda: False, 0.0)
    calls = iter([False, True])  # one evaluation period, then stop
    assert not sweep_job.train(stopped, lambda: next(calls), 0.0)
    assert json.loads(stopped.progress.read_text())["trials"] == 16
    assert checkpoint.steps(stopped.checkpoints) == [16]
    assert sweep_job.train(stopped, lambda: False, 0.0)
    return found


@pytest.mark.slow
def test_a_job_that_was_stopped_ends_bit_equal(jobs):
    at_once, stopped = jobs
    assert json.loads(at_once.result.read_text()) == json.loads(stopped.result.read_text())
    states = [checkpoint._read_json(each.best / "checkpoints", 32)["checksums"] for each in jobs]
    assert states[0] == states[1]
    assert len(states[0]) > 50
    rows = [[without_seconds(row) for row in rows_of(each.best)] for each in jobs]
    assert rows[0] == rows[1]
    for each in jobs:  # nothing that only training needs is left
        assert not each.checkpoints.exists() and not each.progress.exists()


@pytest.mark.slow
def test_the_best_point_is_a_run(jobs):
    found = json.loads(jobs[0].result.read_text())
    means = {int(number): sum(each["train_return"]) for number, each in found.items()}
    number = max(means, key=lambda k: (means[k], -k))
    out = jobs[0].best
    assert best.point_of(out) == number
    saved = json.loads((out / "config.json").read_text())
    rate = {3: SMALL.optimizer.learning_rate, 5: 1e-2}[number]
    assert saved["config"]["optimizer"]["learning_rate"] == pytest.approx(rate)
    assert [(row["seed"], row["trials"]) for row in rows_of(out)] == [
        (0, 16),
        (3, 16),
        (0, 32),
        (3, 32),
    ]
    assert [row["train_return"] for row in rows_of(out)] == [
        value for row in found[str(number)]["curve"] for value in row["train_return"]
    ]
    config = configs.from_dict(saved["config"])
    request = RunRequest(config, out, (0, 3), resume=True, overwrite=False)
    assert not check_folder(request)  # it can be resumed as it is


def rows_of(out):
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def without_seconds(row):
    return {name: value for name, value in row.items() if not name.endswith("_s")}
