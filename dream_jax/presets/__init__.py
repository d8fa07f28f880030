"""Presets: the settings of a method on a benchmark. `get("map", "dream")` makes one.

A preset is the benchmark's settings (one file each: cooking.py, bus.py, ...; `dream_paper` has the
authors' settings, paper.py), with the method's changes on top (methods.py). A problem family of
your own, MODULE:CLASS, starts from tuned.py, with a memory in the exploitation policy unless the
class attribute `markov` says that (s, z, time) is enough. A class attribute `settings` is laid over
that, below the method's changes.
"""

from dataclasses import replace

from dream_jax.config import Config, ConfigError, from_dict, nearest, override, paths
from dream_jax.envs.adapters import own
from dream_jax.presets import bus, cooking, distracting_bus, paper, sign, tuned, variants
from dream_jax.presets import map as map_world
from dream_jax.presets.methods import METHODS
from dream_jax.presets.smoke import smoke

__all__ = ["get", "names", "smoke"]

_TUNED = {
    module.CONFIG.benchmark: module.CONFIG
    for module in (cooking, bus, map_world, distracting_bus, sign)
}
_VARIANTS = {config.benchmark: config for config in variants.ALL}
_TUNED |= _VARIANTS
PAPER = "dream_paper"  # the preset with the authors' settings


def names() -> tuple[str, ...]:
    """The names of all presets. Every benchmark has each of them."""
    return tuple(METHODS)


def get(benchmark: str, preset: str = "dream") -> Config:
    """The config of a preset.

    Args:
      benchmark: a benchmark's name, or MODULE:CLASS of your own.
      preset: one of `names()`.

    Raises:
      ConfigError: there is no such preset, or MODULE:CLASS cannot be loaded or has settings that no
        config has.
    """
    if not isinstance(preset, str) or preset not in METHODS:
        raise ConfigError(f"unknown preset {preset!r}; {nearest(str(preset), names())}")
    base = paper.of(benchmark) if preset == PAPER else _TUNED.get(benchmark, tuned.CONFIG)
    if benchmark in _VARIANTS:  # their form is not a setting of a method
        form = _VARIANTS[benchmark]
        base = replace(base, env=form.env, trial=form.trial)
    base = replace(base, benchmark=benchmark, preset=preset)
    if own.is_own(benchmark):
        settings = _own_settings(benchmark)
        if not own.declares_markov(benchmark) and preset != PAPER:
            # What exploitation needs may have been shown before, and be hidden now.
            base = replace(base, networks=replace(base.networks, exploitation_memory="mingru"))
        base = override(base, settings)
    return METHODS[preset](base)


def _own_settings(benchmark: str) -> dict:
    """{dotted path: value} of the class attribute `settings`, if there is one."""
    try:
        settings = getattr(own.load(benchmark), "settings", {})
    except ValueError as error:
        raise ConfigError(str(error)) from error
    groups = isinstance(settings, dict) and all(isinstance(x, dict) for x in settings.values())
    if not groups:
        raise ConfigError(f"{benchmark}: settings={settings!r} must be a dict of dicts of fields")
    try:
        from_dict(settings)
    except (ValueError, TypeError) as error:  # for example an array in the place of a number
        raise ConfigError(f"{benchmark}: settings: {error}") from error
    return paths(settings)
