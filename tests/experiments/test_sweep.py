"""Sweeps: which points share a program, what a job finds, and that a failed one loses no other."""

import csv
import json
import sys
import types

import jax
import numpy as np
import pytest

from dream_jax import config as configs
from dream_jax import envs
from dream_jax.presets import methods as presets
from dream_jax.runs.metrics import write_json
from dream_jax.scaling import seeds as waves
from dream_jax.training import trainer as train
from experiments import sweep
from experiments.sweeps import job as sweep_job
from experiments.sweeps import pools as sweep_pools
from experiments.sweeps import space as sweep_space
from tests.running import trained

SMALL = configs.override(
    presets.smoke(presets.preset("bus", "dream")),
    {
        "env.horizon": "5",
        "networks.hidden_size": "8",
        "networks.head_size": "8",
        "networks.decoder_memory_size": "8",
        "networks.decoder_hidden_size": "8",
        "networks.z_size": "4",
        "training.trials": "32",
    },
)
GRID = ["--grid.optimizer.learning_rate=1e-4,1e-2", "--grid.networks.z_size=4,8"]


# What is tried


def test_a_grid_is_every_combination():
    axes = [sweep_space.axis("a.b", "1,2", False), sweep_space.axis("c.d", "x, y,z", False)]
    found = sweep_space.points(SMALL, axes, samples=1)
    assert [tuple(point.values()) for point in found] == [
        (a, c) for a in "12" for c in ("x", "y", "z")
    ]


def test_a_random_search_stays_in_its_ranges():
    axes = [
        sweep_space.axis("optimizer.learning_rate", "1e-4:1e-2:log", True),
        sweep_space.axis("networks.z_size", "4:8", True),
        sweep_space.axis("td.trace_lambda", "0,0.8", False),
    ]
    found = sweep_space.points(SMALL, axes, samples=200)
    assert found == sweep_space.points(SMALL, axes, samples=200)
    rates = np.array([float(point["optimizer.learning_rate"]) for point in found])
    assert 1e-4 <= rates.min() < 1.2e-4 and 0.8e-2 < rates.max() <= 1e-2
    assert 0.4 < np.mean(rates < 1e-3) < 0.6  # half of them below the geometric mean
    assert {point["networks.z_size"] for point in found} == {"4", "5", "6", "7", "8"}
    assert {point["td.trace_lambda"] for point in found} == {"0", "0.8"}


def test_points_share_a_program_where_only_numbers_differ():
    changes = [
        {"optimizer.learning_rate": rate, "networks.z_size": size}
        for rate in ("1e-4", "1e-3", "1e-2")
        for size in ("4", "8")
    ]
    every = [configs.override(SMALL, change) for change in changes]
    assert [job.points for job in sweep_space.jobs(every, 16)] == [(0, 2, 4), (1, 3, 5)]
    split = sweep_space.jobs(every, 2)
    assert [job.points for job in split] == [(0, 2), (4,), (1, 3), (5,)]
    for job in split:
        assert job.config.networks == every[job.points[0]].networks


def test_every_shared_field_is_a_float_of_the_config():
    fields = configs.paths(configs.to_dict(SMALL))
    assert all(isinstance(fields[path], float) for path in sweep_space.SHARED)
    values = {path: 0.125 for path in sweep_space.SHARED}
    assert sweep_space.shared_values(sweep_space.with_values(SMALL, values)) == values


# A job


@pytest.mark.usefixtures("quick_compilation")
def test_points_side_by_side_train_as_alone():
    """Every shared field differs between the points, so each must have reached its program."""
    first = sweep_space.shared_values(SMALL)
    second = {path: 0.5 * value + 0.1 for path, value in first.items()}
    second["optimizer.learning_rate"] = 5e-4
    seeds, env = [0, 3], envs.from_config("bus", SMALL.env)

    def newest(trainer, lanes):
        runner = waves.make_runner(trainer, range(lanes), 4, jax.devices()[:1])
        state = trained(runner)[0].state
        assert (state.learners.exploitation.updates > 0).all()
        return jax.tree.leaves(jax.device_get(train.newest_params(state)))

    together = newest(sweep_job.swept_trainer(SMALL, env, [first, second], seeds), 4)
    for k, values in enumerate((first, second)):
        config = sweep_space.with_values(SMALL, values)
        alone = newest(sweep_job.swept_trainer(config, env, [{}], seeds), 2)
        for lanes, expected in zip(together, alone, strict=True):
            np.testing.assert_allclose(lanes[2 * k : 2 * k + 2], expected, rtol=0, atol=1e-4)


