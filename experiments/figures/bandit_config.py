"""Settings of the bandit's runs, and which of them are possible."""

import dataclasses
import math
from typing import Literal

import numpy as np

from dream_jax.config import ConfigError


@dataclasses.dataclass(frozen=True)
class BanditConfig:
    """Everything a run of the bandit depends on besides its seeds."""

    preset: str = "paper"
    action_counts: tuple[int, ...] = (4, 8, 16, 32, 64)  # A, with one exploration step
    horizons: tuple[int, ...] = (1, 2, 3)  # H, each with every A of horizon_action_counts
    horizon_action_counts: tuple[int, ...] = (2, 3, 4)
    exploitation: Literal["arm", "sequence"] = "arm"  # choose from A arms, or from A^H sequences
    epsilon: float = 0.1
    step_size: float = 0.0  # of the values; 0: they are averages of all samples
    initial_exploration_q: float = 0.0
    initial_exploitation_q: float = 0.0
    max_trials: int = 1_048_576  # per seed
    curve_actions: int = 8  # A of Figure 3
    curve_trials: int = 4_096
    curve_period_trials: int = 8
    # Step sizes with which every pairing of first values is measured; (): none of these runs
    start_step_sizes: tuple[float, ...] = ()


PRESETS = {
    each.preset: each
    for each in (
        BanditConfig("paper"),
        BanditConfig("constant_step", step_size=0.1),
        BanditConfig("optimistic", initial_exploration_q=1.0, initial_exploitation_q=1.0),
        BanditConfig(
            "starts",
            action_counts=(4, 8, 16, 32),
            horizons=(1,),
            horizon_action_counts=(4,),
            max_trials=262_144,
            start_step_sizes=(0.0, 0.1),
        ),
    )
}


def smoke(config: BanditConfig) -> BanditConfig:
    """`config` at a tiny size."""
    return dataclasses.replace(
        config,
        action_counts=(2, 4),
        horizons=(1, 2),
        horizon_action_counts=(2,),
        max_trials=8_192,
        curve_actions=4,
        curve_trials=64,
    )


def validate(config: BanditConfig) -> BanditConfig:
    """`config` itself if every value is possible. Raises ConfigError for another one."""
    lists = {
        "action_counts": (config.action_counts, 2),
        "horizons": (config.horizons, 1),
        "horizon_action_counts": (config.horizon_action_counts, 2),
    }
    for name, (values, least) in lists.items():
        if not values or min(values) < least or len(set(values)) < len(values):
            raise ConfigError(f"{name}={list(values)} must be different numbers, {least} or more")
    if config.curve_actions < 2:
        raise ConfigError(f"curve_actions={config.curve_actions} must be at least 2")
    for name in ("max_trials", "curve_trials", "curve_period_trials"):
        if getattr(config, name) < 1:
            raise ConfigError(f"{name}={getattr(config, name)} must be at least 1")
    if not 0 < config.epsilon <= 1:
        raise ConfigError(
            f"epsilon={config.epsilon} must be above 0 and at most 1, for example 0.1"
        )
    for size in (config.step_size, *config.start_step_sizes):
        if not 0 <= size <= 1:
            name = "step_size" if size == config.step_size else "start_step_sizes"
            raise ConfigError(f"{name}={size} must be between 0 (averages) and 1")
    for name in ("initial_exploration_q", "initial_exploitation_q"):
        if not np.isfinite(getattr(config, name)):
            raise ConfigError(f"{name}={getattr(config, name)} must be finite, for example 0.0")
    # The logarithm first: the power of a large horizon would take for ever.
    counts, horizon = config.horizon_action_counts, max(config.horizons)
    if horizon * math.log(max(counts)) > math.log(100_000):
        raise ConfigError(
            f"horizons={list(config.horizons)} with horizon_action_counts="
            f"{list(counts)} make more than 100,000 sequences of actions; choose less of either"
        )
    return config
