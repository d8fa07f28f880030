"""The figures of docs/results.md. Each is plain numbers first, from records, and then a drawing."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from dream_jax.viz import statistics
from experiments.figures import bandit_starts, claims, page_bandit, page_parts, studies
from experiments.figures.groups import group, normalised
from experiments.figures.listed_runs import BANDIT, FIRST_SEED
from experiments.figures.paper import COLOURS
from experiments.figures.records import Records

THRESHOLDS = np.linspace(-0.5, 1.0, 61)
_FAINT, _GRID = "#666666", "#e6e6e6"


class Figure(NamedTuple):
    """How a figure is made."""

    shown: Callable[[Records], list[Any] | None]  # its numbers, as JSON holds them; None: none yet
    draw: Callable[[list[Any]], Any]  # from these numbers to a matplotlib figure


def _curves(known: Records) -> list[Any] | None:
    """[benchmark, preset, ended, [[steps, normalised test return], ...]] of every seed."""
    found = []
    for benchmark in page_parts.TEST:
        for name in COLOURS:
            setting = studies.find("comparison", f"{benchmark}-{name}")
            for record in group(setting, setting.runs(), known).found:
                line = [
                    [row["env_steps"], normalised(record, "test", row["test_return"])]
                    for row in record.rows
                    if row["test_return"] is not None
                ]
                if line and all(value is not None for _, value in line):
                    points = [[x, round(y, 4)] for x, y in line]
                    found.append([benchmark, name, record.finished, points])
    return found or None


def _draw_curves(shown: list[Any]) -> Any:
    from matplotlib.lines import Line2D

    figure = _figure((12, 3.9))
    benchmarks = list(dict.fromkeys(benchmark for benchmark, *_ in shown))
    for axes, benchmark in zip(
        figure.subplots(1, len(benchmarks), squeeze=False)[0], benchmarks, strict=True
    ):
        for _, name, ended, line in (row for row in shown if row[0] == benchmark):
            steps, values = np.array(line).T
            axes.plot(steps / 1e6, values, color=COLOURS[name], lw=0.9, alpha=0.8)
            if not ended:  # marked at the border where the return is below it
                end = steps[-1:] / 1e6, np.maximum(values[-1:], -1)
                axes.plot(*end, "x", color=COLOURS[name], ms=5, clip_on=False)
        axes.axhline(1, color=_FAINT, lw=0.8)
        axes.axhline(0, color=_FAINT, lw=0.8, ls=":")
        axes.set_ylim(-1, 1.1)
        axes.set_title(f"{benchmark}, test", fontsize=9, loc="left")
        axes.set_xlabel("environment steps, millions")
        _plain(axes)
    names = list(dict.fromkeys(name for _, name, *_ in shown))
    handles = [Line2D([], [], color=COLOURS[name]) for name in names]
    if not all(ended for _, _, ended, _ in shown):
        handles.append(Line2D([], [], color=_FAINT, marker="x", ls=""))
        names.append("stopped there")
    figure.legend(handles, names, loc="outside lower center", ncols=6, frameon=False, fontsize=8)
    figure.axes[0].set_ylabel("normalised return")
    return figure


def _profiles(known: Records) -> list[Any] | None:
    """[preset, number of runs, shares of runs at each threshold]."""
    found = []
    for name in COLOURS:
        strata = page_parts.strata(name, page_parts.TEST, known)
        if strata:
            values = [value for each in strata.values() for value in each]
            shares = statistics.performance_profile(values, THRESHOLDS)
            found.append([name, len(values), [round(float(x), 4) for x in shares]])
    return found or None


def _draw_profiles(shown: list[Any]) -> Any:
    figure = _figure((5.6, 3.6))
    axes = figure.subplots()
    for name, runs, shares in shown:
        axes.plot(THRESHOLDS, shares, color=COLOURS[name], label=f"{name}, {runs} runs")
    axes.axvline(claims.REACHED, color=_FAINT, lw=0.8, ls=":")
    axes.set_xlabel("normalised test return at the end")
    axes.set_ylabel("share of runs with at least this")
    axes.legend(frameon=False, fontsize=8)
    _plain(axes)
    return figure


def _exponents(known: Records) -> list[Any] | None:
    """[method, step size, starts, exponent, low, high] of every start whose seeds all settled."""
    record = known.get(f"{BANDIT}/bandit-starts-s{FIRST_SEED}")
    if record is None:
        return None
    rows = bandit_starts.fits(page_bandit.starts_of(record))
    return [
        [
            row["method"],
            row["step_size"],
            f"{row['exploration']}, {row['exploitation']}",
            *(round(x, 4) for x in (row["exponent"], *row["ci95"])),
        ]
        for row in rows
        if None not in row["mean_trials"].values()
        and not (row["method"] == "dream" and row["exploitation"] != "neutral")
    ]


def _draw_exponents(shown: list[Any]) -> Any:
    figure = _figure((9, 3.9))
    colours = {"rl2": "#D55E00", "dream": "#0072B2"}
    steps = sorted({row[1] for row in shown})
    for axes, step in zip(
        figure.subplots(1, len(steps), squeeze=False, sharex=True)[0], steps, strict=True
    ):
        rows = [row for row in shown if row[1] == step]
        for k, (method, _, _, value, low, high) in enumerate(rows):
            spread = [[max(0.0, value - low)], [max(0.0, high - value)]]
            axes.errorbar(
                [value], [k], xerr=spread, fmt="o", color=colours[method], ms=5, capsize=2
            )
        names = [
            f"{m}: {starts if m == 'rl2' else starts.split(',')[0]}" for m, _, starts, *_ in rows
        ]
        axes.set_yticks(range(len(rows)), names, fontsize=7)
        for exponent in (1, 2):
            axes.axvline(exponent, color=_FAINT, lw=0.8, ls=":")
        axes.set_xlabel("exponent of A, 95% interval")
        name = f"constant steps of {step:g}" if step else "sample averages"
        axes.set_title(name, fontsize=9, loc="left")
        _plain(axes)
    return figure


def _figure(size: tuple[float, float]) -> Any:
    from matplotlib.figure import Figure as Drawing  # slow to import

    return Drawing(figsize=size, dpi=110, layout="constrained")


def _plain(axes: Any) -> None:
    axes.grid(True, color=_GRID, lw=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelsize=8, colors=_FAINT)
    axes.spines[["top", "right", "left"]].set_visible(False)


COMPARISON = Figure(_curves, _draw_curves)
PROFILE = Figure(_profiles, _draw_profiles)
BANDIT_STARTS = Figure(_exponents, _draw_exponents)
