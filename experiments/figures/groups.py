"""The records of one setting, seed by seed: final returns, and returns at a number of steps."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from dream_jax.oracles.bounds import Bounds
from dream_jax.runs import summary as summaries
from experiments.figures import records
from experiments.figures.listed_runs import Listed, Setting
from experiments.figures.records import Record, Records

# Environment steps at which the curves of the paper's Figure 6 end, on the bus worlds. For cooking
# it is about what the authors' code needs.
PAPER_STEPS = {"map": 1_000_000, "distracting_bus": 1_000_000, "cooking": 1_000_000}


class Group(NamedTuple):
    """The records of a setting that are of today's settings."""

    setting: Setting
    found: Sequence[Record]  # in the order of their seeds
    wanted: int  # how many there should be

    @property
    def command(self) -> str:
        """What makes, or makes again, all of these records."""
        return f"python -m experiments.results --run='{self.setting.study}/{self.setting.name}-s*'"

    @property
    def finished(self) -> list[Record]:
        return [record for record in self.found if record.finished]

    @property
    def failed(self) -> int:
        """Seeds whose training failed, for example by a loss that was not finite."""
        return sum(record.failed for record in self.found)

    def returns(self, split: str, steps: int | None = None) -> list[float]:
        """Return of each seed at the end of its run, or within a number of environment steps.

        A seed that was stopped has no return at its end. Within a number of steps, a run that ended
        before counts with its final return, and one that is still short of them does not count.
        """
        values = [_return(record, split, steps) for record in self.found]
        return [value for value in values if value is not None]

    def normalised(self, split: str, steps: int | None = None) -> list[float]:
        """The same, where 0 is no exploration and 1 optimal; [] where these are not known."""
        found = []
        for record in self.found:
            value = _return(record, split, steps)
            share = None if value is None else normalised(record, split, value)
            if share is not None:
                found.append(share)
        return found

    def each(self, name: str) -> list[Any]:
        """A field of the JSON of each finished record, lists of one seed taken apart."""
        values = [record.about[name] for record in self.finished]
        return [value[0] if isinstance(value, list) else value for value in values]


Groups = Mapping[tuple[str, str], Group]  # by benchmark and preset


def group(setting: Setting, runs: Sequence[Listed], known: Records, checked: bool = False) -> Group:
    """The records of some runs of a setting.

    Args:
      setting: whose runs.
      runs: which.
      known: records, of which those with other settings are left out.
      checked: the settings have been compared already.
    """
    found = [known.get(run.path) if checked else records.of_today(known, run) for run in runs]
    return Group(setting, [each for each in found if each is not None], len(runs))


def groups(
    wanted: Sequence[Setting], first_seed: int, known: Records
) -> dict[tuple[str, str], Group]:
    """One group per setting, by benchmark and preset."""
    return {(s.benchmark, s.preset): group(s, s.runs(first_seed), known) for s in wanted}


def normalised(record: Record, split: str, value: float) -> float | None:
    """A return between 0, no exploration, and 1, optimal; None where these are not known."""
    part = record.about["splits"][split]
    if part["optimal"] is None or part["no_exploration"] is None:
        return None
    floor = part.get("no_reading")  # of sign alone
    bounds = Bounds(part["optimal"], part["no_exploration"], floor)
    return summaries.normalised(value, bounds)


def at_most(steps: int | None) -> str:
    """A budget as text."""
    return "end of training" if steps is None else f"{steps / 1e6:g}M environment steps"


def _return(record: Record, split: str, steps: int | None) -> float | None:
    if steps is None or (record.finished and record.about["env_steps"] <= steps):
        return float(record.about["splits"][split]["return_mean"]) if record.finished else None
    within = [row for row in record.rows if row["env_steps"] <= steps]
    if not within or record.rows[-1]["env_steps"] < steps:
        return None
    value = within[-1][f"{split}_return"]
    return None if value is None else float(value)
