"""What is measured: a preset, changed so that every contender does the same work."""

from dream_jax import config as configs
from dream_jax import presets
from dream_jax.config import Config

BENCHMARKS = ("cooking", "distracting_bus")
PRESETS = ("dream_paper", "dream")

# All actions are random, although the networks are still evaluated, so that the length of episodes
# does not depend on weights. Both learners update from the start.
_COMMON = {
    "acting.epsilon_min": "1.0",
    "acting.epsilon_max": "1.0",
    "replay.warmup_trials_exploitation": "0",
    "replay.warmup_trials_exploration": "0",
}


def training(benchmark: str, preset: str, quick: bool) -> Config:
    """Collecting and updating at the preset's ratio."""
    config = presets.get(benchmark, preset)
    if quick:
        config = configs.override(presets.smoke(config), {"env.horizon": "4"})
    return configs.override(config, _COMMON)


def collecting(benchmark: str, preset: str, quick: bool) -> Config:
    """Collecting alone: no update ever becomes due."""
    changes = {"training.updates_per_iteration": "0", "training.env_steps_per_update": "1000000000"}
    return configs.override(training(benchmark, preset, quick), changes)


def updating(benchmark: str, preset: str, quick: bool) -> Config:
    """Updating: many updates per trial, so that collecting takes less than 1% of the time."""
    changes = {
        "training.trials_per_iteration": "1",
        "training.updates_per_iteration": "2" if quick else "100",
    }
    return configs.override(training(benchmark, preset, quick), changes)
