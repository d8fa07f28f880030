"""The bandit's command: bad input, and what a run leaves."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from experiments import bandit as experiment
from experiments import report
from experiments.figures import bandit_config, bandit_progress


def refused(capsys, *flags):
    status = experiment.main(list(flags))
    text = capsys.readouterr().err
    assert status == 2
    assert text.startswith("error: ")
    assert text.count("\n") == 1
    return text


@pytest.mark.parametrize(
    ("flag", "offending", "remedy"),
    [
        ("--config=papr", "'papr'", "paper"),
        ("--config.epsilon=0", "epsilon=0.0", "0.1"),
        ("--config.epsilon=often", "epsilon='often'", "0.5"),
        ("--config.step_size=1.5", "step_size=1.5", "between 0"),
        ("--config.action_counts=4,1", "[4, 1]", "2 or more"),
        ("--config.action_counts=", "action_counts=[]", "2 or more"),
        ("--config.horizons=0", "horizons=[0]", "1 or more"),
        ("--config.horizons=20", "horizons=[20]", "100,000 sequences"),
        ("--config.max_trials=0", "max_trials=0", "at least 1"),
        ("--config.exploitation=arms", "'arms'", "arm, sequence"),
        ("--config.epsilonn=0.1", "'epsilonn'", "epsilon"),
        ("--config.initial_exploration_q=inf", "inf", "0.0"),
        ("--seeds=0", "--seeds=0", "at least 1"),
        ("--resume --overwrite", "--resume and --overwrite", "give one"),
        ("--resume --out=full", "--out=full", "give another folder"),
        ("--out=a_file", "--out=a_file", "folder"),
        ("--out=full", "--out=full", "--overwrite"),
        ("--config=none.json", "none.json", "No such file"),
    ],
)
def test_bad_input_is_one_line_and_nothing_written(
    capsys, tmp_path, monkeypatch, flag, offending, remedy
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a_file").write_text("precious")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("precious")
    before = sorted(tmp_path.rglob("*"))
    text = refused(capsys, "--smoke", *flag.split())
    assert offending in text
    assert remedy in text
    assert sorted(tmp_path.rglob("*")) == before


def test_a_run_leaves_its_files(capsys, tmp_path):
    out = tmp_path / "run"
    seeds = ["--seeds=6", "--first_seed=7"]
    assert experiment.main(["--smoke", *seeds, f"--out={out}"]) == 0
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["benchmark"], summary["config"]) == ("bandit", "paper")
    assert summary["seeds"] == list(range(7, 13))
    assert (summary["epsilon"], summary["step_size"]) == (0.1, "averages of all samples")
    assert summary["initial_q"] == [0.0, 0.0]
    settings = {(row["method"], row["actions"], row["horizon"]) for row in summary["complexity"]}
    assert settings == {(m, *s) for m in ("rl2", "dream") for s in ((2, 1), (4, 1), (2, 2))}
    with (out / "complexity.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6 * len(settings)
    assert {row["seed"] for row in rows} == set(map(str, range(7, 13)))
    for row in summary["complexity"]:
        mine = [
            int(r["trials"])
            for r in rows
            if (r["method"], int(r["actions"]), int(r["horizon"]))
            == (row["method"], row["actions"], row["horizon"])
        ]
        assert row["mean_trials"] == pytest.approx(np.mean(mine))
    laws = {(fit["method"], fit["law"]): fit for fit in summary["exponents"]}
    for method in ("rl2", "dream"):
        low, high = laws[method, "A^x, H=1"]["ci95"]
        assert low <= laws[method, "A^x, H=1"]["exponent"] <= high
    with (out / "curves.csv").open() as file:
        curves = list(csv.DictReader(file))
    assert [int(r["trials"]) for r in curves if r["method"] == "dream"] == list(range(0, 65, 8))
    for name in ("complexity.png", "figure3.png"):
        with Image.open(out / name) as picture:
            assert picture.size[0] > 600
    saved = json.loads((out / "config.json").read_text())
    assert saved["seeds"] == list(range(7, 13))
    assert (out / "figure3.svg").read_text().lstrip().startswith("<?xml")
    # Its report is a page of its own.
    assert report.main([str(out)]) == 0
    text = (out / "report.html").read_text()
    assert "paper on the bandit" in text
    assert text.count("data:image/png;base64,") == 2
    row = next(r for r in summary["complexity"] if r["method"] == "rl2" and r["actions"] == 4)
    assert f"<td>{row['mean_trials']:,.1f}</td><td>6 of 6</td>" in text
    assert "<td>action_counts</td><td>(2, 4)</td>" in text
    capsys.readouterr()
    (out / "thesis.html").write_text("precious")
    assert report.main([str(out), f"--out={out / 'thesis.html'}"]) == 2
    assert "no report of ours" in capsys.readouterr().err
    (out / "thesis.html").unlink()
    # Again: refused; or resumed after half of its rows, with another result for no seed.
    before = (out / "complexity.csv").read_text()
    capsys.readouterr()
    assert "--overwrite" in refused(capsys, "--smoke", f"--out={out}")
    assert "--seeds=6" in refused(capsys, "--smoke", "--seeds=5", "--resume", f"--out={out}")
    others = ["--smoke", "--seeds=6", "--first_seed=0", "--resume", f"--out={out}"]
    assert "--first_seed=7, not 0" in refused(capsys, *others)
    other = ["--config.epsilon=0.2", "--smoke", *seeds, "--resume", f"--out={out}"]
    assert "epsilon=0.1" in refused(capsys, *other)
    lines = before.splitlines(keepends=True)
    (out / "complexity.csv").write_text("".join(lines[: 1 + 6 * 4]))
    again = ["--smoke", *seeds, f"--config={out / 'config.json'}", f"--out={out}", "--resume"]
    assert experiment.main(again) == 0
    assert (out / "complexity.csv").read_text() == before
    (out / "complexity.csv").write_text("".join(lines[:5]))
    assert "damaged" in refused(capsys, *again)


def test_progress_says_what_is_left():
    config = bandit_config.smoke(bandit_config.PRESETS["paper"])
    sizes = bandit_progress.sizes(config, ("rl2", "dream"), ())
    assert len(sizes) == 6
    known = [key for key in sizes if key.method == "rl2"][:2]
    seconds = [0.0]
    progress = bandit_progress.Progress(sizes, known, 30, lambda: seconds[0])
    assert progress.announcement().startswith("6 sizes, 30 seeds each, 2 of them measured before: ")
    left = [key for key in sizes if key not in known]
    seconds[0] = 10.0
    said = [progress.done(key) for key in left]
    assert said[0].startswith("[3 of 6, about ")
    assert said[0].endswith(" left]")
    assert said[-1] == "[6 of 6]"
