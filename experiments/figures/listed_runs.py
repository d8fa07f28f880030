"""A run of the list behind docs/results.md: what it trains, and its command line.

Every listed run trains ONE seed, so that runs fill cores one by one and a finished run is kept
whatever happens to the others. The bandit's runs are short and have many seeds each. studies.py is
the list.
"""

import dataclasses
import sys
from pathlib import Path
from typing import Any, NamedTuple

from dream_jax import config as configs
from dream_jax import presets
from experiments.figures import bandit_config

FIRST_SEED = 100  # no setting was chosen by this seed or a later one, unless studies.py says so
SEEDS = 5
BANDIT = "bandit"


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


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
