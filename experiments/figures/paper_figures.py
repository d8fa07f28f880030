"""The picture, the statistics and the verdicts of `experiments.reproduce`, from finished runs."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dream_jax.viz.statistics import ci95, iqm
from experiments.figures import claims, curves
from experiments.figures.groups import Group, Groups
from experiments.figures.paper import COLOURS, LINE_STYLES, ONE_HEAD, PANELS
from experiments.figures.tables import write_records

_COLUMNS = (
    "seed",
    "updates",
    "env_steps",
    "trials",
    "wall_s",
    "train_return",
    "test_return",
    "train_return_encoder",
    "exploration_length",
)


def write(out: Path, figure: int, groups: Groups, folders: Sequence[Path]) -> None:
    """Write figure<N>.png, .svg and .csv, table<N>.csv and, with panels, curves<N>.csv.

    Args:
      out: the folder.
      figure: the figure's number.
      groups: its finished runs.
      folders: of the same runs.
    """
    panels = PANELS[figure]
    if not panels:
        (folder,) = folders
        for suffix in ("png", "svg"):
            shutil.copyfile(folder / f"figure3.{suffix}", out / f"figure3.{suffix}")
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        command = next(iter(groups.values())).found[0].about["command"]
        seeds = len(summary["seeds"])
        verdicts = claims.bandit_verdicts(
            summary["complexity"], summary["exponents"], seeds, command
        )
        write_records(out / "figure3.csv", summary["complexity"])
    else:
        rows = [
            statistics(benchmark, split, name, group)
            for benchmark, split in panels
            for (b, name), group in groups.items()
            if b == benchmark and group.finished
        ]
        verdicts = claims.grid_verdicts(panels, groups)
        write_records(out / f"figure{figure}.csv", rows)
        write_records(out / f"curves{figure}.csv", evaluations(groups))
        _draw(out / f"figure{figure}", panels, groups)
    write_records(out / f"table{figure}.csv", [verdict._asdict() for verdict in verdicts])
    for v in verdicts:
        text = f"{v.where}: {v.claim}, {v.budget}: {v.measured or 'no run'}"
        print(f"{v.verdict:13}  {text}" + (f" ({v.interval})" if v.interval else ""))


def statistics(benchmark: str, split: str, name: str, group: Group) -> dict[str, Any]:
    """Statistics of the final returns over seeds: one row of figure<N>.csv.

    `sd` is one standard deviation, `ci95` an interval of the mean (both empty for one seed), `iqm`
    the interquartile mean.
    """
    returns = group.returns(split)
    interval = ci95(returns)
    return {
        "benchmark": benchmark,
        "split": split,
        "preset": name,
        "seeds": len(returns),
        "env_steps": round(float(np.mean(group.each("env_steps")))),
        "mean": float(np.mean(returns)),
        "sd": float(np.std(returns, ddof=1)) if len(returns) > 1 else "",
        "ci95_low": interval[0] if interval else "",
        "ci95_high": interval[1] if interval else "",
        "iqm": iqm(returns),
    }


def evaluations(groups: Groups) -> list[dict[str, Any]]:
    """Every evaluation of every seed during training: the rows of curves<N>.csv."""
    rows = [
        {"benchmark": benchmark, "preset": name} | {key: _cell(row, key) for key in _COLUMNS}
        for (benchmark, name), group in groups.items()
        if name not in LINE_STYLES
        for record in group.found
        for row in record.rows
    ]
    return rows or [dict.fromkeys(("benchmark", "preset", *_COLUMNS), "")]


def _cell(row: Mapping[str, Any], key: str) -> Any:
    value = row.get(key)
    return "" if value is None else value


def _draw(path: Path, panels: Sequence[tuple[str, str]], groups: Groups) -> None:
    """Learning curves, mean and one standard deviation over seeds, with the computed returns."""
    from matplotlib.figure import Figure  # slow to import, and only needed at the end

    figure = Figure(figsize=(4.2 * len(panels), 3.9), dpi=130, layout="constrained")
    for axes, (benchmark, split) in zip(figure.subplots(1, len(panels)), panels, strict=True):
        for (b, name), group in groups.items():
            if b != benchmark or not group.finished:
                continue
            if name in LINE_STYLES:
                value = group.returns(split)[0]
                axes.axhline(value, color="#666666", lw=1, ls=LINE_STYLES[name], label=name)
                continue
            rows = [row for record in group.found for row in record.rows]
            steps, returns = curves.curve(rows, f"{split}_return")
            curves.plot_mean(axes, steps, returns, name, (COLOURS | ONE_HEAD)[name])
        axes.set_title(f"{benchmark}, {split}", fontsize=10, loc="left")
        axes.set_xlabel("environment steps")
        axes.grid(True, color="#e6e6e6")
    # One legend for all panels: each panel has these methods, or some of them.
    named = {
        label: handle
        for axes in figure.axes
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        named.values(),
        named.keys(),
        loc="outside lower center",
        ncols=max(1, len(named)),
        frameon=False,
        fontsize=8,
    )
    for suffix in (".png", ".svg"):
        figure.savefig(path.with_suffix(suffix))
