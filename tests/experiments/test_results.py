"""Records of runs, the page made from them, and the command that trains what is missing."""

import dataclasses
import json

import pytest

from experiments import results
from experiments.cli import flags as cli
from experiments.cli import parallel_commands
from experiments.figures import (
    claims,
    page,
    page_claims,
    page_parts,
    page_tables,
    records,
    studies,
    training_queue,
)
from experiments.figures.groups import group, normalised
from experiments.figures.listed_runs import BANDIT, FIRST_SEED
from tests.experiments import fake_runs
from tests.folders import one_line, snapshot
from tests.tiers import quick

MAP = "comparison/map-dream-s100"


@pytest.mark.parametrize(
    ("flags", "offending", "remedy"),
    [
        ("--run=comparison/mpa-dream-s100", "'comparison/mpa-dream-s100'", "map-dream"),
        ("--run=x --list", "--run and --list", "give one"),
        ("--to=bandit", "--to=bandit", "--add=DIR"),
        ("--add=full --to=comparision", "--to=comparision", "comparison"),
        ("--add=nowhere", "--add=nowhere", "--out of a run"),
        ("--add=full", "--add=full", "no run of ours"),
        ("--page=nowhere.md --check", "nowhere.md", "docs/results.md"),
        ("--page=bare.md", "<!-- results: glance -->", "once"),
        ("--workers=0 --run=*", "--workers", "at least 1"),
        ("--runs=*", "'--runs=*'", "--run"),
    ],
)
def test_bad_input_is_one_line(capsys, place, flags, offending, remedy):
    common, folder = place
    (folder / "full").mkdir()
    (folder / "full" / "thesis.tex").write_text("precious")
    (folder / "bare.md").write_text("no blocks")
    before = snapshot(folder)
    assert results.main([*common, *flags.split()]) == 2
    text = one_line(capsys.readouterr().err)
    assert offending in text
    assert remedy in text
    assert snapshot(folder) == before


def test_the_claims_of_the_paper_stand_apart_from_the_questions_of_the_project(tmp_path):
    known = {}
    for name in ("dream", "dream_no_bottleneck"):
        for run in studies.find("comparison", f"distracting_bus-{name}").runs():
            known[run.path] = records.of_folder(fake_runs.make(run, tmp_path, 1.0), run)
    paper, project = page_claims.glance(known).split("**Asked by this project**")
    assert "| DREAM is optimal | 1M environment steps |" in paper
    assert "four decoder heads" in project and "four decoder heads" not in paper
    readme = page_claims.summary(known)
    assert "| DREAM is optimal | distracting_bus test |" in readme
    assert "four decoder heads" not in readme and "1M environment steps" not in readme
    assert "- VariBAD learns what can be had without exploring, and no more: " in readme


def test_the_page_is_made_from_the_records_and_checked_against_them(place, capsys):
    common, folder = place
    shares = {"s100": 1.0, "s101": 0.98, "s102": 0.4}
    for seed, share in shares.items():
        out = fake_runs.make(
            fake_runs.listed(f"comparison/map-dream-{seed}"), folder / "runs", share
        )
        assert results.main([*common, f"--add={out}"]) == 0
    assert results.main([*common, "--check"]) == 1
    assert "differ in: glance" in one_line(capsys.readouterr().err)
    assert results.main(common) == 0
    assert results.main([*common, "--check"]) == 0
    text = (folder / "page.md").read_text()
    assert text.startswith("By hand.\n")
    assert text.endswith("The end.\n")
    claim = "DREAM is optimal | 1M environment steps | 3 of 5 | normalised 1.00, 0.98, 0.40 |"
    assert claim in text
    assert "does not hold (2 of 3 seeds)" in text
    assert "| comparison | 3 of " in text
    assert (folder / "figures" / "results_comparison.png").exists()
    capsys.readouterr()
    assert results.main(common) == 0
    assert capsys.readouterr().out == "nothing has changed\n"
    # Another page may have the summary.
    readme = page.readme_of(folder / "page.md")
    readme.write_text("A.\n<!-- results: benchmarks -->\n<!-- end of benchmarks -->\nB.\n")
    assert results.main([*common, "--check"]) == 1
    assert "README.md" in one_line(capsys.readouterr().err)
    assert results.main(common) == 0
    row = "| map | the training problems | 1.00, 0.98, 0.40 |  |  |  | 0.08M, 0.08M, never |"
    assert row in readme.read_text()
    assert results.main([*common, "--check"]) == 0
    # A number of the page, or of the data, that changes is noticed; so is an old picture.
    (folder / "page.md").write_text(text.replace("0.98", "0.99"))
    assert results.main([*common, "--check"]) == 1
    (folder / "page.md").write_text(text)
    path = folder / "data" / "comparison" / "map-dream-s100.csv"
    path.write_text(path.read_text().replace("0.8,", "0.7,"))
    capsys.readouterr()
    assert results.main([*common, "--check"]) == 1
    assert "results_comparison.png" in one_line(capsys.readouterr().err)
    path.write_text("seed\nx,y\n1\n")
    assert results.main([*common, "--check"]) in (1, 2)


