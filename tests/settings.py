"""Every setting of the config by its dotted path."""

import dataclasses
import typing

import pytest

from dream_jax.config import Config, ConfigError


def fields(cls=Config, prefix=""):
    """{dotted path: type} of every setting."""
    found = {}
    for name, kind in typing.get_type_hints(cls).items():
        if dataclasses.is_dataclass(kind):
            found |= fields(kind, f"{prefix}{name}.")
        else:
            found[prefix + name] = kind
    return found


FIELDS = fields()
NUMBERS = [path for path, kind in FIELDS.items() if kind in (int, float)]


def value_of(config, path):
    for name in path.split("."):
        config = getattr(config, name)
    return config


def message(function, *arguments):
    with pytest.raises(ConfigError) as error:
        function(*arguments)
    text = str(error.value)
    assert "\n" not in text
    return text
