"""The runs behind docs/results.md and `experiments.reproduce`, with their settings and seeds.

A study answers one question. It lists settings, and each setting has seeds, one in each run. Seeds
begin at 100: no setting was ever chosen by them. The studies "validation" and "validation_methods",
of what was tried while choosing, have others, and so has a setting that was chosen after a look at
seed 100.

To add a run behind a figure, add its setting here.
"""

import dataclasses
import fnmatch
import random
from collections.abc import Iterable, Mapping, Sequence

from dream_jax import config as configs
from dream_jax.config import ConfigError
from experiments.figures import budgets, tried, variations
from experiments.figures.listed_runs import BANDIT, FIRST_SEED, SEEDS, Listed, Setting
from experiments.figures.paper import LINE_STYLES, ONE_HEAD, PRESETS

SIGN_SEEDS = {"dream": 5}  # of methods on sign, where a run takes an hour and more; others have 3
KITCHENS = tuple(sorted(random.Random(FIRST_SEED).sample(range(64), 8)))  # held out in turn


def _methods(study: str, benchmark: str, names: Iterable[str]) -> list[Setting]:
    """Settings of presets on a benchmark; what is computed needs one seed."""
    found = []
    for name in names:
        seeds = 1 if name in LINE_STYLES else SEEDS
        if benchmark == "sign" and name not in LINE_STYLES:
            seeds = SIGN_SEEDS.get(name, 3)
        longer = tuple(budgets.of(benchmark, name).items())
        found.append(Setting(study, benchmark, name, seeds, longer))
    return found


def _pearl_ub() -> tuple[Setting, ...]:
    return (
        *(
            Setting("pearl_ub", b, "pearl_ub", 1, (("pearl_ub.exploitation", "sample"),), "sample")
            for b in ("bus", "map", "cooking", "sign")
        ),
        *(
            Setting("pearl_ub", "cooking", "pearl_ub", 1, (("pearl_ub.ties", ties),), ties)
            for ties in ("first", "last")
        ),
    )


def _families() -> tuple[Setting, ...]:
    """Families of other kinds than the paper's, and several exploitations after an exploration."""
    kinds = ("cooking_sentences", "cooking_pictures", "sign_words")
    five = (("trial.exploitation_episodes", 5),)
    return (
        # The number of trials was chosen after seeds 100 and 101 had been seen.
        Setting("families", "cooking_large", "dream", 3, first_seed=105),
        *(Setting("families", kind, "dream", 3) for kind in kinds),
        # The number of trials was chosen after seed 100 had been seen.
        Setting("families", "bus_tasks", "dream", 3, first_seed=101),
        Setting("families", "map", "dream", 3, five, "five"),
        # Scored from the get-go: exploration is the first of the episodes that count.
        Setting("families", "map", "rl2", 3, (*budgets.of("map", "rl2").items(), *five), "five"),
    )


def _studies() -> dict[str, tuple[Setting, ...]]:
    buses, all_four = ("map", "distracting_bus"), ("map", "distracting_bus", "cooking", "sign")
    ablations = (
        "dream_with_rewards",
        "dream_dynamics",
        "dream_next_states",
        "dream_half_coupled",
        "dream_end_to_end",
        "random_exploration",
    )
    return {
        "comparison": (
            *(
                each
                for benchmark in all_four
                for each in _methods("comparison", benchmark, PRESETS)
            ),
            *_methods("comparison", "bus", (*LINE_STYLES, "dream")),
        ),
        "more_methods": tuple(
            each
            for benchmark in (*buses, "cooking")
            for each in _methods("more_methods", benchmark, ("rl2", "pearl"))
        ),
        "pearl_ub": _pearl_ub(),
        "kitchens": tuple(
            Setting(
                "kitchens", "cooking", "dream", SEEDS, (("env.held_out", (k,)),), f"held{k:02d}"
            )
            for k in KITCHENS
        ),
        "ablations": (
            *(
                each
                for benchmark in (*buses, "cooking")
                for each in _methods("ablations", benchmark, ablations)
            ),
            *_methods("ablations", "sign", ("random_exploration",)),
        ),
        # The paper's claim about the bottleneck, with the paper's decoder.
        "bottleneck": tuple(
            Setting("bottleneck", "distracting_bus", name, SEEDS) for name in ONE_HEAD
        ),
        "same_collection": variations.SAME_COLLECTION,
        "z_in_updates": variations.Z_IN_UPDATES,
        "taken_away": variations.TAKEN_AWAY,
        "instruction_shown": variations.INSTRUCTION_SHOWN,
        "rewards_hidden": variations.REWARDS_HIDDEN,
        "validation": tried.COLLECTION,
        "validation_methods": tried.METHODS,
        "paper_settings": tuple(
            Setting("paper_settings", benchmark, "dream_paper", 3)
            for benchmark in (*buses, "cooking")
        ),
        "families": _families(),
        BANDIT: (
            Setting(BANDIT, BANDIT, "paper", 30, seeds_per_run=30),
            Setting(BANDIT, BANDIT, "starts", 20, seeds_per_run=20),
        ),
    }


STUDIES: Mapping[str, tuple[Setting, ...]] = _studies()


def settings() -> list[Setting]:
    """Of all studies."""
    return [each for study in STUDIES.values() for each in study]


def find(study: str, name: str) -> Setting:
    """The setting of this name in a study."""
    return next(each for each in STUDIES[study] if each.name == name)


def matching(pattern: str) -> list[Listed]:
    """The listed runs whose STUDY/NAME fits a pattern. Raises ConfigError if none does."""
    runs = [run for setting in settings() for run in setting.runs()]
    found = [run for run in runs if fnmatch.fnmatchcase(run.path, pattern)]
    if not found:
        near = configs.nearest(pattern, [run.path for run in runs])
        raise ConfigError(f"no run in the list fits {pattern!r}; {near}; all: '*'")
    return found


def of_figure(figure_panels: Sequence[tuple[str, str]], budget: str) -> list[Setting]:
    """The settings behind a figure of the paper.

    Args:
      figure_panels: (benchmark, split) of each panel; none for the bandit's figure.
      budget: "full", or "quick": one seed each, DREAM alone on sign, and no more trials for any
        method than for DREAM. The bandit then has 10 seeds and fewer sizes.
    """
    if not figure_panels:
        if budget == "full":
            return [find(BANDIT, "bandit-paper")]
        fewer = (("action_counts", (4, 8, 16)), ("max_trials", 65_536))
        return [Setting(BANDIT, BANDIT, "paper", 10, fewer, "quick", seeds_per_run=10)]
    benchmarks = dict.fromkeys(benchmark for benchmark, _ in figure_panels)
    every = (*STUDIES["comparison"], *STUDIES["bottleneck"])
    full = [s for s in every if s.benchmark in benchmarks]
    if budget == "full":
        return full
    kept = [s for s in full if s.benchmark != "sign" or s.preset in (*LINE_STYLES, "dream")]
    return [
        dataclasses.replace(s, seeds=1, overrides=(), variant="quick" if s.overrides else "")
        for s in kept
    ]
