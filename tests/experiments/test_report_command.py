"""`experiments.report`: runs as one page. Nothing is trained."""

import html.parser
import json

import pytest

from dream_jax import config as configs
from dream_jax import presets
from dream_jax.oracles.bounds import Bounds
from dream_jax.runs import provenance
from dream_jax.runs import summary as summaries
from experiments import report

GIF = b"GIF89a-of-a-trial"


def fake_run(folder, preset="dream", done=True, changes=None):
    config = configs.override(presets.get("map", preset), changes or {})
    (folder / "videos").mkdir(parents=True)
    record = provenance.record(config, [0, 1])
    (folder / "config.json").write_text(json.dumps(record))
    rows = [
        {
            "seed": seed,
            "env_steps": 1_000 * k,
            "trials": 2_560 * k,
            "wall_s": 10.0 * k,
            "train_return": 0.1 * k,
            "test_return": 0.2 * k + seed,
            "loss_td": 0.5,
            "loss_never": None,
        }
        for k in (1, 2)
        for seed in (0, 1)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    if done:
        bounds = Bounds(0.8, 0.3)
        splits = {s: summaries.split_summary([0.8, 0.55], bounds) for s in ("train", "test")}
        summary = {"splits": splits, "time_to_95_s": [12.3, None], "wall_s": 99.0}
        (folder / "summary.json").write_text(json.dumps(summary))
        (folder / "videos" / "problem3_seed0.gif").write_bytes(GIF)
    return folder


class Page(html.parser.HTMLParser):
    """Cells by row, pictures, and whether every tag is closed."""

    def __init__(self, path):
        super().__init__()
        self.rows, self.images, self.open, self.text = [], [], [], ""
        self.feed(path.read_text())
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        if tag in ("meta", "img"):
            self.images += [dict(attributes)["src"]] if tag == "img" else []
            return
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data


def test_a_run_as_a_page(tmp_path, capsys):
    folder = fake_run(tmp_path / "a<b>&c", changes={"td.discount": "0.9"})
    assert report.main([str(folder)]) == 0
    assert capsys.readouterr().out == f"written to {folder / 'report.html'}\n"
    page = Page(folder / "report.html")
    row = dict(zip(*page.rows[:2], strict=True))
    assert row["run"] == str(folder)  # characters of HTML in it came through
    assert (row["preset"], row["seeds"], row["state"]) == ("dream", "2", "done")
    assert row["test return, per seed"] == "0.800, 0.550"
    assert row["test, normalised"] == "1.000, 0.500"
    assert row["test: optimal, no exploration"] == "0.800, 0.300"
    assert row["seconds to 0.95"] == "12, never"
    assert ["td.discount", "0.9", "0.99"] in page.rows
    assert ["0", "0.5"] in page.rows  # the loss, and not the one that there never was
    kinds = [source.split(";")[0] for source in page.images]
    assert kinds == ["data:image/png", "data:image/gif"]
    assert not any(source.startswith("http") for source in page.images)
    assert report.main([str(folder)]) == 0  # its own page is made anew


def test_several_runs_share_a_picture(tmp_path):
    folders = [
        fake_run(tmp_path / "one"),
        fake_run(tmp_path / "two", "e_rl2", done=False),
    ]
    out = tmp_path / "new" / "page.html"
    assert report.main([*map(str, folders), f"--out={out}"]) == 0
    page = Page(out)
    head, first, second = page.rows[:3]
    row = dict(zip(head, second, strict=True))
    assert row["state"] == "at 5,120 of 51,200 trials"
    assert row["test return, per seed"] == "0.400, 1.400"
    assert dict(zip(head, first, strict=True))["state"] == "done"
    assert len(page.images) == 2  # one of curves, one of the video
    assert "All settings are the preset's." in page.text


@pytest.mark.parametrize(
    "flags, offending, remedy",
    [
        ([], "no run is given", "runs/cooking"),
        (["nowhere"], "nowhere is no run", "No such file"),
        (["run", "other"], "2 runs are given", "--out=report.html"),
        (["run", "--outt=x"], "'--outt=x'", "--out"),
        (["run", "--out=notes.txt"], "--out=notes.txt", "another name"),
        (["run", "--out=run"], "--out=run is a folder", "run/report.html"),
        (["run", "--out=notes.txt/page.html"], "notes.txt", "folder"),
        (["broken"], "broken is no run", "runs/cooking"),
        (["empty"], "empty is no run", "has not been evaluated"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(
    tmp_path, monkeypatch, capsys, flags, offending, remedy
):
    monkeypatch.chdir(tmp_path)
    fake_run(tmp_path / "run")
    fake_run(tmp_path / "other")
    fake_run(tmp_path / "broken")
    (tmp_path / "broken" / "metrics.jsonl").write_text('{"seed": 0, "env')
    fake_run(tmp_path / "empty", done=False)
    (tmp_path / "empty" / "metrics.jsonl").write_text("")
    (tmp_path / "notes.txt").write_text("precious")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert report.main(flags) == 2
    text = capsys.readouterr().err
    assert text.startswith("error: ") and text.count("\n") == 1
    assert offending in text and remedy in text
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
