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


def fake_run(folder, preset="dream", done=True, changes=None):
    config = configs.override(presets.get("map", preset), changes or {})
    folder.mkdir(parents=True)
    record = provenance.record(config, [0, 1])
    (folder / "config.json").write_text(json.dumps(record))
    rows = [
        {
            "seed": seed,
            "env_steps": 1_000 * k,
            "updates": 100 * k,
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
    return folder


class Page(html.parser.HTMLParser):
    """Cells by row, cells by field, whether every tag is closed, and what is referred to."""

    VOID = ("meta", "img", "link", "input")

    def __init__(self, path):
        super().__init__()
        self.rows, self.fields, self.open, self.text, self.links = [], {}, [], "", []
        self._data, self.data = "", None
        self.feed(path.read_text(encoding="utf-8"))
        assert self.open == []
        self.data = json.loads(self._data)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.links += [found[name] for name in ("src", "href") if name in found]
        if tag in self.VOID:
            return
        self.open.append((tag, found))
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th") and self.rows:
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        tag, found = self.open[-1] if self.open else ("", {})
        if found.get("id") == "data":
            self._data += data
            return
        if tag in ("script", "style"):
            return
        self.text += data
        cell = any(name in ("td", "th") for name, _ in self.open)
        if cell and self.rows and self.rows[-1]:
            self.rows[-1][-1] += data
        if "data-field" in found:
            split = next((a["data-split"] for _, a in self.open[::-1] if "data-split" in a), None)
            name = found["data-field"]
            self.fields.setdefault((split, name), []).append(data)


def test_a_run_as_a_page(tmp_path, capsys):
    folder = fake_run(tmp_path / "a<b>&c", changes={"td.discount": "0.9"})
    assert report.main([str(folder)]) == 0
    assert capsys.readouterr().out == f"written to {folder / 'report.html'}\n"
    page = Page(folder / "report.html")
    assert str(folder) in page.text  # characters of HTML in it came through
    assert page.fields["test", "return_per_seed"] == ["0.800, 0.550"]
    assert page.fields["test", "normalised_per_seed"] == ["1.000, 0.500"]
    assert page.fields["test", "optimal"] == ["0.800"]
    assert page.fields[None, "state"] == ["finished"]
    assert "seconds to 0.95 12, never" in page.text
    assert ["td.discount", "0.9", "0.99"] in page.rows
    (run,) = page.data["runs"]
    assert run["name"] == str(folder)
    assert run["curves"]["1"]["test_return"] == [1.2, 1.4]
    assert run["curves"]["0"]["loss_never"] == [None, None]
    assert run["command"].endswith(f"--seeds=2 --config.td.discount=0.9 --out={folder}")
    assert "No trials are shown: " in page.text  # there is no checkpoint
    assert page.links == ["data:,"]  # nothing outside the file
    assert report.main([str(folder)]) == 0  # its own page is made anew


def test_several_runs_share_a_page(tmp_path):
    folders = [
        fake_run(tmp_path / "one"),
        fake_run(tmp_path / "two", "e_rl2", done=False),
    ]
    out = tmp_path / "new" / "page.html"
    assert report.main([*map(str, folders), f"--out={out}"]) == 0
    page = Page(out)
    assert page.fields[None, "state"] == ["finished", "at 5,120 of 12,800 trials"]
    assert page.fields["test", "return_per_seed"] == ["0.800, 0.550", "0.400, 1.400"]
    assert [run["preset"] for run in page.data["runs"]] == ["dream", "e_rl2"]
    assert "All settings are the preset's." in page.text


def test_a_real_run_has_its_trials(finished_run, tmp_path):
    folder, _ = finished_run
    own = Page(folder / "report.html")
    assert report.main([str(folder), f"--out={tmp_path / 'page.html'}"]) == 0
    again = Page(tmp_path / "page.html")
    for page in (own, again):
        (run,) = page.data["runs"]
        assert len(run["trials"]) > 4 and run["frames"] and run["visits"]["columns"] == 9
    # The checkpoint is that of the end, so both show the same.
    for name in ("trials", "encodings", "visits", "splits", "curves"):
        assert own.data["runs"][0][name] == again.data["runs"][0][name]
    summary = json.loads((folder / "summary.json").read_text())
    for split, part in summary["splits"].items():
        assert own.fields[split, "return_mean"] == [f"{part['return_mean']:.3f}"]


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
        (["foreign"], "foreign is no run", "config.json"),
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
    record = json.loads((fake_run(tmp_path / "foreign") / "config.json").read_text())
    (tmp_path / "foreign" / "config.json").write_text(json.dumps(record | {"versions": 3}))
    (tmp_path / "notes.txt").write_text("precious")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert report.main(flags) == 2
    text = capsys.readouterr().err
    assert text.startswith("error: ") and text.count("\n") == 1
    assert offending in text and remedy in text
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
