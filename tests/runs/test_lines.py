"""Trained reference lines: read from finished runs, drawn, the scale where no oracle reaches."""

import json
import math

import pytest

from dream_jax import api, presets
from dream_jax import config as configs
from dream_jax.config import ConfigError
from dream_jax.oracles.bounds import Bounds
from dream_jax.runs import folder, lines, page_data, provenance, storage
from dream_jax.runs import summary as summaries
from dream_jax.runs.folder import RunRequest
from dream_jax.runs.on_disk import OnDisk
from dream_jax.viz import plots
from experiments.cli import flags as cli

MAP = presets.get("map", "dream")
NAN = Bounds(math.nan, math.nan)


def finished(out, preset, returns=(0.8, 0.7), changes=None):
    config = configs.override(presets.get("map", preset), changes or {})
    out.mkdir(parents=True)
    (out / "config.json").write_text(json.dumps(provenance.record(config, [0])))
    splits = {s: {"return_mean": x} for s, x in zip(("train", "test"), returns, strict=True)}
    (out / "summary.json").write_text(json.dumps({"splits": splits}))
    return str(out)


def test_lines_are_the_means_of_finished_runs(tmp_path):
    told = finished(tmp_path / "told", "told")
    never = finished(tmp_path / "never", "never_explores", (0.3, 0.2))
    assert lines.read([told, never], MAP) == {
        "told": {"train": 0.8, "test": 0.7},
        "never_explores": {"train": 0.3, "test": 0.2},
    }


def test_a_folder_that_gives_no_line_is_refused_in_one_line(tmp_path):
    told = finished(tmp_path / "told", "told")
    other = finished(tmp_path / "dream", "dream")
    shorter = finished(tmp_path / "short", "told", changes={"env.horizon": 7})
    unfinished = tmp_path / "unfinished"
    unfinished.mkdir()
    (unfinished / "config.json").write_text((tmp_path / "told" / "config.json").read_text())
    for folders, message in (
        ([str(tmp_path / "none")], "none holds no finished run; give the --out of"),
        ([str(unfinished)], "unfinished holds no finished run"),
        ([other], "dream is a run of dream; give the --out of"),
        ([told, told], "a second run of told; give one of each agent"),
        ([shorter], "short was trained with env.horizon=7, not 20"),
    ):
        with pytest.raises(ConfigError, match=message) as error:
            lines.read(folders, MAP)
        assert "\n" not in str(error.value)
    with pytest.raises(ConfigError, match="benchmark='map', not 'bus'"):
        lines.read([told], presets.get("bus", "dream"))


def test_they_are_the_scale_only_where_the_exact_returns_are_not_known():
    trained = {"told": {"test": 0.9}, "never_explores": {"test": 0.1}}
    exact = lines.laid_over({"test": Bounds(1.0, 0.0)}, trained)["test"]
    assert (exact.top, exact.floor, exact.told) == (1.0, 0.0, 0.9)
    unknown = lines.laid_over({"test": NAN}, trained)["test"]
    assert (unknown.top, unknown.floor) == (0.9, 0.1)
    assert summaries.normalised(0.5, unknown) == pytest.approx(0.5)
    assert summaries.normalised(0.5, NAN) is None
    half = lines.laid_over({"test": NAN}, {"told": {"test": 0.9}})["test"]
    assert summaries.normalised(0.5, half) is None


def test_summary_report_and_curves_have_them(tmp_path):
    trained = {"told": {"test": 0.9}, "never_explores": {"test": 0.1}}
    bounds = lines.laid_over({"test": NAN}, trained)
    part = summaries.split_summary([0.5, 0.7], bounds["test"])
    assert (part["told"], part["never_explores"]) == (0.9, 0.1)
    assert part["normalised_per_seed"] == pytest.approx([0.5, 0.75])
    times = {"time_to_95_s": [None], "env_steps_to_95": [None], "wall_s": 1.0}
    text = summaries.describe({"splits": {"test": part}, "verdict": "It works", **times})
    assert "told 0.900, never explores 0.100" in text and "\nIt works" in text
    known = storage.lines_of(bounds)
    assert known == {"test": {"told": 0.9, "never_explores": 0.1}}
    assert page_data._normalised(0.5, known["test"]) == pytest.approx(0.5)
    row = {"seed": 0, "wall_s": 1.0, "env_steps": 10, "train_return": 0.5, "test_return": 0.5}
    for drawn, name in ((known, "with.png"), ({}, "without.png")):
        plots.curves(tmp_path / name, [row], drawn, "map")
    assert (tmp_path / "with.png").read_bytes() != (tmp_path / "without.png").read_bytes()


def test_the_command_line_reads_them_before_anything_is_written(command, tmp_path):
    out = tmp_path / "run"
    refused = command("map", "--smoke", f"--lines={tmp_path / 'none'}", f"--out={out}")
    assert refused.status == 2 and "holds no finished run" in refused.stderr
    told = finished(tmp_path / "told", "told")
    flags = ("--config=optimal", f"--lines={told}", f"--out={out}")
    assert "computed, not trained" in command("map", *flags).stderr
    assert not out.exists()
    request = cli.parse("map", ["--smoke", f"--lines={told}", f"--out={out}"])
    assert request.lines == {"told": {"train": 0.8, "test": 0.7}}


def test_a_run_keeps_them_when_it_is_resumed(tmp_path):
    out = tmp_path / "run"
    trained = {"told": {"test": 0.9}}
    folder.prepare_folder(RunRequest(MAP, out, (0,), False, False, lines=trained))
    again = RunRequest(MAP, out, (0,), True, False)
    assert OnDisk(again).lines == trained
    other = again._replace(lines={"told": {"test": 0.8}})
    assert OnDisk(other).lines == {"told": {"test": 0.8}}
    folder.prepare_folder(other)
    assert OnDisk(again).lines == {"told": {"test": 0.8}}
    assert OnDisk(again._replace(resume=False)).lines == {}


def test_a_finished_summary_gets_them_later():
    part = summaries.split_summary([0.5], NAN) | {"optimal": None, "no_exploration": None}
    summary = {"splits": {"test": part}, "trials": 3}
    trained = {"told": {"test": 0.9}, "never_explores": {"test": 0.1}}
    found = lines.in_summary(summary, trained)
    assert found["trials"] == 3
    assert found["splits"]["test"]["normalised_per_seed"] == pytest.approx([0.5])
    assert summary["splits"]["test"]["normalised_per_seed"] == [None]


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["told", "never_explores"])
def test_a_run_of_a_line_is_not_said_to_have_explored(preset):
    summary = api.train("bus", preset=preset, smoke=True, verbose=False).summary
    assert "exploration is" not in summary["verdict"]
    assert ("told the problem id" in summary["verdict"]) == (preset == "told")