def test_what_has_no_record_is_trained_and_lands_run_by_run(place, monkeypatch, capsys):
    common, folder = place
    trained, fail = [], "map-dream-s102"

    def run(commands, workers, watch):
        for one in commands:
            name = one.log.stem
            trained.append(name)
            if name != fail:
                fake_runs.make(fake_runs.listed(f"comparison/{name}"), folder / "runs", 1.0)
                assert not (folder / "data" / "comparison" / f"{name}.csv").exists()
            yield parallel_commands.Ended(one, int(name == fail), 3.0, "no such luck")

    monkeypatch.setattr(parallel_commands, "run", run)
    flags = [*common, "--run=comparison/map-dream-s*", f"--out={folder / 'runs'}", "--workers=2"]
    assert results.main(flags) == 1
    assert trained == [f"map-dream-s{seed}" for seed in range(100, 105)]
    said = capsys.readouterr()
    assert "comparison/map-dream: 5 runs, about " in said.out
    assert "[1 of 5]  comparison/map-dream-s100: done in 3s; about " in said.out
    assert "no such luck" in said.err
    kept = {path.stem for path in (folder / "data" / "comparison").glob("*.csv")}
    assert kept == set(trained) - {fail}
    # Once more: what failed. A CSV that was deleted comes back from its finished run.
    trained.clear()
    fail = ""
    deleted = folder / "data" / "comparison" / "map-dream-s103.csv"
    before = deleted.read_text()
    deleted.unlink()
    assert results.main(flags) == 0
    assert trained == ["map-dream-s102"]
    assert deleted.read_text() == before


def test_every_run_of_the_list_has_a_name_of_its_own():
    runs = [run for setting in studies.settings() for run in setting.runs()]
    assert len({run.path for run in runs}) == len(runs)
    for run in runs:
        chosen_by = run.setting.study.startswith("validation")
        assert (run.first_seed < FIRST_SEED) == chosen_by
    assert len(studies.KITCHENS) == 8
    dream = [s for s in studies.STUDIES["comparison"] if s.preset == "dream"]
    assert all(setting.seeds == 5 for setting in dream)


@pytest.mark.parametrize("study", quick(tuple(studies.STUDIES), "bandit", "bottleneck"))
def test_every_run_of_the_list_is_a_command_that_runs(study, tmp_path):
    for setting in studies.STUDIES[study]:
        line = setting.runs()[0].arguments(tmp_path)
        if setting.benchmark == BANDIT:
            assert training_queue.finished(setting.runs()[0], tmp_path) is False
        else:
            assert cli.parse(setting.benchmark, line[1:]).config == setting.config()


def test_docs_are_what_the_records_give():
    assert results.main(["--check"]) == 0


def test_every_table_is_made_without_records():
    for name, block in page.BLOCKS.items():
        assert block({}), name
    assert page_parts.NONE in page_tables.dream({})


