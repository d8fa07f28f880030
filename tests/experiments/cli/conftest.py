"""A folder to be in."""

import json
from pathlib import Path

import pytest

from dream_jax import config as configs
from dream_jax import presets


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder to be in, with files to point at; the default output folder is inside it."""
    monkeypatch.chdir(tmp_path)
    Path("a_file").write_text("precious")
    Path("full").mkdir()
    Path("full/thesis.tex").write_text("precious")
    Path("project").mkdir()
    Path("project/config.json").write_text('{"name": "my-app"}')
    Path("project/main.py").write_text("precious")
    Path("no.json").write_text("preset: dream")
    Path("binary.json").write_bytes(b"\xff\xfe\x00\x81")
    Path("list.json").write_text("[]")
    Path("typo.json").write_text('{"td": {"discuont": 0.9}}')
    values = configs.to_dict(presets.get("cooking", "dream"))
    Path("cooking.json").write_text(json.dumps({"config": values}))
    swept = [{"td.discount": "0.9"}, {"td.discount": "0.8"}]
    Path("sweep.json").write_text(json.dumps({"config": values, "points": swept}))
    Path("many.json").write_text('{"optimizer": {"learning_rate": [1e-4, 1e-3]}}')
    return tmp_path
