"""Environments: pure functions, listed by benchmark name."""

from typing import Any

from dream_jax.envs.bus import Bus, DistractingBus, Map
from dream_jax.envs.cooking import Cooking
from dream_jax.envs.sign import Sign
from dream_jax.types import Env

BENCHMARKS: dict[str, type] = {env.name: env for env in (Cooking, Bus, DistractingBus, Map)}
# Pixels: no experiment trains on them yet.
ENVIRONMENTS: dict[str, type] = {**BENCHMARKS, Sign.name: Sign}


def make(name: str, **options: Any) -> Env:
    """The environment of a benchmark. Raises ValueError for an unknown name."""
    if name not in ENVIRONMENTS:
        raise ValueError(f"unknown environment {name!r}; valid: {', '.join(ENVIRONMENTS)}")
    return ENVIRONMENTS[name](**options)
