"""The README's example, in a notebook that is run from a thread."""

import asyncio
import os
import re
import threading
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]


def example():
    """The README's "As a library" at a tiny size, stopped after its first evaluation."""
    section = (ROOT / "README.md").read_text().split("## As a library")[1]
    code = re.search(r"```python\n(.*?)```", section, re.DOTALL)[1]
    for full, small in (('dj.train("map",', 'dj.train("map", smoke=True,'), ("< 60", "< 0")):
        assert code.count(full) == 1
        code = code.replace(full, small)
    return code


@pytest.mark.slow
def test_the_readme_example_runs_in_a_notebook(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")  # it compiles faster
    cell = nbformat.v4.new_code_cell(example())
    client = NotebookClient(
        nbformat.v4.new_notebook(cells=[cell]),
        timeout=900,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    )
    failures = []

    def execute():
        try:
            asyncio.run(client.async_execute())  # with an event loop that is closed after it
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=execute)
    thread.start()
    thread.join()
    assert failures == []
    printed = "".join(output.get("text", "") for output in cell.outputs)
    assert "stopped by on_evaluation; run.train() goes on" in printed
    assert "time to 0.95 on both" in printed  # the end
    shown = [output.data["text/html"] for output in cell.outputs if "data" in output]
    curve, trial = shown
    assert "data:image/png;base64," in curve and "data:image/gif;base64," in trial
    assert sorted(path.name for path in tmp_path.iterdir()) == ["map.npz", "trial.gif"]
