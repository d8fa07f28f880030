"""The table and the picture of a sweep."""

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dream_jax.viz.statistics import ci95

NAMES = ("sweep.csv", "sweep.png")
BUSES = ("coloured_buses", "grey_buses")  # of 4 each, ridden in exploration on the bus worlds
Row = dict[str, Any]


def rows(
    points: Sequence[Mapping[str, str]],
    swept: Sequence[str],
    records: Mapping[int, Mapping[str, Any]],
    failures: Mapping[int, str],
    split: str,
) -> list[Row]:
    """One row per point, sorted by the return on `split`; points without one come last.

    Args:
      points: the values of each point, by path.
      swept: the paths.
      records: the results of `job.train_points`, by number of the point.
      failures: the errors of failed jobs, by number of the point.
      split: that points are ranked by (`space.ranking_split`). It is never "test".
    """
    ranked = f"{split}_return"
    found: list[Row] = []
    for number, point in enumerate(points):
        row: Row = {"point": number, **{path: point[path] for path in swept}}
        record = records.get(number)
        if record is None:
            found.append(row | {"status": failures.get(number, "not run")})
            continue
        returns = [x for x in record[ranked] if x is not None]
        row |= {"seeds": len(record[ranked]), "returns": returns}
        if returns:
            row[ranked] = mean(returns)
            interval = ci95(returns)
            if interval is not None:  # of one seed there is none
                row |= {"ci95_low": interval[0], "ci95_high": interval[1]}
        for name in ("train_return", "normalised", *BUSES):
            value = mean(record.get(name, ()))
            if value is not None:
                row[name] = value
        found.append(row | {"status": "done" if record["finite"] else "a loss was not finite"})
    return sorted(found, key=lambda row: -row.get(ranked, -math.inf))


def mean(values: Sequence[float | None]) -> float | None:
    """The mean of those that are known; None if there are none."""
    known = [x for x in values if x is not None and not math.isnan(x)]
    return sum(known) / len(known) if known else None


def leader(records: Mapping[int, Mapping[str, Any]], split: str) -> tuple[float, int] | None:
    """The return and number of the best point, whose losses were all finite; None without one.

    Of equals the first. records: as of `rows`.
    """
    means = {k: mean(record[f"{split}_return"]) for k, record in records.items()}
    good = [(x, -k) for k, x in means.items() if x is not None and records[k]["finite"]]
    if not good:
        return None
    value, negative = max(good)
    return value, -negative


def columns(swept: Sequence[str], found: Sequence[Row], split: str) -> list[str]:
    """The columns of the table."""
    measured = ["seeds", f"{split}_return", "ci95_low", "ci95_high", "normalised"]
    measured += ["train_return"] if split != "train" else []
    measured += [name for name in BUSES if any(name in row for row in found)]
    return ["point", *swept, *measured, "status"]


def table(found: Sequence[Row], swept: Sequence[str], split: str) -> str:
    """The rows as text, in aligned columns."""
    names = columns(swept, found, split)
    cells = [names, *([_text(row.get(name)) for name in names] for row in found)]
    widths = [max(len(line[k]) for line in cells) for k in range(len(names))]
    return "\n".join(
        "  ".join(x.rjust(w) for x, w in zip(line, widths, strict=True)) for line in cells
    )


def write(folder: Path, found: Sequence[Row], swept: Sequence[str], split: str, title: str) -> None:
    """Write sweep.csv, and sweep.png: return over each swept field, one dot per seed."""
    with (folder / NAMES[0]).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns(swept, found, split), extrasaction="ignore")
        writer.writeheader()
        writer.writerows(found)

    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.5 + 3.2 * len(swept), 3.6), dpi=160, layout="constrained")
    panels = figure.subplots(1, len(swept), sharey=True, squeeze=False)[0]
    for panel, path in zip(panels, swept, strict=True):
        numbers = [_number(row[path]) for row in found]
        names = sorted({row[path] for row in found})
        numeric = not any(math.isnan(x) for x in numbers)
        places = numbers if numeric else [float(names.index(row[path])) for row in found]
        for x, row in zip(places, found, strict=True):
            returns = row.get("returns", [])
            panel.plot([x] * len(returns), returns, "o", color="#0072B2", ms=4, alpha=0.6)
            if f"{split}_return" in row:
                panel.plot([x], [row[f"{split}_return"]], "_", color="#222222", ms=14, mew=2)
        if not numeric:
            panel.set_xticks(range(len(names)), names)
        elif min(numbers) > 0 and max(numbers) > 20 * min(numbers):
            panel.set_xscale("log")
        panel.set_xlabel(path, fontsize=9)
        panel.grid(True, color="#e6e6e6", lw=0.8)
        panel.set_axisbelow(True)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel(f"{split} return")
    figure.suptitle(f"{title}: a dot per seed, a bar at the mean", fontsize=11)
    FigureCanvasAgg(figure).print_png(str(folder / NAMES[1]))


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
