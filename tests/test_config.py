"""Settings: overrides, and what is said of a wrong one."""

import typing

import pytest

from dream_jax import config as configs
from dream_jax.config import Config, ConfigError
from tests.settings import FIELDS, message, value_of


def another(kind, value):
    """(as typed on the command line, as it should arrive) of a value that is not `value`."""
    if kind is bool:
        return str(not value).lower(), not value
    if kind is int:
        return f"{value + 7}", value + 7
    if kind is float:
        return "0.625", 0.625
    if kind is str:
        return "something", "something"
    if typing.get_origin(kind) is tuple:
        return "3,1", (3, 1)
    return next((x, x) for x in typing.get_args(kind) if x != value)


@pytest.mark.parametrize("path", FIELDS)
def test_every_setting_can_be_overridden(path):
    text, value = another(FIELDS[path], value_of(Config(), path))
    config = configs.override(Config(), {path: text})
    assert configs.differences(Config(), config) == {path: (value_of(Config(), path), value)}
    assert type(value_of(config, path)) is type(value)


@pytest.mark.parametrize(
    "path, text, value",
    [
        ("training.trials", "1e3", 1000),
        ("training.trials", "64.0", 64),
        ("td.discount", "1", 1.0),
        ("optimizer.learning_rate", "3e-4", 3e-4),
        ("losses.normalise_information_gain", "FALSE", False),
        ("trial.redraw_instruction", "0", False),
        ("acting.excluded_random_actions", "(4, 5)", (4, 5)),
        ("acting.excluded_random_actions", "[6]", (6,)),
        ("acting.excluded_random_actions", "", ()),
    ],
)
def test_ways_to_write_a_value(path, text, value):
    assert value_of(configs.override(Config(), {path: text}), path) == value


def test_several_overrides_and_none():
    config = configs.override(Config(), {"td.discount": "0.5", "env.horizon": "7"})
    assert configs.differences(Config(), config) == {
        "td.discount": (Config().td.discount, 0.5),
        "env.horizon": (Config().env.horizon, 7),
    }
    assert configs.override(config, {}) == config


BAD_TEXTS = {
    bool: ("maybe", "2", ""),
    int: ("three", "1.5", "inf", "nan", "", "true"),
    float: ("half", "nan", "", "true", "1,2"),
}
REMEDIES = {bool: "true or false", int: "a whole number like 3", float: "a number like 0.5"}


@pytest.mark.parametrize("path", [p for p, kind in FIELDS.items() if kind in BAD_TEXTS])
def test_bad_values_are_named_with_a_remedy(path):
    for text in BAD_TEXTS[FIELDS[path]]:
        found = message(configs.override, Config(), {path: text})
        assert found == f"{path}={text!r} is not {REMEDIES[FIELDS[path]]}"


@pytest.mark.parametrize(
    "path", [p for p, kind in FIELDS.items() if typing.get_origin(kind) is typing.Literal]
)
def test_bad_choices_list_the_valid_ones(path):
    found = message(configs.override, Config(), {path: "qqq"})
    choices = ", ".join(typing.get_args(FIELDS[path]))
    assert found == f"{path}='qqq': valid: {choices}"


def test_bad_lists_and_groups():
    path = "acting.excluded_random_actions"
    assert message(configs.override, Config(), {path: "1,x"}) == (
        f"{path}='x' is not a whole number like 3"
    )
    assert message(configs.from_dict, {"acting": {"excluded_random_actions": 3}}) == (
        f"{path}=3 is not a list; for example 1,2"
    )
    found = message(configs.override, Config(), {"td": "3"})
    assert found.startswith("td='3': it is a group; set one of td.discount, ")
    assert message(configs.from_dict, {"td": 3}) == "td=3: it is a group; set its fields"


def test_types_in_a_file_are_checked_too():
    whole = "is not a whole number like 3"
    assert message(configs.from_dict, {"env": {"horizon": True}}) == f"env.horizon=True {whole}"
    assert message(configs.from_dict, {"env": {"horizon": None}}) == f"env.horizon=None {whole}"
    found = message(configs.from_dict, {"td": {"discount": [0.9]}})
    assert found == "td.discount=[0.9] is not a number like 0.5"
    found = message(configs.from_dict, {"agent": ["dream"]})
    assert found == "agent=['dream'] is not text; put it in quotes"


@pytest.mark.parametrize(
    "wrong, right",
    [
        ("td.discuont", "td.discount"),
        ("losses.discount", "td.discount"),  # in another group
        ("learning_rate", "optimizer.learning_rate"),  # without its group
        ("replay.batch_size", "replay.batch_trials"),
        ("td.discount.more", "td.discount"),
        ("trainings.trials", "training.trials"),
    ],
)
def test_an_unknown_key_names_the_nearest(wrong, right):
    found = message(configs.override, Config(), {wrong: "1"})
    start, _, listed = found.partition("; nearest: ")
    assert start == f"unknown config key {wrong!r}"
    assert right in listed.split(", ")


def test_a_key_near_to_none_lists_three_of_many_and_all_of_few():
    found = message(configs.override, Config(), {"qqqqqq": "1"})
    start, _, listed = found.partition("; nearest: ")
    assert start == "unknown config key 'qqqqqq'"
    assert len(set(listed.split(", ")) & set(FIELDS)) == 3 == listed.count(",") + 1
    found = message(configs.from_dict, {"td": {"zzzzzz": 1}})
    assert found.startswith("unknown config key 'td.zzzzzz'; valid: td.discount, ")


def test_keys_that_are_missing_keep_their_default():
    assert configs.from_dict({}) == Config()
    config = configs.from_dict({"td": {"discount": 0.5}})
    assert configs.differences(Config(), config) == {"td.discount": (Config().td.discount, 0.5)}


def test_differences():
    old = Config()
    new = configs.override(
        old, {"agent": "optimal", "td.discount": "0.5", "acting.excluded_random_actions": "1"}
    )
    assert configs.differences(old, old) == {}
    assert configs.differences(old, new) == {
        "agent": ("dream", "optimal"),
        "td.discount": (Config().td.discount, 0.5),
        "acting.excluded_random_actions": ((), (1,)),
    }
    swapped = {path: (new, old) for path, (old, new) in configs.differences(old, new).items()}
    assert configs.differences(new, old) == swapped


def test_a_long_value_is_shortened_in_a_message():
    text = message(configs.override, Config(), {"td.discount": "a" * 3_000})
    assert len(text) < 200 and text.startswith("td.discount='aaaa") and "aaa...aaa" in text
    assert str(ConfigError("a " * 400)) == "a " * 400
