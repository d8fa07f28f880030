"""Records of runs: `experiments.results --add=DIR`, and which of them count."""

import json
import shutil

import pytest

from experiments import results
from experiments.figures import estimates, records, training_queue
from experiments.figures.groups import group
from tests.experiments import fake_runs
from tests.folders import one_line

MAP = "comparison/map-dream-s100"


def test_a_run_becomes_a_record_of_two_small_files(place, capsys):
    common, folder = place
    out = fake_runs.make(fake_runs.listed(MAP), folder / "runs", 1.0)
    assert results.main([*common, f"--add={out}", "--to=comparison"]) == 0
    assert f"{MAP}: finished" in capsys.readouterr().out
    text = (folder / "data" / f"{MAP}.csv").read_text().splitlines()
    assert text[0] == (
        "seed,env_steps,trials,updates,wall_s,train_return,test_return,train_return_encoder,"
        "exploration_length"
    )
    assert text[-1] == "100,100000,3333,1000,100,0.8,0.8,0.8,12.5"
    assert len(text) == 5
    about = json.loads((folder / "data" / f"{MAP}.json").read_text())
    assert about["state"] == "finished"
    assert about["env_steps_to_95"] == [80_000]
    assert about["splits"]["test"]["normalised_per_seed"] == [1.0]
    assert {"processor", "devices", "jax"} <= set(about["machine"])
    assert "--first_seed=100" in about["command"]
    found = records.read(folder / "data")
    assert list(found) == [MAP]
    assert records.of_today(found, fake_runs.listed(MAP)) is not None
    assert estimates.seconds(fake_runs.listed("comparison/map-dream-s101"), found) == (
        pytest.approx(100.0 / 1000 * 12_800)  # updates of the run, at this record's speed
    )


def test_a_stopped_run_says_so_and_has_no_final_return(place):
    common, folder = place
    run = fake_runs.listed(MAP)
    out = fake_runs.make(run, folder / "runs", 1.0, steps=2_000_000, finished=False)
    assert results.main([*common, f"--add={out}"]) == 0
    known = records.read(folder / "data")
    assert known[MAP].about["state"].startswith("stopped at 66,666 of ")
    assert not known[MAP].finished
    each = group(run.setting, run.setting.runs(), known)
    assert each.returns("test") == []
    # Half of the steps, half of the way; of 3M steps nothing is known.
    assert each.normalised("test", 1_000_000) == pytest.approx([0.5])
    assert each.normalised("test", 3_000_000) == []
    assert results.main([*common, "--list"]) == 0


def test_a_run_with_several_seeds_becomes_a_record_of_each(place, capsys):
    """Seeds that share a device are trained at once, and are listed one by one."""
    common, folder = place
    runs, out = run_of_two_seeds(folder)
    alone = records.of_folder(folder / "alone", runs[0])
    assert results.main([*common, f"--add={out}", "--to=comparison"]) == 0
    assert capsys.readouterr().out.count(": finished") == 2
    known = records.read(folder / "data")
    assert list(known) == [run.path for run in runs]
    for run, share in zip(runs, (1.0, 0.5), strict=True):
        record = known[run.path]
        assert {row["seed"] for row in record.rows} == {run.first_seed}
        test = record.about["splits"]["test"]
        assert (test["normalised_per_seed"], test["return_ci95"]) == ([share], None)
        assert test["return_mean"] == pytest.approx(0.3 + 0.5 * share)
        assert record.about["env_steps_to_95"] == [80_000 if share == 1.0 else None]
        assert record.about["return_at_env_steps"] == {"250000": [share]}
        assert record.about["trained_with"] == [100, 101]
    # But for this note the record is that of the seed alone.
    first = dict(known[runs[0].path].about)
    assert first.pop("trained_with")
    assert first == json.loads(json.dumps(alone.about))
    # Their seconds are those of both, so they say nothing about one.
    other = fake_runs.listed("comparison/map-dream-s102")
    assert estimates.seconds(other, known) == estimates.seconds(other, {})


def test_a_seed_that_failed_beside_others_has_a_record_too(place):
    common, folder = place
    runs, out = run_of_two_seeds(folder)
    path = out / "summary.json"
    summary = json.loads(path.read_text())
    summary["failed"] = {"101": {"trials": 5, "reason": "loss_td is not finite"}}
    for part in summary["splits"].values():
        part["return_per_seed"][1] = part["normalised_per_seed"][1] = None
    path.write_text(json.dumps(summary))
    metrics = out / "metrics.jsonl"  # it failed before its first evaluation
    rows = [line for line in metrics.read_text().splitlines() if json.loads(line)["seed"] == 100]
    metrics.write_text("\n".join(rows) + "\n")
    assert results.main([*common, f"--add={out}"]) == 0
    good, bad = (records.read(folder / "data")[run.path] for run in runs)
    assert good.finished and bad.failed
    assert bad.about["state"] == "failed: loss_td is not finite"
    assert bad.about["splits"]["test"]["return_mean"] is None


