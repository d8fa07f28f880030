"""Environments as pure functions, found by benchmark name; your own as MODULE:CLASS."""

from typing import Any

from dream_jax.config import EnvConfig
from dream_jax.envs import splits
from dream_jax.envs.adapters import own
from dream_jax.envs.grids.bus import Bus, DistractingBus, Map
from dream_jax.envs.grids.bus_tasks import BusTasks
from dream_jax.envs.grids.cooking import Cooking
from dream_jax.envs.grids.cooking_variants import (
    CookingLarge,
    CookingPictures,
    CookingSentences,
)
from dream_jax.envs.sign3d.sign import Sign, SignWords
from dream_jax.types import Env

BENCHMARKS: dict[str, type] = {env.name: env for env in (Cooking, Bus, DistractingBus, Map)}
# Families of other kinds: large, without instructions, of sentences, of ids that are pictures.
VARIANTS: dict[str, type] = {
    env.name: env for env in (CookingLarge, CookingSentences, CookingPictures, BusTasks, SignWords)
}
ENVIRONMENTS: dict[str, type] = {**BENCHMARKS, Sign.name: Sign, **VARIANTS}

# Options of a config that only one benchmark has.
_SIGNS = (Sign.name, SignWords.name)
_OPTIONS = {"quality": _SIGNS, "start_region": _SIGNS, "held_out": (Cooking.name,)}


def make(name: str, **options: Any) -> Env:
    """The environment called `name`: a key of `ENVIRONMENTS`, or MODULE:CLASS.

    `options` go to its constructor, for example `horizon=20`. Raises ValueError for an unknown name
    or for an option that the constructor refuses.
    """
    if own.is_own(name):
        return own.make(name, **options)
    if name not in ENVIRONMENTS:
        raise ValueError(f"unknown environment {name!r}; valid: {', '.join(ENVIRONMENTS)}")
    return ENVIRONMENTS[name](**options)


def from_config(name: str, config: EnvConfig) -> Env:
    """`make` with those options of a config that the environment takes, and the config's splits.

    Raises the same errors, and ValueError for an option that the environment does not have, or for
    more validation problems than it can give.
    """
    options: dict[str, Any] = {"horizon": config.horizon}
    for option, owners in _OPTIONS.items():
        value, default = getattr(config, option), getattr(EnvConfig(), option)
        if name in owners:
            options[option] = value
        elif value != default:
            has = " and ".join(owners)
            raise ValueError(f"{option}={value!r}: only {has} can have it; leave it {default!r}")
    env = make(name, **options)
    problems = config.validation_problems
    return splits.with_validation(env, problems) if problems else env
