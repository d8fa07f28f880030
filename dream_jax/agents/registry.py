"""The agents by name. Each class declares itself in its own file; this module lists the classes.

A config may also name a class from outside this package, as MODULE:CLASS.
"""

import importlib
from typing import Any

from dream_jax.agents.analytic import NoExploration, Optimal, PearlUb
from dream_jax.agents.dream import Dream
from dream_jax.agents.dream_ablations import (
    DreamDynamics,
    DreamEndToEnd,
    DreamHalfCoupled,
    DreamNextStates,
)
from dream_jax.agents.e_rl2 import ERl2
from dream_jax.agents.import_agent import Import
from dream_jax.agents.pearl import Pearl
from dream_jax.agents.reference_lines import NeverExplores, Told
from dream_jax.agents.varibad import VariBad
from dream_jax.config import Config, ConfigError, nearest
from dream_jax.types import Agent, Env

_CLASSES: tuple[Any, ...] = (
    Dream,
    DreamDynamics,
    DreamNextStates,
    DreamHalfCoupled,
    DreamEndToEnd,
    ERl2,
    Import,
    VariBad,
    Pearl,
    Told,
    NeverExplores,
    Optimal,
    NoExploration,
    PearlUb,
)
AGENTS: dict[str, Any] = {each.name: each for each in _CLASSES}
_DECLARED = ("name", "analytic", "acts_on_whole_trial", "has_bottleneck", "check")
_TRAINED = ("loss_names", "explorer", "exploiter", "loss_terms", "collect", "meta_test")


def find(name: str) -> Any:
    """The class of an agent's name, or of MODULE:CLASS. Raises ConfigError if there is none."""
    if ":" in name:
        return _from_outside(name)
    if name not in AGENTS:
        near = nearest(name, list(AGENTS))
        raise ConfigError(f"unknown agent {name!r}; {near}, or MODULE:CLASS of your own")
    return AGENTS[name]


def check(config: Config) -> Any:
    """The class of a config's agent. Raises ConfigError if the agent refuses the config."""
    found = find(config.agent)
    if config.losses.bottleneck_dual and not (found.has_bottleneck or found.analytic):
        raise ConfigError(
            f"losses.bottleneck_dual=true: agent={config.agent!r} has no bottleneck; "
            "set it to false"
        )
    for path, on in (
        ("trial.instruction_in_exploration", config.trial.instruction_in_exploration),
        ("end_to_end.exploration_return", config.end_to_end.exploration_return),
    ):
        if on and not (found.acts_on_whole_trial or found.analytic):
            raise ConfigError(
                f"{path}=true: only agents that act on the whole trial have it, like e_rl2; "
                f"agent={config.agent!r} needs false"
            )
    found.check(config)
    return found


def make(config: Config, env: Env) -> Agent:
    """The agent of a config. Raises ConfigError for one whose returns are computed, not trained."""
    found = check(config)
    if found.analytic:
        trained = ", ".join(name for name, each in AGENTS.items() if not each.analytic)
        raise ConfigError(f"agent={config.agent!r} is computed, not trained; valid: {trained}")
    return found(config, env)


def _from_outside(name: str) -> Any:
    module, _, attribute = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (Exception, SystemExit) as error:  # a module of the user's may raise anything
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ConfigError(
            f"unknown agent {name!r}: {reason}; give MODULE:CLASS of a module that Python finds"
        ) from error
    needed = _DECLARED if getattr(found, "analytic", False) else (*_DECLARED, *_TRAINED)
    missing = [each for each in needed if not hasattr(found, each)]
    if missing:
        raise ConfigError(
            f"agent {name!r} lacks {', '.join(missing)}; see dream_jax.types.Agent, or derive from "
            "dream_jax.agents.dream.Dream"
        )
    return found
