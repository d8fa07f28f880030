"""Every block of code in README and docs runs, at a short size, or has its reason in `NOT_RUN`.

A page is run from its first block to its last, in an empty folder: as a reader would who copies
everything. Python blocks share their names; files that the page says to save are saved.
"""

import ast
import contextlib
import importlib.util
import io
import os
import shutil
import sys
from pathlib import Path
from unittest import mock

import pytest

from experiments.cli import process
from experiments.cli.command_line import CommandLine
from tests.conftest import DEVICES
from tests.docs import blocks

QUICK = {"docs/results.md"}  # the others train, or compile for long


def pages():
    for page in blocks.PAGES:
        found = blocks.of_page(page)
        if any(blocks.reason(piece) is None for block in found for piece in blocks.pieces(block)):
            name = str(page.relative_to(blocks.ROOT))
            marks = () if name in QUICK else pytest.mark.slow
            yield pytest.param(found, id=name, marks=marks)


@pytest.fixture
def folder(tmp_path, monkeypatch, processes_compile_fast):
    """An empty one to work in, as if in the root of a checkout."""
    (tmp_path / "tests").mkdir()
    shutil.copytree(blocks.ROOT / "tests" / "golden", tmp_path / "tests" / "golden")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("TERM", "dumb")
    before = set(sys.modules)
    path = [str(tmp_path), str(blocks.ROOT), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path))
    yield tmp_path
    for name in set(sys.modules) - before:  # lamps, wells, ...
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


def run_command(command: str) -> str:
    """What it prints. Fails if its exit status is not 0."""
    module, words = blocks.words(command)
    into = None
    if ">" in words:
        into, words = words[words.index(">") + 1], words[: words.index(">")]
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        mock.patch("experiments.cli.process.cores", return_value=list(range(DEVICES))),
    ):
        found = importlib.import_module(module)
        if found.main is process.main:
            status = found.main(module.split(".")[1], words)
        else:
            status = found.main(words)
    if status:  # None, as 0, is success
        pytest.fail(f"{command}\nrun as {module} {words}\nended with {status}: {err.getvalue()}")
    if into:
        Path(into).write_text(out.getvalue())
    return out.getvalue()


def run_python(block: blocks.Block, names: dict) -> None:
    """Run a block; save it first if the page says so."""
    text = blocks.shortened(block.text)
    if block.saved_as:
        Path(block.saved_as).write_text(text)
    lead = "\n" * (block.line - 1)  # so that a traceback has the line of the page
    with contextlib.redirect_stdout(io.StringIO()):
        exec(compile(lead + text, block.page, "exec"), names)


@pytest.mark.parametrize("found", list(pages()))
def test_a_page_runs(found, folder):
    names = {"__name__": "page"}
    ran = 0
    for block in found:
        for piece in blocks.pieces(block):
            if blocks.reason(piece) is not None:
                continue
            if block.language == "python":
                run_python(block, names)
            else:
                assert not block.language, f"{block.name}: nothing runs {block.language}"
                run_command(piece)
            ran += 1
    assert ran


def test_every_block_is_found_and_has_a_runner_or_a_reason(capsys):
    blocks.main()
    listed = capsys.readouterr().out
    for page in blocks.PAGES:
        fences = [one for one in page.read_text().splitlines() if one.lstrip().startswith("```")]
        assert len(fences) == 2 * len(blocks.of_page(page)), f"{page.name}: indented or open fence"
    for block in blocks.all_blocks():
        for piece in blocks.pieces(block):
            if blocks.reason(piece) is not None:
                assert f"{block.name}: {piece.splitlines()[0][:60]}" in listed
            elif block.language:
                assert block.language == "python", f"{block.name}: nothing runs {block.language}"
                ast.parse(block.text)
            else:
                module, _ = blocks.words(piece)
                assert importlib.util.find_spec(module), f"{block.name}: no {module}"


class Read(Exception):
    """The flags of a command were read, and none was refused."""


def measuring():
    """The commands of benchmarks that are not run."""
    every = (piece for block in blocks.all_blocks() for piece in blocks.pieces(block))
    return sorted({p for p in every if p.startswith("python -m benchmarks.") and blocks.reason(p)})


@pytest.mark.parametrize("command", measuring())
def test_a_benchmark_that_is_not_run_has_these_flags(command, monkeypatch):
    read = CommandLine.read

    def read_alone(self, argv):
        read(self, argv)
        raise Read

    monkeypatch.setattr(CommandLine, "read", read_alone)
    module, words = blocks.words(command.partition(" > ")[0])
    with pytest.raises(Read):
        importlib.import_module(module).main(words)


def test_no_reason_and_no_short_size_is_stale():
    everything = [(block, piece) for block in blocks.all_blocks() for piece in blocks.pieces(block)]
    for start in (*blocks.NOT_RUN, *blocks.NEEDS):
        assert any(piece.startswith(start) for _, piece in everything), start
    left = "\n".join(piece for _, piece in everything if blocks.reason(piece) is None)
    for full, short in blocks.SHORT:
        assert full in left, full
        left = left.replace(full, short)


def test_a_command_that_nothing_runs_is_noticed():
    with pytest.raises(ValueError, match="give a reason"):
        blocks.words("make world")
    assert blocks.words("srun python -m experiments.map [--out=a]") == (
        "experiments.map",
        ["--out=a", "--smoke"],
    )
    _, words = blocks.words("python -m experiments.evaluate --json > a.json")
    assert words[:2] == ["--json", "--trials=8"] and words[-2:] == [">", "a.json"]
