"""Draws Figure 3 of the paper, and the sample complexity for more actions and steps."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dream_jax.viz.statistics import ci95

# Okabe and Ito's colours, as in dream_jax.viz.plots.
_COLOURS = {"rl2": "#D55E00", "dream": "#0072B2"}
_NAMES = {"rl2": "RL2", "dream": "DREAM"}
_INK, _FAINT, _GRID = "#222222", "#666666", "#e6e6e6"


def complexity(
    path: Path, config: Any, measured: Mapping[Any, np.ndarray], summary: Mapping[str, Any]
) -> None:
    """Draw trials until exploration is optimal against A (left, H = 1) and H (right).

    Error bars are 95% intervals. Writes `path` as PNG and as SVG.

    Args:
      path: of either file.
      config: a `BanditConfig`.
      measured: trials by `Setting`, [seeds].
      summary: the contents of summary.json.
    """
    figure = _figure((9, 3.9))
    left, right = figure.subplots(1, 2)
    exponents = {
        (fit["method"], fit["law"]): fit["exponent"] for fit in summary["exponents"] if fit
    }
    for method, colour in _COLOURS.items():
        exponent = exponents[method, "A^x, H=1"]
        label = _NAMES[method] + ("" if exponent is None else f", exponent {exponent:.2f}")
        settings = [s for s in measured if s.method == method]
        across = sorted(s for s in settings if s.horizon == 1 and s.actions in config.action_counts)
        _line(left, [s.actions for s in across], [measured[s] for s in across], colour, label)
        for i, actions in enumerate(sorted(config.horizon_action_counts)):
            across = sorted(s for s in settings if s.actions == actions)
            across = [s for s in across if s.horizon in config.horizons]
            label = f"{_NAMES[method]}, A = {actions}"
            values = [measured[s] for s in across]
            _line(right, [s.horizon for s in across], values, colour, label, "os^Dv"[i % 5])
    left.set_xscale("log", base=2)
    left.set_xticks(config.action_counts, [str(a) for a in config.action_counts])
    left.set_xlabel("actions A")
    left.set_ylabel("trials until exploration is optimal")
    right.set_xticks(sorted(config.horizons))
    right.set_xlabel("exploration steps H")
    for axes in (left, right):
        axes.set_yscale("log")
        axes.legend(frameon=False, fontsize=8)
    seeds = len(summary["seeds"])
    _title(figure, "Sample complexity", f"mean of {seeds} seeds, 95% intervals; {_terms(config)}")
    _save(figure, path)


def curves(path: Path, config: Any, measured: Mapping[str, Any]) -> None:
    """Draw Q-values of exploration actions, exploitation Q-values and returns against trials.

    Writes `path` as PNG and as SVG.

    Args:
      path: of either file.
      config: a `BanditConfig`.
      measured: the curves of each method, leaves [records, seeds].
    """
    figure = _figure((12, 3.7))
    panels = figure.subplots(1, 3)
    for method, curve in measured.items():
        colour, name = _COLOURS[method], _NAMES[method]
        trials = curve.trials[:, 0]
        _band(panels[0], trials, curve.star_q, colour, f"{name}, a*")
        _band(panels[0], trials, curve.other_q, colour, f"{name}, best other", dashed=True)
        right = np.mean(curve.star_q > curve.other_q, axis=1) > 0.5
        if right[-1]:  # the paper's dot
            i = len(right) - np.argmin(right[::-1]) if not right.all() else 0
            panels[0].plot(trials[i], curve.star_q[i].mean(), "o", color=colour, ms=7)
        _band(panels[1], trials, curve.star_value, colour, name)
        _band(panels[2], trials, curve.expected_return, colour, name)
    titles = (
        "Q_exp; dot: a* is best in most seeds",
        "max Q_task after a*",
        "expected return, greedy",
    )
    for axes, title in zip(panels, titles, strict=True):
        axes.set_title(title, fontsize=9, color=_INK, loc="left")
        axes.set_xlabel("trials")
        axes.set_xlim(0, config.curve_trials)
        axes.legend(frameon=False, fontsize=8)
    panels[0].set_ylim(-np.log(config.curve_actions) - 0.2, 1.1)
    seeds = next(iter(measured.values())).trials.shape[1]
    terms = f"A = {config.curve_actions}, H = 1; mean and standard deviation of {seeds} seeds"
    _title(figure, "RL2 and DREAM on the bandit", f"{terms}; {_terms(config)}")
    _save(figure, path)


def _line(
    axes: Any, x: list[int], samples: list[np.ndarray], colour: str, label: str, marker: str = "o"
) -> None:
    """Means with intervals. Leaves out settings in which some seed did not settle."""
    points = [
        (a, s.mean(), *(ci95(s.tolist()) or (s.mean(), s.mean())))
        for a, s in zip(x, samples, strict=True)
        if not np.isnan(s).any()
    ]
    if points:
        at, mean, low, high = np.array(points).T
        spread = np.maximum([mean - low, high - mean], 0)
        axes.errorbar(at, mean, spread, color=colour, marker=marker, ms=5, label=label, capsize=2)


def _band(
    axes: Any, trials: np.ndarray, values: np.ndarray, colour: str, label: str, dashed: bool = False
) -> None:
    mean, spread = values.mean(axis=1), values.std(axis=1)
    axes.plot(trials, mean, color=colour, label=label, ls="--" if dashed else "-", lw=1.6)
    axes.fill_between(trials, mean - spread, mean + spread, color=colour, alpha=0.15, lw=0)


def _terms(config: Any) -> str:
    steps = f"step {config.step_size:g}" if config.step_size else "sample averages"
    start = f"{config.initial_exploration_q:g} and {config.initial_exploitation_q:g}"
    return f"epsilon {config.epsilon:g}, {steps}, Q from {start}"


def _figure(size: tuple[float, float]) -> Any:
    from matplotlib.figure import Figure  # slow to import, and only needed at the end

    return Figure(figsize=size, dpi=130, layout="constrained")


def _save(figure: Any, path: Path) -> None:
    for suffix in (".png", ".svg"):
        figure.savefig(path.with_suffix(suffix))


def _title(figure: Any, title: str, subtitle: str) -> None:
    figure.suptitle(f"{title}\n", fontsize=12, color=_INK, x=0.02, ha="left")
    figure.text(0.02, 0.9, subtitle, fontsize=8, color=_FAINT, va="top")
    for axes in figure.axes:
        axes.grid(True, color=_GRID, lw=0.8)
        axes.set_axisbelow(True)
        axes.tick_params(length=0, labelsize=8, colors=_FAINT)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.spines["bottom"].set_color(_FAINT)
