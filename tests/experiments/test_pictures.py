"""The pictures of docs/pictures.md."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from experiments import pictures

FIGURES = Path(__file__).parents[2] / "docs" / "figures"


def test_the_page_has_every_picture():
    page = (FIGURES.parent / "pictures.md").read_text()
    for name in pictures.NAMES.values():
        assert f"figures/{name})" in page and (FIGURES / name).is_file()


def test_a_trial_is_drawn(tmp_path):
    agent = pictures.pretrained.load("map")
    pictures.trial_steps(tmp_path / "a.png", agent)
    with Image.open(tmp_path / "a.png") as image:
        colours = np.unique(np.asarray(image.convert("RGB")).reshape(-1, 3), axis=0)
        assert image.width > 900 and len(colours) > 20


@pytest.mark.slow
def test_all_are_drawn(tmp_path, capsys):
    assert pictures.main([f"--out={tmp_path}"]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(pictures.NAMES.values())
    assert "written to" in capsys.readouterr().out
