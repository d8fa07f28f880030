"""Environments: pure functions, listed by benchmark name, or a class of your own."""

import importlib
from typing import Any

from dream_jax.config import EnvConfig
from dream_jax.envs.bus import Bus, DistractingBus, Map
from dream_jax.envs.cooking import Cooking
from dream_jax.envs.sign import Sign
from dream_jax.types import Env

BENCHMARKS: dict[str, type] = {env.name: env for env in (Cooking, Bus, DistractingBus, Map)}
ENVIRONMENTS: dict[str, type] = {**BENCHMARKS, Sign.name: Sign}


def is_own(name: str) -> bool:
    """Whether a benchmark's name is MODULE:CLASS, a class of the user's."""
    return ":" in name


def find(name: str) -> type:
    """The class of a benchmark, or of MODULE:CLASS. Raises ValueError for an unknown name."""
    if not is_own(name):
        if name not in ENVIRONMENTS:
            raise ValueError(f"unknown environment {name!r}; valid: {', '.join(ENVIRONMENTS)}")
        return ENVIRONMENTS[name]
    module, _, attribute = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute, None)
    except (ImportError, ValueError, TypeError) as error:  # the latter two: no name of a module
        raise ValueError(
            f"unknown environment {name!r}: {error}; give MODULE:CLASS, of a module that Python "
            "finds, like lamps:Lamps for lamps.py in this folder"
        ) from error
    if not isinstance(found, type):
        raise ValueError(f"unknown environment {name!r}: {module} has no class {attribute!r}")
    return found


def make(name: str, **options: Any) -> Env:
    """The environment of a benchmark, or of MODULE:CLASS.

    Raises ValueError for an unknown name, and for a class that is not an `Env`, or not made so.
    """
    found = find(name)
    if not is_own(name):
        return found(**options)
    try:
        env = found(**options)
    except TypeError as error:
        arguments = ", ".join(f"{key}={value!r}" for key, value in options.items())
        raise ValueError(f"{name}: {error}; it is made as {found.__name__}({arguments})") from error
    needed = set(Env.__annotations__) | {x for x in vars(Env) if not x.startswith("_")}
    missing = sorted(x for x in needed if not hasattr(env, x))
    if missing:
        raise ValueError(f"{name} lacks {', '.join(missing)}; see dream_jax.types.Env")
    return env


def from_config(name: str, config: EnvConfig) -> Env:
    """The environment of a benchmark with the options it knows. Raises ValueError, as it does."""
    options: dict[str, Any] = {"horizon": config.horizon}
    if name == Sign.name:
        options |= {"quality": config.quality, "start_region": config.start_region}
    return make(name, **options)
