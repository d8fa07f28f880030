"""How long methods train behind docs/results.md, where that is not what their presets say."""

from collections.abc import Mapping
from typing import Any

from experiments.figures.paper import WITHOUT_EXPLORATION

# The methods that act on the whole trial train longer than DREAM: over 4M environment steps on the
# bus worlds, 20M on cooking. They collect more trials for each update, for the time that takes.
_LONG_ON_BUSES = {
    "training.trials": 122_880,
    "training.trials_per_iteration": 128,
    "training.evaluation_period_trials": 2_560,
    "replay.capacity_trials": 16_384,
}
LONGER: Mapping[str, Mapping[str, Any]] = {
    **dict.fromkeys(("bus", "map", "distracting_bus"), _LONG_ON_BUSES),
    "cooking": {
        "training.trials": 552_960,
        "training.trials_per_iteration": 512,
        "training.evaluation_period_trials": 10_240,
        "replay.capacity_trials": 32_768,
        "replay.warmup_trials_exploration": 10_240,
    },
}
_WHOLE_TRIAL = (*WITHOUT_EXPLORATION, "rl2", "pearl")


def of(benchmark: str, preset: str) -> dict[str, Any]:
    """What a preset's budget on a benchmark is replaced by; {} if it stays."""
    return dict(LONGER.get(benchmark, {})) if preset in _WHOLE_TRIAL else {}
