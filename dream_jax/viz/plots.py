"""Learning curves."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, which people with any colour vision can distinguish.
_SERIES = (
    ("train_return_encoder", "train, z from the problem id", "#999999"),
    ("train_return", "train", "#0072B2"),
    ("validation_return", "validation (set apart from training)", "#009E73"),
    ("test_return", "test (held-out problems)", "#D55E00"),
)
# Name, label, where its label stands. The last two are trained, so they are dotted.
_BOUNDS = (
    ("optimal", "optimal", "bottom"),
    ("no_exploration", "no exploration", "top"),
    ("told", "told the problem", "top"),
    ("never_explores", "never explores", "top"),
)
_LABEL_POINTS = -24  # from a label down to the next
_DASHES = {"told": (0, (1, 2)), "never_explores": (0, (1, 2))}
_INK, _FAINT, _GRID = "#222222", "#666666", "#e6e6e6"


def curves(
    file: str | Path | IO[bytes],
    rows: Sequence[Mapping[str, Any]],
    bounds: Mapping[str, Mapping[str, float]],
    title: str,
) -> None:
    """Draw returns over wall-clock time (left) and environment steps (right), as a PNG.

    Each seed has a thin line, and their mean a thick one. Dashed lines show the optimal return and
    the best return without exploration on the test split, dotted ones the trained lines.

    Args:
      file: the path of the PNG, or a file to write it to.
      rows: of metrics.jsonl. A missing or null value leaves a gap.
      bounds: {"test": {"optimal": ..., "no_exploration": ..., "told": ...}}. Other splits are not
        drawn.
      title: above the picture.
    """
    # Imported here because it is slow.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if not rows:
        raise ValueError("no rows to draw: the run has not been evaluated yet")
    figure = Figure(figsize=(10, 4.4), dpi=160, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, sharey=True)
    seconds, unit = _time_unit(max(_number(row, "wall_s") for row in rows))
    test_bounds = bounds.get("test", {})
    _panel(left, rows, "wall_s", seconds, test_bounds)
    _panel(right, rows, "env_steps", 1.0, test_bounds)
    _name_bounds(right, test_bounds)
    left.set_xlabel(f"wall-clock time ({unit})")
    right.set_xlabel("environment steps")
    right.xaxis.set_major_formatter(lambda x, _: _short(x))
    left.set_ylabel("average return")
    seeds = len({row["seed"] for row in rows})
    subtitle = f"{seeds} seeds: thin lines; their mean: thick" if seeds > 1 else "1 seed"
    figure.suptitle(f"{title}\n", fontsize=13, color=_INK, x=0.02, ha="left")
    figure.text(0.02, 0.925, subtitle, fontsize=9, color=_FAINT, va="top")
    _legend(figure, left)
    canvas.print_png(str(file) if isinstance(file, Path) else file)


def _panel(
    axes: "Axes",
    rows: Sequence[Mapping[str, Any]],
    x_name: str,
    per_unit: float,
    bounds: Mapping[str, float],
) -> None:
    seeds = sorted({row["seed"] for row in rows})
    for name, label, colour in _SERIES:
        lines = [
            np.array(
                [(_number(r, x_name) / per_unit, _number(r, name)) for r in rows if r["seed"] == s]
            )
            for s in seeds
        ]
        if all(np.isnan(line[:, 1]).all() for line in lines):
            continue
        marker = "o" if max(map(len, lines)) == 1 else ""
        if len(lines) > 1:
            for x, y in (line.T for line in lines):
                axes.plot(x, y, color=colour, lw=0.8, alpha=0.4, marker=marker, ms=3)
        # The mean ends with the seed that has the fewest evaluations.
        common = min(map(len, lines))
        x, y = np.mean([line[:common] for line in lines], axis=0).T
        axes.plot(x, y, color=colour, lw=2.2, marker=marker, label=label, solid_capstyle="round")
    for name, _, _ in _BOUNDS:
        if name in bounds:
            dashes = _DASHES.get(name, (0, (5, 3)))
            axes.axhline(bounds[name], color=_FAINT, lw=1, ls=dashes, zorder=1)
    axes.set_xlim(left=0)
    axes.margins(y=0.1)
    axes.grid(True, color=_GRID, lw=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelsize=9, colors=_FAINT, labelleft=True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(_FAINT)


def _name_bounds(axes: "Axes", bounds: Mapping[str, float]) -> None:
    """Label the bounds right of the panel: one above its line, one below, so that both fit.

    A trained line is close below the exact one. Its label goes below that one's.
    """
    for name, label, where in _BOUNDS:
        if name in bounds:
            second = name == "never_explores" and "no_exploration" in bounds
            axes.annotate(
                f"{label}\n(test) {bounds[name]:.3g}",
                (1.01, bounds[name]),
                xycoords=("axes fraction", "data"),
                xytext=(0, _LABEL_POINTS if second else 0),
                textcoords="offset points",
                ha="left",
                va=where,
                fontsize=8,
                color=_FAINT,
            )


def _legend(figure: "Figure", axes: "Axes") -> None:
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        figure.legend(
            handles[::-1],
            labels[::-1],
            loc="outside lower center",
            ncols=len(handles),
            frameon=False,
            fontsize=9,
        )


def _number(row: Mapping[str, Any], name: str) -> float:
    value = row.get(name)
    return float("nan") if value is None else float(value)


def _time_unit(seconds: float) -> tuple[float, str]:
    if seconds < 180:
        return 1.0, "s"
    return (60.0, "min") if seconds < 3 * 3600 else (3600.0, "h")


def _short(x: float) -> str:
    """12500 -> '12.5k', 3000000 -> '3M'."""
    for factor, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(x) >= factor:
            return f"{x / factor:g}{letter}"
    return f"{x:g}"