@pytest.mark.parametrize("lost", ["metrics.jsonl", "seed 101"])
def test_a_folder_that_lacks_a_seed_is_refused(place, capsys, lost):
    common, folder = place
    _, out = run_of_two_seeds(folder)
    if lost == "metrics.jsonl":
        (out / lost).unlink()
    else:
        path = out / "summary.json"
        path.write_text(path.read_text().replace('"seeds": [100, 101]', '"seeds": [100]'))
    assert results.main([*common, f"--add={out}"]) == 2
    assert "has nothing about seed 10" in one_line(capsys.readouterr().err)
    assert not (folder / "data").exists()


def test_two_folders_with_the_same_run_are_refused(place, capsys):
    common, folder = place
    run_of_two_seeds(folder)
    assert results.main([*common, f"--add={folder}/[ab][lo]*"]) == 2
    assert f"two folders hold {MAP}" in one_line(capsys.readouterr().err)
    assert not (folder / "data").exists()


def run_of_two_seeds(folder):
    """(listed runs, folder of both seeds at once); the folder `alone` has the first one only."""
    runs = [fake_runs.listed(f"comparison/map-dream-s{seed}") for seed in (100, 101)]
    first, second = (
        fake_runs.make(run, folder / "runs", share)
        for run, share in zip(runs, (1.0, 0.5), strict=True)
    )
    for path, share in ((first, 1.0), (second, 0.5)):
        summary = json.loads((path / "summary.json").read_text())
        summary["return_at_env_steps"] = {"250000": [share]}
        (path / "summary.json").write_text(json.dumps(summary))
    out = folder / "both"
    shutil.copytree(first, folder / "alone")
    shutil.copytree(first, out)
    for name in ("config.json", "summary.json"):
        mine, its = (json.loads((path / name).read_text()) for path in (out, second))
        mine["seeds"] += its["seeds"]
        if name == "summary.json":
            for key in ("time_to_95_s", "env_steps_to_95", "updates_to_95"):
                mine[key] += its[key]
            mine["return_at_env_steps"]["250000"] += its["return_at_env_steps"]["250000"]
            for split, part in mine["splits"].items():
                for key in ("return_per_seed", "normalised_per_seed"):
                    part[key] += its["splits"][split][key]
                part["return_mean"], part["return_ci95"] = 0.675, [0.55, 0.8]
        (out / name).write_text(json.dumps(mine))
    with (out / "metrics.jsonl").open("a") as file:
        file.write((second / "metrics.jsonl").read_text())
    return runs, out


def test_a_run_that_ended_within_a_budget_counts_with_its_final_return(tmp_path):
    run = fake_runs.listed(MAP)
    folder = fake_runs.make(run, tmp_path, 0.98, steps=400_000)
    known = {run.path: records.of_folder(folder, run)}
    each = group(run.setting, run.setting.runs(), known)
    assert each.normalised("test", 1_000_000) == pytest.approx([0.98])
    assert each.normalised("test", 200_000) == pytest.approx([0.49])
    assert each.wanted == 5


def test_runs_that_are_not_in_the_list_are_refused(place, capsys):
    common, folder = place
    run = fake_runs.listed(MAP)
    fake_runs.make(run, folder / "runs", 1.0)
    copy = folder / "copy"
    shutil.copytree(training_queue.folder(run, folder / "runs"), copy)
    path = copy / "config.json"
    saved = json.loads(path.read_text())
    saved["seeds"] = [0]
    path.write_text(json.dumps(saved))
    assert results.main([*common, f"--add={copy}", "--to=comparison"]) == 2
    assert "has the seeds 0, and map-dream has 100 to 104" in capsys.readouterr().err
    saved["seeds"], saved["config"]["td"]["discount"] = [100], 0.9
    path.write_text(json.dumps(saved))
    assert results.main([*common, f"--add={copy}", "--to=comparison"]) == 2
    assert "td.discount=0.99, not 0.9" in one_line(capsys.readouterr().err)
    assert results.main([*common, f"--add={copy}", "--to=kitchens"]) == 2
    assert "have no dream on map" in one_line(capsys.readouterr().err)
    assert not (folder / "data").exists()


def test_a_record_of_other_settings_than_the_list_has_today_does_not_count(place):
    common, folder = place
    run = fake_runs.listed(MAP)
    assert results.main([*common, f"--add={fake_runs.make(run, folder / 'runs', 1.0)}"]) == 0
    path = folder / "data" / f"{MAP}.json"
    about = json.loads(path.read_text())
    about["config"]["td"]["discount"] = 0.5
    path.write_text(json.dumps(about))
    known = records.read(folder / "data")
    assert records.of_today(known, run) is None
    assert group(run.setting, [run], known).returns("test") == []
