"""The tables of the bandit on docs/results.md."""

from collections.abc import Mapping
from typing import Any

from experiments.figures import bandit_runs, bandit_tables
from experiments.figures import bandit_starts as starts
from experiments.figures.listed_runs import BANDIT, FIRST_SEED
from experiments.figures.page_parts import NONE, command_of, table
from experiments.figures.records import Record, Records


def bandit(known: Records) -> str:
    """Trials until exploration is optimal, both tables from 0."""
    record = known.get(f"{BANDIT}/bandit-paper-s{FIRST_SEED}")
    if record is None:
        return NONE
    fitted = fits_of(record)
    law = {fit["method"]: fit for fit in fitted["exponents"] if fit["law"] == "A^x, H=1"}
    sizes = sorted({row["actions"] for row in fitted["complexity"] if row["horizon"] == 1})
    sizes = [a for a in sizes if a in record.config().action_counts]
    rows = []
    for method, fit in law.items():
        mine = {
            r["actions"]: r
            for r in fitted["complexity"]
            if r["method"] == method and r["horizon"] == 1
        }
        cells = [_trials(mine[a]["mean_trials"], mine[a]["median_trials"]) for a in sizes]
        rows.append((method, *cells, _exponent(fit)))
    seeds = len(record.about["seeds"])
    head = table(("A", *map(str, sizes), "exponent of A (95% interval)"), rows)
    return f"{head}\n\nMean (median) of {seeds} seeds. `{command_of(record)}`"


def bandit_starts(known: Records) -> str:
    """Every pairing of first values."""
    record = known.get(f"{BANDIT}/bandit-starts-s{FIRST_SEED}")
    if record is None:
        return NONE
    rows = []
    fitted = starts.fits(starts_of(record))
    sizes = sorted({a for row in fitted for a in row["mean_trials"]})
    for row in fitted:
        if row["method"] == "dream" and row["exploitation"] != "neutral":
            continue  # its exploration does not depend on Q_task
        cells = [_settled(row, a, len(record.about["seeds"])) for a in sizes]
        second = row["exploitation"] if row["method"] == "rl2" else "any"
        step = f"{row['step_size']:g}" if row["step_size"] else "average"
        rows.append((row["method"], step, row["exploration"], second, *cells, _exponent(row)))
    head = ("", "step", "Q_exp starts", "Q_task starts", *(f"A = {a}" for a in sizes))
    text = table((*head, "exponent of A (95% interval)"), rows)
    return f"{text}\n\nMean of {len(record.about['seeds'])} seeds. `{command_of(record)}`"


def fits_of(record: Record) -> dict[str, Any]:
    """`complexity` and `exponents` of a bandit's record."""
    seeds = list(record.about["seeds"])
    return bandit_runs.fits(record.config(), bandit_tables.of_rows(record.rows, seeds))


def starts_of(record: Record) -> starts.Measured:
    return starts.of_rows(record.rows)[0]


def _trials(mean: float | None, median: float | None) -> str:
    return "not all settled" if mean is None or median is None else f"{mean:,.0f} ({median:,.0f})"


def _settled(row: Mapping[str, Any], actions: int, seeds: int) -> str:
    mean = row["mean_trials"][actions]
    return (
        f"{mean:,.0f}" if mean is not None else f"{row['seeds_settled'][actions]} of {seeds} settle"
    )


def _exponent(fit: Mapping[str, Any]) -> str:
    if fit["exponent"] is None:
        return "too few settled"
    return "{:.2f} ({:.2f} to {:.2f})".format(fit["exponent"], *fit["ci95"])
