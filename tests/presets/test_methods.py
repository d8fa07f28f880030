"""Presets: valid, distinct, and saved as they are."""

import dataclasses
import json

import pytest

from dream_jax import config as configs
from dream_jax import envs, presets, validation
from tests.settings import message


def test_json_round_trip_of_every_preset():
    for benchmark in envs.BENCHMARKS:
        for name in presets.names():
            config = presets.get(benchmark, name)
            assert (config.benchmark, config.preset) == (benchmark, name)
            assert configs.from_dict(json.loads(json.dumps(configs.to_dict(config)))) == config


@pytest.mark.parametrize("benchmark", envs.BENCHMARKS)
@pytest.mark.parametrize("name", presets.names())
def test_every_preset_validates(benchmark, name):
    num_actions = envs.make(benchmark).num_actions
    config = presets.get(benchmark, name)
    assert validation.validate(config, num_actions) is config
    small = presets.smoke(config)
    assert validation.validate(small, num_actions) is small
    assert small.training.trials <= 1000 < config.training.trials
    assert presets.smoke(small) == small


def test_presets_differ():
    for benchmark in envs.BENCHMARKS:
        made = [
            dataclasses.replace(presets.get(benchmark, name), preset="") for name in presets.names()
        ]
        assert len(set(made)) == len(presets.names())


def test_an_unknown_preset_names_the_nearest():
    found = message(presets.get, "bus", "dreem")
    assert found.startswith("unknown preset 'dreem'; nearest: dream")
    found = message(presets.get, "bus", "zzzz")
    assert found == f"unknown preset 'zzzz'; valid: {', '.join(presets.names())}"
