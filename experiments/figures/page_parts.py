"""Small parts of the tables of docs/results.md."""

from collections.abc import Callable, Sequence
from typing import Any

from dream_jax.viz import statistics
from experiments.figures import claims, studies
from experiments.figures.groups import Group, group
from experiments.figures.listed_runs import Setting
from experiments.figures.records import Record, Records

NONE = "no record yet"
TEST = ("map", "distracting_bus", "cooking", "sign")  # benchmarks, each on its test split


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def command_of(record: Record) -> str:
    return f"python -m experiments.results --run='{record.path}'"


def group_of(setting: Setting, known: Records) -> Group:
    return group(setting, setting.runs(), known)


def strata(name: str, benchmarks: Sequence[str], known: Records) -> dict[str, list[float]]:
    """The normalised test returns of a preset by benchmark, where there are any."""
    every = {b: group_of(studies.find("comparison", f"{b}-{name}"), known) for b in benchmarks}
    found = {b: each.normalised("test") for b, each in every.items()}
    return {b: values for b, values in found.items() if values}


def by_benchmark(wanted: Sequence[Setting], known: Records) -> str:
    rows = []
    for setting in wanted:
        each = group_of(setting, known)
        steps = listed(each.each("env_steps"), lambda x: f"{x / 1e6:.1f}M")
        cells = (seeds_of(each), final(each, "train"), final(each, "test"), steps)
        episodes = setting.config().trial.exploitation_episodes
        name = setting.preset + (f", {episodes} exploitation episodes" if episodes > 1 else "")
        rows.append((setting.benchmark, name, *cells))
    return table(("", "", "seeds", "train", "test", "environment steps"), rows)


def final(each: Group, split: str) -> str:
    """The normalised returns of the seeds at the end, and the interval of their mean."""
    values = each.normalised(split)
    if not values:
        return NONE
    interval = statistics.ci95(values)
    return claims.numbers(values) + (f" ({between(interval)})" if interval else "")


def seeds_of(each: Group) -> str:
    stopped = len(each.found) - len(each.finished) - each.failed
    counts = {"stopped": stopped, "failed": each.failed}
    notes = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    return f"{len(each.finished)} of {each.wanted}" + (f" ({notes})" if notes else "")


def return_of(record: Record, split: str) -> str:
    value = record.about["splits"][split]["return_mean"]
    return "not known" if value is None else f"{value:.4f}"


def listed(values: Sequence[Any], text: Callable[[Any], str]) -> str:
    return ", ".join("never" if value is None else text(value) for value in values) or NONE


def millions(steps: float) -> str:
    return f"{steps / 1e6:.2f}M"


def reached(each: Group, field: str, text: Callable[[Any], str]) -> list[str]:
    """When each seed was at 0.95 for good, as text.

    field: `env_steps_to_95` or another one of these. A seed that is there at its end, but was not
    at the evaluations before, is "at the end"; one that is not there is "never".
    """
    found = []
    for record, value in zip(each.finished, each.each(field), strict=True):
        one = Group(each.setting, [record], 1)
        final_returns = [*one.normalised("train"), *one.normalised("test")]
        missed = "at the end" if min(final_returns, default=0.0) >= claims.REACHED else "never"
        found.append(missed if value is None else text(value))
    return found


def between(interval: tuple[float, float] | None) -> str:
    return "one seed" if interval is None else f"{interval[0] + 0.0:.2f} to {interval[1] + 0.0:.2f}"
