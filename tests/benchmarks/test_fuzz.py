"""Some of the cases of `benchmarks.fuzz`, and that it finds what is wrong."""

import json
from unittest import mock

import pytest

from benchmarks import fuzz
from benchmarks.fuzz_cases import Case, nothing
from dream_jax import validation
from dream_jax.config import ConfigError


@pytest.mark.parametrize(
    "count", [pytest.param(30, id="some"), pytest.param(400, id="many", marks=pytest.mark.slow)]
)
def test_bad_input_is_one_line_or_a_run_that_can_be_meant(count):
    found = fuzz.run(count, seed=count)
    assert not found.failed, found.failed[0]
    assert sum(found.outcomes.values()) >= count // 2
    assert any("refused" in name for name in found.outcomes)


def case(*words):
    return Case("overrides", "map", (*words, "--out={folder}/run"), nothing, "")


def test_a_start_with_nonsense_is_found():
    nonsense = case("--config.optimizer.weight_decay=1e30")
    assert fuzz.attempt_one(nonsense) == ("refused", None)
    with mock.patch.object(validation, "_check_ranges"):
        outcome, problem = fuzz.attempt_one(nonsense)
    assert outcome == "accepted"
    assert problem == "it would start with optimizer.weight_decay=1e+30"


def test_a_message_of_several_lines_is_found():
    assert fuzz._not_one_line("a\nb\n", True) and fuzz._not_one_line("a\n", False)
    assert fuzz._not_one_line("a\n", True) is None
    outcome, problem = fuzz._library(mock.Mock(side_effect=ConfigError("a\nb")))
    assert outcome == "refused" and problem == "not one line: 'a\\nb\\n'"


def test_a_traceback_is_a_failure(capsys):
    with mock.patch.object(fuzz, "attempt_one", side_effect=KeyError("x")):
        assert fuzz.main(["--cases=2", "--json"]) == 1
    result = json.loads(capsys.readouterr().out)
    assert "KeyError" in result["failed"][0]["problem"]
