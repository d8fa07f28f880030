"""A page without records, for the tests of docs/results.md and of its records."""

import pytest

from experiments.figures import page


@pytest.fixture
def place(tmp_path, monkeypatch):
    """(flags of the command, folder) with a page that has every block, and no records."""
    tmp_path = tmp_path / "docs"
    tmp_path.mkdir()
    monkeypatch.chdir(tmp_path)
    blocks = [f"<!-- results: {name} -->\n<!-- end of {name} -->\n" for name in page.BLOCKS]
    (tmp_path / "page.md").write_text("By hand.\n\n" + "\nProse.\n\n".join(blocks) + "The end.\n")
    return [f"--data={tmp_path / 'data'}", f"--page={tmp_path / 'page.md'}"], tmp_path