# The command


def request(out, *flags):
    return ["bus", "--smoke", "--seeds=2", f"--out={out}", *GRID, *flags]


def fake_pool(failing=()):
    """Jobs that find their learning rate, but for those whose number is in `failing`."""
    ran = []

    def pool(jobs, workers, folder):
        for path in jobs:
            ran.append(path.stem)
            if path.stem in failing:
                yield path, "exit status 1: out of luck"
                continue
            job = json.loads(path.read_text())
            rates = [values["optimizer.learning_rate"] for values in job["values"]]
            result = {
                point: {
                    "test_return": [rate, 2 * rate],
                    "normalised": [rate, None],
                    "finite": True,
                }
                for point, rate in zip(job["points"], rates, strict=True)
            }
            write_json(path.with_suffix(".result.json"), result)
            yield path, None

    return pool, ran


def test_a_failed_job_is_reported_and_resumed_and_loses_no_other(tmp_path, monkeypatch, capsys):
    out = tmp_path / "sweep"
    pool, ran = fake_pool(failing=("0001",))
    monkeypatch.setitem(sweep_pools.POOLS, "local", pool)
    assert sweep.main(request(out)) == 1
    shown = capsys.readouterr()
    log = out / "jobs" / "0001.log"
    assert shown.err == f"error: job 0001: exit status 1: out of luck; see {log}\n"
    assert ran == ["0000", "0001"]
    rows = read(out)
    assert [row["status"] for row in rows] == ["done", "done", *["exit status 1: out of luck"] * 2]
    assert [float(row["test_return"]) for row in rows[:2]] == pytest.approx([0.015, 0.00015])
    assert (out / "sweep.png").stat().st_size > 1_000

    pool, ran = fake_pool()
    monkeypatch.setitem(sweep_pools.POOLS, "local", pool)
    assert sweep.main(request(out, "--resume")) == 0
    assert ran == ["0001"]  # what was done is not done again
    assert [row["status"] for row in read(out)] == ["done"] * 4
    assert capsys.readouterr().err == ""


def read(out):
    with (out / "sweep.csv").open() as file:
        return list(csv.DictReader(file))


def test_an_existing_folder_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sweep_pools.POOLS, "local", fake_pool()[0])
    out = tmp_path / "sweep"
    assert sweep.main(request(out)) == 0
    capsys.readouterr()
    for flags, message in (
        ([], "exists; give another, --resume or --overwrite"),
        (["--resume", "--seeds=3"], "is a sweep with seeds [0, 1], not [0, 1, 2]"),
        (["--resume", "--grid.td.discount=0.9,0.8"], "is a sweep with points [{"),
        (["--resume", "--config.td.discount=0.9"], "trained with td.discount=0.99, not 0.9"),
    ):
        assert sweep.main(request(out, *flags)) == 2
        shown = capsys.readouterr().err
        assert message in shown and shown.count("\n") == 1
    (out / "notes.txt").write_text("mine")
    assert sweep.main(request(out, "--overwrite")) == 0
    assert (out / "notes.txt").read_text() == "mine"

    other = tmp_path / "other"
    other.mkdir()
    (other / "notes.txt").write_text("mine")
    capsys.readouterr()
    assert sweep.main(request(other, "--overwrite")) == 2
    assert "no sweep of ours" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "unknown benchmark ''"),
        (["buss"], "unknown benchmark 'buss'; nearest: bus"),
        (["bus"], "nothing to sweep"),
        (["bus", "--grid.td.discont=0.9"], "unknown config key 'td.discont'; nearest: td.discount"),
        (["bus", "--grid.td.discount=0.9,2"], "td.discount=2.0 must be between 0 and 1"),
        (["bus", "--grid.td.discount=0.9,0.9"], "distinct values"),
        (["bus", "--grid.td.discount"], "write it as --grid.td.discount=VALUES"),
        (["bus", "--random.td.discount=1:0"], "give LOW:HIGH"),
        (["bus", "--random.td.discount=0:1:log"], "with LOW above 0"),
        (["bus", *GRID, "--random.networks.z_size=4:8"], "networks.z_size is swept twice"),
        (["bus", *GRID, "--workers=0"], "--workers=0 must be at least 1"),
        (["bus", *GRID, "--workers=two"], "two"),
        (["bus", *GRID, "--pool=loca"], "unknown pool 'loca'; nearest: local"),
        (["bus", *GRID, "--resume", "--overwrite"], "exclude each other"),
        (["bus", *GRID, "--confg=dream"], "unknown argument '--confg=dream'"),
        (["bus", *GRID, "--config=optimal"], "agent='optimal' is not trained; valid: dream"),
        (["bus", "--grid.preset=dream,e_rl2"], "preset is only a name; sweep agent"),
        (["bus", "--grid.acting.excluded_random_actions=4,6"], "excluded_random_actions is a list"),
        (["bus", "--random.losses.bottleneck_target=-inf:1"], "give LOW:HIGH"),
        (["bus", *GRID, "--samples=8"], "--samples=8 is of a random search"),
        (["bus", *GRID, "--config.networks.z_size=8"], "networks.z_size is swept and set"),
        (["bus", "--grid.losses.decoder_folds=1,100"], "decoder_folds=100"),
        (["bus", "--grid.networks.embedding=sum,patches"], "patches"),
    ],
)
def test_bad_input_is_one_line_and_status_2(tmp_path, argv, message, capsys):
    out = tmp_path / "out"
    assert sweep.main([*argv, *([f"--out={out}"] if argv else [])]) == 2
    shown = capsys.readouterr()
    assert message in shown.err
    assert shown.err.startswith("error: ") and shown.err.count("\n") == 1
    assert not out.exists()