def test_a_run_with_fewer_trials_than_the_list_has_goes_on(tmp_path):
    run = fake_runs.listed(MAP)
    config = run.setting.config()
    training = dataclasses.replace(config.training, trials=config.training.trials // 2)
    fake_runs.make(run, tmp_path, 1.0, config=dataclasses.replace(config, training=training))
    assert not training_queue.finished(run, tmp_path)
    other = fake_runs.listed("comparison/map-dream-s101")
    fake_runs.make(other, tmp_path, 1.0)
    assert training_queue.finished(other, tmp_path)


def test_a_seed_that_failed_counts_against_a_claim(tmp_path):
    known = {}
    for run, share in zip(studies.find("comparison", "map-dream").runs(), [1.0] * 5, strict=True):
        folder = fake_runs.make(run, tmp_path, share)
        if run.first_seed == 102:
            path = folder / "summary.json"
            summary = json.loads(path.read_text())
            summary["failed"] = {"102": {"trials": 9, "reason": "loss_td is NaN"}}
            path.write_text(json.dumps(summary))
        known[run.path] = records.of_folder(folder, run)
    assert known["comparison/map-dream-s102"].about["state"] == "failed: loss_td is NaN"
    setting = studies.find("comparison", "map-dream")
    found = {("map", "dream"): group(setting, setting.runs(), known)}
    verdict = claims.grid_verdicts([("map", "test")], found)[0]
    assert verdict.verdict == "does not hold (4 of 5 seeds)"
    assert verdict.measured == "normalised 1.00, 1.00, 1.00, 1.00, 1 failed"


def test_normalised_returns_of_sign_rest_on_what_no_reading_returns(tmp_path):
    run = fake_runs.listed(MAP)
    record = records.of_folder(fake_runs.make(run, tmp_path, 0.5), run)
    assert normalised(record, "test", 0.55) == pytest.approx(0.5)
    record.about["splits"]["test"] |= {"no_exploration": 0.8, "no_reading": 0.0}
    assert normalised(record, "test", 0.4) == pytest.approx(0.5)


def test_kitchens_are_counted_one_by_one_and_together(tmp_path):
    known = {}
    for setting, shares in zip(
        studies.STUDIES["kitchens"][:2], ([1.0, 0.98], [1.0, 0.2]), strict=True
    ):
        for run, share in zip(setting.runs(), shares, strict=False):
            known[run.path] = records.of_folder(fake_runs.make(run, tmp_path, share), run)
    rows = page_tables.kitchens(known).splitlines()
    assert len(rows) == 2 + 8 + 1
    assert rows[2].startswith(f"| {studies.KITCHENS[0]} | 2 of 5 | 1.00, 0.98 (")
    assert "| all | 4 |" in rows[-1]
    assert "| mean of kitchens 0.80 (0.59 to 1.00); 3 of 4 at 0.95 |" in rows[-1]
    run = studies.STUDIES["kitchens"][1].runs()[2]
    known[run.path] = records.of_folder(fake_runs.make(run, tmp_path, 0.0), run)
    last = page_tables.kitchens(known).splitlines()[-1]
    assert "| mean of kitchens 0.70; 3 of 5 at 0.95 |" in last  # 0.99 and 0.4


def test_methods_are_compared_over_all_benchmarks_together(tmp_path):
    known = {}
    for name, shares in (
        ("map-dream", [1.0, 1.0]),
        ("map-e_rl2", [0.0, 0.2]),
        ("cooking-dream", [0.9]),
    ):
        setting = studies.find("comparison", name)
        for run, share in zip(setting.runs(), shares, strict=False):
            known[run.path] = records.of_folder(fake_runs.make(run, tmp_path, share), run)
    rows = page_tables.aggregate(known).splitlines()
    dream = next(row for row in rows if row.startswith("| dream |"))
    assert "3 on 2 of 4" in dream
    assert "| 0.67 |" in dream  # two of three runs are at 0.95
    other = next(row for row in rows if row.startswith("| e_rl2 |"))
    # On map, the one benchmark that both have, every run of DREAM is better.
    assert "2 on 1 of 4" in other
    assert other.endswith("| 1.00 (1.00 to 1.00) |")


def test_a_seed_that_is_there_only_at_its_end_is_not_one_that_never_is(tmp_path):
    setting = studies.find("comparison", "map-dream")
    known = {}
    for run, share in zip(setting.runs(), (1.0, 1.0, 0.5), strict=False):
        known[run.path] = records.of_folder(fake_runs.make(run, tmp_path, share), run)
    known["comparison/map-dream-s101"].about["env_steps_to_95"] = [None]
    each = group(setting, setting.runs(), known)
    found = page_parts.reached(each, "env_steps_to_95", page_parts.millions)
    assert found == ["0.08M", "at the end", "never"]
