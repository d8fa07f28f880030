"""Environments: pure functions, listed by benchmark name."""

from typing import Any

from dream_jax.envs.bus import Bus, DistractingBus, Map
from dream_jax.envs.cooking import Cooking
from dream_jax.types import Env

BENCHMARKS: dict[str, type] = {env.name: env for env in (Cooking, Bus, DistractingBus, Map)}


def make(name: str, **options: Any) -> Env:
    """The environment of a benchmark. Raises ValueError for an unknown name."""
    if name not in BENCHMARKS:
        raise ValueError(f"unknown environment {name!r}; valid: {', '.join(BENCHMARKS)}")
    return BENCHMARKS[name](**options)
