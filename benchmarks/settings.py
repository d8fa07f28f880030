"""What is measured: a preset with the same amount of work for every contender."""

from dream_jax import config as configs
from dream_jax import presets
from dream_jax.config import Config

BENCHMARKS = ("cooking", "distracting_bus")
PRESETS = ("dream_paper", "dream")

# Everyone acts at random, with the networks evaluated all the same: how long episodes are then
# depends on no weights. Both learners update from the start.
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
    """No update ever falls due."""
    changes = {"training.updates_per_iteration": "0", "training.env_steps_per_update": "1000000000"}
    return configs.override(training(benchmark, preset, quick), changes)


def updating(benchmark: str, preset: str, quick: bool) -> Config:
    """Many updates to one trial: its share of the time is below a hundredth."""
    changes = {
        "training.trials_per_iteration": "1",
        "training.updates_per_iteration": "2" if quick else "100",
    }
    return configs.override(training(benchmark, preset, quick), changes)
