"""The accelerator campaign, on the CPU with tiny sizes."""

import json

import pytest

from benchmarks import accelerator, command


def rows_of(out):
    return [json.loads(line) for line in (out / "rows.jsonl").read_text().splitlines()]


def test_parts_have_names_of_their_own_and_functions_that_exist():
    from benchmarks.accelerator_parts import PARTS

    parts = [part for wave in accelerator.waves() for part in wave]
    assert len({part.name for part in parts}) == len(parts)
    assert {part.part for part in parts} == set(PARTS)


@pytest.mark.slow
def test_a_campaign_measures_and_goes_on_after_a_crash(tmp_path):
    flags = [f"--out={tmp_path}", "--quick", "--parts=ceilings"]
    assert command.run(accelerator.main, flags) == 0
    rows = rows_of(tmp_path)
    products = [row for row in rows if row.get("what") == "matmul"]
    assert len(products) == 3
    assert all(row["flops_per_s"] > 0 and row["quick"] for row in products)
    assert [row["status"] for row in rows if "status" in row] == ["done"]

    file = tmp_path / "rows.jsonl"
    file.write_text(file.read_text() + '{"part": "torn')
    assert command.run(accelerator.main, flags) == 0
    assert rows_of(tmp_path) == rows  # whole again, and nothing was measured twice


@pytest.mark.slow
def test_a_part_that_cannot_run_leaves_a_row_with_the_reason(tmp_path, monkeypatch, capsys):
    bad = accelerator.Part("bad", "correct", {"benchmark": "kitchen", "preset": "dream"})
    monkeypatch.setattr(accelerator, "waves", lambda: [[bad]])
    assert command.run(accelerator.main, [f"--out={tmp_path}", "--quick"]) == 1
    (row,) = rows_of(tmp_path)
    assert row["status"] == "failed"
    assert "kitchen" in row["reason"]
    assert "1 parts left: bad" in capsys.readouterr().out


def test_the_list_names_every_part_and_writes_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command.run(accelerator.main, ["--list", "--parts=render-*"]) == 0
    assert capsys.readouterr().out.split() == ["render-fast", "render-reference"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ([], "--out=DIR"),
        (["--out=x", "--parts=none"], "--parts=none"),
        (["--out=x", "--budget_s=0"], "--budget_s=0"),
        (["--out=x", "--budget_s=nan"], "budget_s"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(flags, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert command.run(accelerator.main, flags) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.usefixtures("processes_compile_fast")
def test_every_kind_of_part_runs(tmp_path):
    kinds = "correct-cooking-dream,rates-cooking-dream_paper-1,learn-map-dream-1,render-fast"
    flags = [f"--out={tmp_path}", "--quick", f"--parts={kinds}"]
    assert command.run(accelerator.main, flags) == 0
    rows = rows_of(tmp_path)
    (trials,) = [row for row in rows if row.get("what") == "trials"]
    assert trials["values"] > 0
    assert trials["that_differ"] == 0  # this device is the reference itself
    (train,) = [row for row in rows if row.get("what") == "train"]
    assert train["updates"] > 0
    (learned,) = [row for row in rows if row.get("what") == "learned"]
    assert learned["env_steps_to_95"] == [None]
    assert len([row for row in rows if "frames_per_s" in row]) == 4
