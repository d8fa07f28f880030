"""Flags: how they are written, which are refused, and what --help shows."""

import pytest

from experiments.cli.command_line import CommandLine
from tests.settings import message


@pytest.fixture
def line():
    made = CommandLine("experiments.bus", "about it")
    made.text("config", "dream", "a preset")
    made.count("seeds", 1, "how many")
    made.count("first_seed", 0, "the first", least=0)
    made.counts("batches", "1,64", "sizes")
    made.number("seconds", None, "a time", above=0.0)
    made.switch("resume", "continue")
    made.switch("overwrite", "delete")
    made.exclusive("resume", "overwrite")
    return made


def test_defaults(line):
    values = line.read([])
    assert (values.config, values.seeds, values.first_seed) == ("dream", 1, 0)
    assert (values.batches, values.seconds, values.resume) == ((1, 64), None, False)
    assert not line.given("seeds")


@pytest.mark.parametrize(
    "argv, name, value",
    [
        (["--seeds=3"], "seeds", 3),
        (["--seeds", "3"], "seeds", 3),
        (["-seeds=3"], "seeds", 3),
        (["--seeds=1", "--seeds=2"], "seeds", 2),
        (["--first_seed=0"], "first_seed", 0),
        (["--batches=3, 1"], "batches", (3, 1)),
        (["--seconds=1e-1"], "seconds", 0.1),
        (["--resume"], "resume", True),
        (["--resume=True"], "resume", True),
        (["--resume", "--noresume"], "resume", False),
        (["--config="], "config", ""),
    ],
)
def test_ways_to_write_a_flag(line, argv, name, value):
    assert getattr(line.read(argv), name) == value
    assert line.given(name)


@pytest.mark.parametrize(
    "argv, text",
    [
        (["--seeds=0"], "--seeds=0 must be at least 1"),
        (["--seeds=1.5"], "--seeds=1.5 must be a whole number like 3"),
        (["--first_seed=-1"], "--first_seed=-1 must be at least 0"),
        (["--batches=1,1"], "--batches=1,1 must name each number once"),
        (["--batches="], "--batches= must be a whole number like 3"),
        (["--seconds=nan"], "--seconds=nan must be a number like 0.5"),
        (["--seconds=0"], "--seconds=0 must be above 0"),
        (["--seconds"], "--seconds needs a value: --seconds=VALUE"),
        (["--resume=maybe"], "--resume=maybe must be true or false"),
        (["--noresume=1"], "--noresume=1 does not take an argument"),
        (["--overwrite", "--resume"], "--resume and --overwrite exclude each other; give one"),
        (["--seedz=3"], "unknown argument '--seedz=3'; nearest: --seeds, --first_seed, --seconds"),
        (["--flagfile=mine"], "--flagfile is not supported; write each flag on the command line"),
        (["-flagfile", "mine"], "--flagfile is not supported; write each flag on the command line"),
        (["--undefok=x"], "--undefok is not supported; write each flag on the command line"),
    ],
)
def test_bad_flags_are_one_line(line, argv, text):
    assert message(line.read, argv) == text


def test_a_word_lists_the_few_flags(line):
    found = message(line.read, ["zzzz"])
    assert found.startswith("unknown argument 'zzzz'; valid: --config, --seeds, ")


def test_other_arguments_are_left_where_they_may_be_anywhere(line):
    values, rest = line.read_known(["a", "--seeds=2", "--other=1", "b"], anywhere=True)
    assert (values.seeds, rest) == (2, ["a", "--other=1", "b"])


def test_help_shows_every_flag_once(line, capsys):
    with pytest.raises(SystemExit) as stop:
        line.read(["--help", "--seeds=0"][:1])
    assert not stop.value.code
    shown = capsys.readouterr().out
    assert shown.startswith("usage: python -m experiments.bus [flags]\nabout it\n")
    for name in ("config=VALUE", "seeds=VALUE", "resume", "help"):
        assert shown.count(f"  --{name}\n") == 1
    assert "how many (default: 1)" in shown
    assert "flagfile" not in shown
