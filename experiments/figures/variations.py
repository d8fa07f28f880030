"""Runs that vary one thing: what the methods are shown, and which of our changes they have."""

from collections.abc import Mapping
from typing import Any

from experiments.figures import budgets
from experiments.figures.listed_runs import Setting
from experiments.figures.paper import WITHOUT_EXPLORATION

SEEDS = 3
_GRIDS = ("map", "distracting_bus", "cooking")

# Changes of the `dream` presets (docs/fidelity.md) that the paper's IMPORT and E-RL2 did not have.
_EVERYWHERE: Mapping[str, Mapping[str, Any]] = {
    "traces": {"td.trace_lambda": 0.0},
    "time": {"networks.time_input": False},
    "norm": {"networks.layer_norm": False, "networks.film": False},
    "random_actions": {"acting.excluded_random_actions": ()},
}
_NOISE: Mapping[str, Mapping[str, Any]] = {  # of exploitation
    "map": {"acting.epsilon": "linear", "acting.epsilon_min": 0.01},
    "cooking": {"acting.random_suffix_fraction": 0.0, "acting.time_shift_fraction": 0.0},
}


def _without(benchmark: str, preset: str) -> tuple[Setting, ...]:
    """A method without one change, and without all of them."""
    changes: dict[str, Mapping[str, Any]] = {**_EVERYWHERE, "noise": _NOISE[benchmark]}
    if benchmark == "cooking":  # time that is shifted must be seen
        changes["time"] = {**changes["time"], "acting.time_shift_fraction": 0.0}
    changes["all"] = {path: value for each in changes.values() for path, value in each.items()}
    budget = budgets.of(benchmark, preset)
    return tuple(
        Setting(
            "taken_away", benchmark, preset, SEEDS, tuple((budget | dict(fields)).items()), name
        )
        for name, fields in changes.items()
    )


# On these two a method solves what it does not solve in the paper.
TAKEN_AWAY = (*_without("map", "import"), *_without("cooking", "e_rl2"))


def _shown(study: str, presets: tuple[str, ...], path: str, value: bool) -> tuple[Setting, ...]:
    """Methods on the grid worlds with one setting of what exploration shows."""
    return tuple(
        Setting(
            study,
            benchmark,
            preset,
            SEEDS,
            tuple((budgets.of(benchmark, preset) | {path: value}).items()),
        )
        for benchmark in _GRIDS
        for preset in presets
    )


# The authors' code shows the instruction of the exploration episode.
INSTRUCTION_SHOWN = _shown(
    "instruction_shown", WITHOUT_EXPLORATION, "trial.instruction_in_exploration", True
)
# The presets of the baselines see rewards while exploring, as published. DREAM with them is the
# ablation `dream_with_rewards`.
REWARDS_HIDDEN = _shown(
    "rewards_hidden", WITHOUT_EXPLORATION, "trial.rewards_in_exploration", False
)


# About 1M environment steps on the bus worlds, with as many updates for each trial as DREAM's.
_ONE_MILLION_STEPS = 28_160
SAME_COLLECTION = tuple(
    Setting("same_collection", benchmark, preset, SEEDS, (("training.trials", _ONE_MILLION_STEPS),))
    for benchmark in ("map", "distracting_bus")
    for preset in WITHOUT_EXPLORATION
)


def _z_in_updates() -> tuple[Setting, ...]:
    """Section 4.3: exploitation also learns with the z that it acted on, z ~ q.

    TD errors would train every decoder head on every problem, so distracting bus has one head. Its
    partner has one head too, and learns with z ~ F alone.
    """
    both = (("losses.decoder_folds", 1), ("losses.td_reaches_decoder", True))
    study, bus = "z_in_updates", "distracting_bus"
    return (
        *(Setting(study, b, "dream", SEEDS, both[1:], "acted") for b in ("bus", "map", "cooking")),
        Setting(study, bus, "dream", SEEDS, both[:1], "encoder"),
        Setting(study, bus, "dream", SEEDS, both, "acted"),
    )


Z_IN_UPDATES = _z_in_updates()
