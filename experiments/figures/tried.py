"""What was tried while settings were chosen. Seeds are below 100, and the test split is not read.

`COLLECTION` varies how many trials DREAM collects for an update. `METHODS` varies what each method
has of its own, with the same number of settings for every method.
"""

from collections.abc import Mapping
from typing import Any

from experiments.figures import budgets
from experiments.figures.listed_runs import Setting

# A tenth of the training problems; none where a benchmark tests on its training problems.
VALIDATION_PROBLEMS = {"bus": 0, "map": 0, "distracting_bus": 6, "cooking": 7}
_LARGE_REPLAY = {"bus": 16_384, "map": 16_384, "distracting_bus": 16_384, "cooking": 32_768}


def _collected(
    benchmark: str,
    per_iteration: int,
    trials: int,
    first_seed: int,
    seeds: int = 1,
    capacity: int | None = None,
) -> Setting:
    """DREAM with fewer trials between updates, and perhaps a smaller replay.

    All fields that were varied are written out, so that the settings stay when a preset changes.
    """
    fields: dict[str, Any] = {
        "env.validation_problems": VALIDATION_PROBLEMS[benchmark],
        "training.trials_per_iteration": per_iteration,
        "training.trials": trials,
        "training.evaluation_period_trials": 20 * per_iteration,
        "replay.warmup_trials_exploration": (20 if benchmark == "cooking" else 50) * per_iteration,
        "replay.capacity_trials": capacity or _LARGE_REPLAY[benchmark],
    }
    name = f"it{per_iteration}"
    if capacity is not None:
        name += f"-cap{capacity}"
    return Setting(
        "validation", benchmark, "dream", seeds, tuple(fields.items()), name, first_seed=first_seed
    )


COLLECTION = (
    _collected("map", 32, 12_800, 20, seeds=2, capacity=4_096),
    _collected("bus", 32, 12_800, 20, capacity=4_096),
    _collected("distracting_bus", 32, 24_320, 20),
    _collected("distracting_bus", 32, 20_480, 21, capacity=3_072),
    _collected("distracting_bus", 32, 20_480, 20, seeds=2, capacity=6_144),
    _collected("distracting_bus", 64, 30_720, 20),
    _collected("cooking", 128, 138_240, 20),
    _collected("cooking", 128, 138_240, 20, seeds=2, capacity=8_192),
)

# Each method's preset, and three changes of what is its own.
CHANGES: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "dream": {
        "preset": {},
        "lambda_less": {"losses.bottleneck_weight": 6e-7},
        "lambda_more": {"losses.bottleneck_weight": 2e-5},
        "rate": {"optimizer.learning_rate": 3e-4},
    },
    "e_rl2": {
        "preset": {},
        "small_start": {"networks.encoder_init_scale": 0.1},
        "memory": {"networks.decoder_memory_size": 128},
        "rate": {"optimizer.learning_rate": 3e-4},
    },
    "import": {
        "preset": {},
        "distance_less": {"end_to_end.distance_weight": 0.1},
        "distance_more": {"end_to_end.distance_weight": 10.0},
        "usual_start": {"networks.encoder_init_scale": 1.0},
    },
    "varibad": {
        "preset": {},
        "point": {"end_to_end.posterior": "point"},
        "kl_more": {"end_to_end.kl_weight": 1.0},
        "reward_less": {"end_to_end.reward_weight": 1.0},
    },
}
_SEEDS = 2


def _changed(benchmark: str, method: str, name: str, change: Mapping[str, Any]) -> Setting:
    """A change of a method's preset. The end-to-end methods have half of their full budget."""
    fields: dict[str, Any] = {"env.validation_problems": VALIDATION_PROBLEMS[benchmark]}
    fields |= budgets.of(benchmark, method)
    if "training.trials" in fields:
        fields["training.trials"] //= 2
    fields |= change
    return Setting(
        "validation_methods", benchmark, method, _SEEDS, tuple(fields.items()), name, first_seed=20
    )


METHODS = tuple(
    _changed(benchmark, method, name, change)
    for benchmark in ("distracting_bus", "cooking")
    for method, changes in CHANGES.items()
    for name, change in changes.items()
)
