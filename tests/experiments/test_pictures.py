"""The pictures of docs/pictures.md."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from experiments import pictures
from experiments.figures import pictures as drawing

FIGURES = Path(__file__).parents[2] / "docs" / "figures"


def test_the_page_has_every_picture():
    page = (FIGURES.parent / "pictures.md").read_text()
    for name in pictures.NAMES.values():
        assert f"figures/{name})" in page and (FIGURES / name).is_file()


def test_a_trial_is_drawn(tmp_path):
    agent = pictures.pretrained.load("map")
    drawing.trial_steps(tmp_path / "a.png", agent)
    with Image.open(tmp_path / "a.png") as image:
        colours = np.unique(np.asarray(image.convert("RGB")).reshape(-1, 3), axis=0)
        assert image.width > 900 and len(colours) > 20


@pytest.mark.slow
def test_all_are_drawn(tmp_path, capsys):
    assert pictures.main([f"--out={tmp_path}"]) == 0
    drawn = [name for key, name in pictures.NAMES.items() if key != "bottleneck"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(drawn)
    out = capsys.readouterr().out
    assert "written to" in out and "bottleneck.png needs --no_bottleneck=DIR" in out


def test_a_run_with_bottleneck_is_refused(finished_run, capsys, tmp_path):
    flags = [f"--out={tmp_path / 'new'}", f"--no_bottleneck={finished_run[0]}"]
    assert pictures.main(flags) == 2
    assert "is dream on bus; give a run of" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
def test_with_and_without_bottleneck_are_drawn(tmp_path):
    agent = pictures.pretrained.load("distracting_bus")
    insights = pictures.insights_of(agent)
    drawing.bottleneck(tmp_path / "a.png", {"with": (agent, insights), "also": (agent, insights)})
    with Image.open(tmp_path / "a.png") as image:
        assert image.width > 900
