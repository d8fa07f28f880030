"""The command: a failed job loses no other, folders are kept, bad input is one line."""

import csv
import json

import pytest

from dream_jax import envs
from dream_jax.runs.metrics import write_json
from experiments import sweep
from experiments.sweeps import pools as sweep_pools
from experiments.sweeps import space
from tests.experiments.sweeps.small import GRID, request, small_changes


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
                    "split": "train",
                    "train_return": [rate, 2 * rate],
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
    assert [float(row["train_return"]) for row in rows[:2]] == pytest.approx([0.015, 0.00015])
    assert (out / "sweep.png").stat().st_size > 1_000
    assert not any("test" in name for name in rows[0])  # blind to the test problems

    pool, ran = fake_pool()
    monkeypatch.setitem(sweep_pools.POOLS, "local", pool)
    assert sweep.main(request(out, "--resume")) == 0
    assert ran == ["0001"]  # what was done is not done again
    assert [row["status"] for row in read(out)] == ["done"] * 4
    assert capsys.readouterr().err == ""


def read(out):
    with (out / "sweep.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("benchmark", "flags", "problems", "split"),
    [
        ("cooking", (), 7, "validation"),
        ("distracting_bus", ("--config.env.validation_problems=5",), 5, "validation"),
        ("distracting_bus", ("--config.env.validation_problems=0",), 0, "train"),
        ("bus", (), 0, "train"),  # it tests on its training problems
    ],
)
def test_points_are_ranked_by_validation_where_there_are_problems_for_it(
    tmp_path, benchmark, flags, problems, split
):
    swept = ["--grid.td.discount=0.9,0.8", f"--out={tmp_path}/sweep"]
    asked = sweep.parse([benchmark, "--smoke", *swept, *flags])
    assert [config.env.validation_problems for config in asked.configs] == [problems] * 2
    assert space.ranking_split(envs.from_config(benchmark, asked.configs[0].env)) == split


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
        (
            ["bus", *GRID, "--config=optimal"],
            "agent='optimal' is computed, not trained; valid: dream",
        ),
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


@pytest.mark.slow
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
