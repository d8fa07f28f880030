"""The documentation: its reference is up to date, its commands and names exist, its links lead
somewhere."""

import ast
import importlib
import re
import shlex
from pathlib import Path

import pytest

from dream_jax import config as configs
from dream_jax.config import Config
from experiments import reference
from experiments.cli import flags, process
from experiments.cli.command_line import CommandLine

ROOT = Path(__file__).parents[2]
PAGES = sorted([*(ROOT / "docs").glob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"])
HISTORY = {"lab_notebook.md"}  # what was run then, with the flags of then


def blocks(kind):
    """(page, text) of every fenced block of a language; "": of commands."""
    for page in PAGES:
        if page.name not in HISTORY:
            for found in re.findall(rf"^```{kind}\n(.*?)^```", page.read_text(), re.M | re.S):
                yield page.name, found


def commands():
    """(page, words) of every `python -m experiments.X ...` in a block."""
    for page, text in blocks(""):
        for line in text.replace("\\\n", " ").splitlines():
            found = re.search(r"python -m (experiments\.\w+)(.*)", line)
            if found and "BENCHMARK" not in line:
                words = shlex.split(re.sub(r"[\[\]]", " ", found[2]), comments=True)
                yield page, found[1], words


def test_the_reference_of_settings_is_up_to_date(capsys):
    assert reference.main(["--check"]) == 0
    text = reference.PAGE.read_text()
    for path in configs.paths(configs.to_dict(Config())):
        if "." in path:
            assert f"`{path}`" in text
    assert "standard deviation of encoder and decoder" in text


def test_a_stale_reference_is_noticed(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(reference, "PAGE", tmp_path / "settings.md")
    assert reference.main([]) == 0
    assert reference.main(["--check"]) == 0
    reference.PAGE.write_text("old")
    assert reference.main(["--check"]) == 1
    assert "not up to date" in capsys.readouterr().err


class Read(Exception):
    pass


@pytest.mark.parametrize("page, module, words", list(commands()))
def test_every_flag_of_a_command_exists(page, module, words, monkeypatch):
    """Only the flags are read: nothing runs."""
    names = {w.lstrip("-").partition("=")[0] for w in words if w.startswith("-")}
    plain = {n for n in names if not re.match(r"(config|grid|random)\.", n)}
    for name in names - plain:
        path = name.partition(".")[2]
        known = {*configs.paths(configs.to_dict(Config()))}
        assert path in known or path == "GROUP.FIELD", f"{page}: --{name}"

    there = set()

    def define(line, parser, name, *rest):
        there.add(name)
        return defined(line, parser, name, *rest)

    def refuse(line, rest):
        raise Read

    defined = CommandLine._define
    monkeypatch.setattr(CommandLine, "_define", define)
    monkeypatch.setattr(CommandLine, "refuse", refuse)
    monkeypatch.setattr("experiments.cli.process.exit_status", lambda work, text: work())
    command = importlib.import_module(module)
    with pytest.raises((Read, configs.ConfigError)):
        if command.main is process.main:
            flags.read_flags(module.split(".")[1], words, trains=True)
        else:
            command.main(words)
    unknown = plain - there
    assert not unknown, f"{page}: {module} has no --{', --'.join(unknown)}"


@pytest.mark.parametrize("page, text", list(blocks("python")))
def test_every_example_is_python_and_imports_what_there_is(page, text):
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dream_jax"):
            for alias in node.names:
                check_there(node.module, alias.name)


def check_there(module, name):
    """Skips where a package that is not required is missing, for example gymnax."""
    try:
        if not hasattr(importlib.import_module(module), name):
            importlib.import_module(f"{module}.{name}")
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("dream_jax"):
            raise
        pytest.skip(f"{error.name} is not installed")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file(page):
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target