# Pools


@pytest.mark.parametrize("pool", ["ray", "slurm"])
def test_a_pool_that_is_not_installed_is_one_line(tmp_path, monkeypatch, capsys, pool):
    monkeypatch.setitem(sys.modules, {"ray": "ray", "slurm": "submitit"}[pool], None)
    assert sweep.main(request(tmp_path / "out", f"--pool={pool}")) == 2
    assert f"pip install -e '.[{pool}]'" in capsys.readouterr().err


def test_the_local_pool_reports_what_a_job_said_last(tmp_path):
    path = tmp_path / "0000.json"
    path.write_text("{}")
    ((job, error),) = sweep_pools.local([path], 1, tmp_path)
    assert job == path
    assert error == "exit status 1: KeyError: 'config'"
    lines = path.with_suffix(".log").read_text().splitlines()
    assert lines[0].startswith("Traceback") and lines[-1] == "error: KeyError: 'config'"


@pytest.mark.parametrize("pool", ["ray", "slurm"])
def test_jobs_that_a_cluster_loses_are_outcomes_too(tmp_path, monkeypatch, pool):
    """Against stand-ins with the few names of these libraries that are used."""

    class Lost:
        def __init__(self, path):
            self.path = path

        def result(self):
            if self.path.stem == "0001":
                raise RuntimeError("node\nlost")
            return None

    class AutoExecutor:
        def __init__(self, folder):
            assert folder == str(tmp_path / "slurm")

        def update_parameters(self, slurm_array_parallelism, timeout_min):
            assert slurm_array_parallelism == 3 and timeout_min >= 600

        def map_array(self, function, paths):
            assert function is sweep_pools.run_job
            return [Lost(path) for path in paths]

    library = types.SimpleNamespace(
        AutoExecutor=AutoExecutor,
        init=lambda **_: None,
        remote=lambda function: types.SimpleNamespace(remote=Lost),
        wait=lambda waiting: (waiting[:1], waiting[1:]),
        get=lambda reference: reference.result(),
    )
    monkeypatch.setitem(sys.modules, {"ray": "ray", "slurm": "submitit"}[pool], library)
    jobs = [tmp_path / f"{n:04d}.json" for n in range(3)]
    found = dict(sweep_pools.POOLS[pool](jobs, 3, tmp_path))
    assert found == {jobs[0]: None, jobs[1]: "RuntimeError: node lost", jobs[2]: None}


def test_the_command_from_end_to_end(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
    out = tmp_path / "sweep"
    flags = [f"--config.{path}={value}" for path, value in small_changes().items()]
    status = sweep.main(
        ["bus", "--smoke", "--seeds=2", f"--out={out}", *GRID[:1], "--workers=2", *flags]
    )
    shown = capsys.readouterr()
    assert (status, shown.err) == (0, "")
    assert "2 points x 2 seeds = 4 runs in 1 jobs" in shown.out
    rows = read(out)
    assert {row["optimizer.learning_rate"] for row in rows} == {"1e-4", "1e-2"}
    assert all(row["status"] == "done" and row["seeds"] == "2" for row in rows)
    result = json.loads((out / "jobs" / "0000.result.json").read_text())
    assert len(result["0"]["curve"]) == 2 and result["0"]["curve"] != result["1"]["curve"]


def small_changes():
    changed = configs.differences(presets.smoke(presets.preset("bus", "dream")), SMALL)
    return {path: new for path, (_, new) in changed.items()}
