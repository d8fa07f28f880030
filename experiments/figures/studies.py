"""The runs behind docs/results.md and `experiments.reproduce`, with their settings and seeds.

A study answers one question. It lists settings, and each setting has seeds. Every run trains ONE
seed, so that runs fill cores one by one and a finished run is kept whatever happens to the others.
Seeds begin at 100: no setting was ever chosen by them. Only the study "validation", of what was
tried while choosing, has others. The bandit's runs are short and have many seeds each.

To add a run behind a figure, add its setting here.
"""

import dataclasses
import fnmatch
import random
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from dream_jax import config as configs
from dream_jax import presets
from dream_jax.config import ConfigError
from experiments.figures import bandit_config
from experiments.figures.paper import LINE_STYLES, PRESETS, WITHOUT_EXPLORATION

FIRST_SEED = 100
SEEDS = 5
SIGN_SEEDS = {"dream": 5}  # of methods on sign, where a run takes an hour and more; others have 3
BANDIT = "bandit"

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
# The paper's decoder has one head, and its encoder starts at the usual scale. Weight decay on the
# encoder would be a bottleneck by another name.
PAPER_DECODER = {
    "losses.decoder_folds": 1,
    "networks.encoder_init_scale": 1.0,
    "optimizer.decay_encoder": False,
}
# A tenth of the training problems; none where a benchmark tests on its training problems.
VALIDATION_PROBLEMS = {"bus": 0, "map": 0, "distracting_bus": 6, "cooking": 7}
_LARGE_REPLAY = {"bus": 16_384, "map": 16_384, "distracting_bus": 16_384, "cooking": 32_768}
KITCHENS = tuple(sorted(random.Random(FIRST_SEED).sample(range(64), 8)))  # held out in turn


@dataclasses.dataclass(frozen=True)
class Setting:
    """A preset on a benchmark, with overrides, and how many seeds it is run with."""

    study: str
    benchmark: str
    preset: str
    seeds: int = SEEDS
    overrides: tuple[tuple[str, Any], ...] = ()  # (path, value)
    variant: str = ""  # tells settings of the same preset apart
    seeds_per_run: int = 1
    first_seed: int = FIRST_SEED

    @property
    def name(self) -> str:
        """Unique within the study."""
        return "-".join(part for part in (self.benchmark, self.preset, self.variant) if part)

    def config(self) -> Any:
        """The resolved settings: a `Config`, or a `BanditConfig`. Not checked."""
        if self.benchmark == BANDIT:
            base: Any = bandit_config.PRESETS[self.preset]
        else:
            base = presets.get(self.benchmark, self.preset)
        return configs.override(base, dict(self.overrides))

    def runs(self, first_seed: int | None = None) -> "list[Listed]":
        """Its runs, in the order of their seeds. `first_seed` replaces the setting's own."""
        first = self.first_seed if first_seed is None else first_seed
        count = self.seeds // self.seeds_per_run
        return [Listed(self, first + k * self.seeds_per_run) for k in range(count)]


class Listed(NamedTuple):
    """A run of a setting."""

    setting: Setting
    first_seed: int

    @property
    def name(self) -> str:
        """Unique within the study."""
        return f"{self.setting.name}-s{self.first_seed}"

    @property
    def path(self) -> str:
        """STUDY/NAME, which patterns are compared with."""
        return f"{self.setting.study}/{self.name}"

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(range(self.first_seed, self.first_seed + self.setting.seeds_per_run))

    def arguments(self, out: Path) -> list[str]:
        """The command line after `python -m`. It resumes; it also starts a run that is new."""
        setting = self.setting
        fields = [f"--config.{path}={_text(value)}" for path, value in setting.overrides]
        return [
            f"experiments.{setting.benchmark}",
            f"--config={setting.preset}",
            *fields,
            f"--seeds={setting.seeds_per_run}",
            f"--first_seed={self.first_seed}",
            f"--out={out / setting.study / self.name}",
            "--resume",
        ]

    def command(self, out: Path) -> list[str]:
        """The same as a process of this interpreter."""
        return [sys.executable, "-m", *self.arguments(out)]


def _methods(study: str, benchmark: str, names: Iterable[str]) -> list[Setting]:
    """Settings of presets on a benchmark; what is computed needs one seed."""
    found = []
    for name in names:
        seeds = 1 if name in LINE_STYLES else SEEDS
        if benchmark == "sign" and name not in LINE_STYLES:
            seeds = SIGN_SEEDS.get(name, 3)
        whole_trial = name in (*WITHOUT_EXPLORATION, "rl2", "pearl") and benchmark in LONGER
        longer = tuple(LONGER[benchmark].items()) if whole_trial else ()
        found.append(Setting(study, benchmark, name, seeds, longer))
    return found


def _tried(
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


def _validation() -> tuple[Setting, ...]:
    """What was tried while settings were chosen. Seeds below 100, and never the test split."""
    return (
        _tried("map", 32, 12_800, 20, seeds=2, capacity=4_096),
        _tried("bus", 32, 12_800, 20, capacity=4_096),
        _tried("distracting_bus", 32, 24_320, 20),
        _tried("distracting_bus", 32, 20_480, 21, capacity=3_072),
        _tried("distracting_bus", 32, 20_480, 20, seeds=2, capacity=6_144),
        _tried("distracting_bus", 64, 30_720, 20),
        _tried("cooking", 128, 138_240, 20),
        _tried("cooking", 128, 138_240, 20, seeds=2, capacity=8_192),
    )


def _families() -> tuple[Setting, ...]:
    """Families of other kinds than the paper's, and several exploitations after an exploration."""
    kinds = ("cooking_large", "cooking_sentences", "cooking_pictures", "bus_tasks")
    five = (("trial.exploitation_episodes", 5),)
    return (
        *(Setting("families", kind, "dream", 3) for kind in kinds),
        Setting("families", "map", "dream", 3, five, "five"),
    )


def _studies() -> dict[str, tuple[Setting, ...]]:
    buses, all_four = ("map", "distracting_bus"), ("map", "distracting_bus", "cooking", "sign")
    ablations = (
        "dream_with_rewards",
        "dream_dynamics",
        "dream_half_coupled",
        "dream_end_to_end",
        "random_exploration",
    )
    head = tuple(PAPER_DECODER.items())
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
        "bottleneck": tuple(
            Setting("bottleneck", "distracting_bus", name, SEEDS, head, "one_head")
            for name in ("dream", "dream_no_bottleneck")
        ),
        "validation": _validation(),
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
    full = [s for s in STUDIES["comparison"] if s.benchmark in benchmarks]
    if budget == "full":
        return full
    kept = [s for s in full if s.benchmark != "sign" or s.preset in (*LINE_STYLES, "dream")]
    return [
        dataclasses.replace(s, seeds=1, overrides=(), variant="quick" if s.overrides else "")
        for s in kept
    ]


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
