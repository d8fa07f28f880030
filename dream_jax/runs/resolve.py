"""From the name of a benchmark and a preset to a config that can be run, and its environment."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax

from dream_jax import config as configs
from dream_jax import envs, presets, validation
from dream_jax.agents import registry
from dream_jax.config import Config, ConfigError
from dream_jax.envs.adapters import own
from dream_jax.types import Env


def preset(
    benchmark: str, name: str, smoke: bool = False, overrides: Mapping[str, Any] | None = None
) -> Config:
    """The config of a preset with fields set by dotted path, checked.

    Args:
      benchmark: a benchmark's name, or MODULE:CLASS of your own.
      name: of the preset.
      smoke: at a tiny size; overrides are applied after that.
      overrides: for example {"training.trials": 25_600}.

    Raises:
      ConfigError: there is no such benchmark, preset or field, or a value is not possible.
    """
    check_benchmark(benchmark)
    config = finish(presets.get(benchmark, name), smoke, overrides or {})
    checked_env(config)
    return config


def finish(config: Config, smoke: bool, overrides: Mapping[str, Any]) -> Config:
    """`config`, at a tiny size if `smoke`, then with fields set. Raises ConfigError."""
    return configs.override(presets.smoke(config) if smoke else config, overrides)


def check_benchmark(name: str) -> None:
    """Raises ConfigError if there is no benchmark of this name."""
    if not isinstance(name, str) or (name not in envs.ENVIRONMENTS and not own.is_own(name)):
        near = configs.nearest(str(name), sorted(envs.ENVIRONMENTS))
        raise ConfigError(f"unknown benchmark {name!r}; {near}, or MODULE:CLASS of your own")


def check_jax() -> None:
    """Raises ConfigError if JAX is in a mode in which nothing can be trained."""
    for option, reason in (
        ("jax_enable_x64", "this library computes in 32 bits"),
        ("jax_disable_jit", "this library runs compiled programs"),
    ):
        if getattr(jax.config, option):
            raise ConfigError(f"{option.upper()}=1: {reason}; unset it")


def checked_env(config: Config) -> Env:
    """The environment of a config.

    Raises:
      ConfigError: it cannot be made, or a value of the config is not possible, or its agent refuses
        the config, or see `check_jax`.
    """
    check_jax()
    try:
        env = envs.from_config(config.benchmark, config.env)
    except (ValueError, ImportError) as error:  # the latter: textures of a package that is missing
        if own.is_own(config.benchmark):
            raise ConfigError(" ".join(str(error).split())) from error
        options = [f"{field.name}=" for field in dataclasses.fields(config.env)]
        named = str(error).startswith(tuple(options))
        raise ConfigError(f"env.{error}" if named else f"env: {error}") from error
    except Exception as error:
        if not own.is_own(config.benchmark):
            raise
        # A class of the user's may be wrong in any way.
        what = " ".join(f"{type(error).__name__}: {error}".split())
        raise ConfigError(f"{config.benchmark} cannot be used: {what}") from error
    found = registry.check(config)
    validation.validate(config, env.num_actions)
    if not found.analytic:
        registry.make(
            config, env
        )  # it may refuse networks or folds that do not fit the environment
    return env
