"""The picture, the statistics and the verdicts of `experiments.reproduce`, from finished runs."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dream_jax.viz.statistics import ci95, iqm
from experiments.figures.paper import COLOURS, LINE_STYLES, WITHOUT_EXPLORATION, agent_class
from experiments.figures.tables import write_records

Runs = Mapping[tuple[str, str], Path]  # (benchmark, preset): folder
Summaries = Mapping[tuple[str, str], Mapping[str, Any]]  # (benchmark, preset): summary.json

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
# Normalised returns: 0 is no exploration, 1 is optimal.
REACHED = 0.95  # at least this is optimal
NOWHERE = 0.2  # at most this is no exploration; below -0.2, exploitation has not been learned


class Verdict(NamedTuple):
    """A claim of the paper beside what the runs show."""

    claim: str
    measured: str
    verdict: str  # "holds", "does not hold", or "not measured"


def write(out: Path, figure: int, panels: Sequence[tuple[str, str]], runs: Runs) -> None:
    """Write figure<N>.png, .svg and .csv, table<N>.csv and, with panels, curves<N>.csv.

    Args:
      out: the folder.
      figure: the figure's number.
      panels: (benchmark, split) of each panel; none for the bandit.
      runs: the folders of finished runs.
    """
    if not panels:
        folder = runs["bandit", "paper"]
        for suffix in ("png", "svg"):
            shutil.copyfile(folder / f"figure3.{suffix}", out / f"figure3.{suffix}")
        summary = _read_summary(folder)
        verdicts = bandit_verdicts(summary)
        write_records(out / "figure3.csv", summary["complexity"])
    else:
        summaries = {job: _read_summary(folder) for job, folder in runs.items()}
        rows = [
            statistics(benchmark, split, name, summaries[benchmark, name])
            for benchmark, split in panels
            for b, name in runs
            if b == benchmark
        ]
        verdicts = grid_verdicts(panels, summaries)
        write_records(out / f"figure{figure}.csv", rows)
        write_records(out / f"curves{figure}.csv", evaluations(runs))
        _draw(out / f"figure{figure}", panels, runs, summaries)
    write_records(out / f"table{figure}.csv", [verdict._asdict() for verdict in verdicts])
    for verdict in verdicts:
        print(f"{verdict.verdict:13}  {verdict.claim}: {verdict.measured}")


def statistics(benchmark: str, split: str, name: str, summary: Mapping[str, Any]) -> dict[str, Any]:
    """Statistics of the final returns over seeds: one row of figure<N>.csv.

    `sd` is one standard deviation, `ci95` a bootstrap interval, `iqm` the interquartile mean.
    """
    returns = summary["splits"][split]["return_per_seed"]
    low, high = ci95(returns)
    return {
        "benchmark": benchmark,
        "split": split,
        "preset": name,
        "seeds": len(returns),
        "env_steps": summary["env_steps"],
        "mean": float(np.mean(returns)),
        "sd": float(np.std(returns, ddof=1)) if len(returns) > 1 else "",
        "ci95_low": low,
        "ci95_high": high,
        "iqm": iqm(returns),
    }


def evaluations(runs: Runs) -> list[dict[str, Any]]:
    """Every evaluation of every seed during training: the rows of curves<N>.csv."""
    return [
        {"benchmark": benchmark, "preset": name} | {key: row.get(key, "") for key in _COLUMNS}
        for (benchmark, name), folder in runs.items()
        if not agent_class(name).analytic
        for row in read_rows(folder / "metrics.jsonl")
    ]


def bandit_verdicts(summary: Mapping[str, Any]) -> list[Verdict]:
    """Section 5.2: DREAM needs fewer trials, and its advantage grows with the actions."""
    mean = {
        (r["method"], r["actions"], r["horizon"]): r["mean_trials"] for r in summary["complexity"]
    }
    settings = sorted({(a, h) for _, a, h in mean})
    pairs = {s: (mean["rl2", *s], mean["dream", *s]) for s in settings}
    known = {s: pair for s, pair in pairs.items() if None not in pair}
    ahead = [s for s, (rl2, dream) in known.items() if dream < rl2]
    claim = "DREAM needs fewer trials than RL2 to explore optimally"
    first = _verdict(
        claim, f"in {len(ahead)} of {len(known)} settings", known, ahead == list(known)
    )
    law = {f["method"]: f for f in summary["exponents"] if f["law"] == "A^x, H=1"}
    fits = [law[method] for method in ("rl2", "dream")]
    claim = "RL2's trials grow faster with the actions: about A^2 against A"
    if any(fit["ci95"] is None for fit in fits):
        return [first, Verdict(claim, "too few settled", "not measured")]
    text = [
        "{} A^{:.2f} ({:.2f} to {:.2f})".format(f["method"], f["exponent"], *f["ci95"])
        for f in fits
    ]
    holds = fits[0]["ci95"][0] > fits[1]["ci95"][1]
    return [first, _verdict(claim, ", ".join(text), fits, holds)]


def grid_verdicts(panels: Sequence[tuple[str, str]], summaries: Summaries) -> list[Verdict]:
    """Figures 6 and 7, by the mean normalised return of each method's final policy."""
    return [verdict for panel in panels for verdict in _panel_verdicts(*panel, summaries)]


def _panel_verdicts(benchmark: str, split: str, summaries: Summaries) -> list[Verdict]:
    where = f"{benchmark} ({split})"

    def share(name: str) -> float | None:
        if (benchmark, name) not in summaries:
            return None
        values = summaries[benchmark, name]["splits"][split]["normalised_per_seed"]
        return None if None in values else float(np.mean(values))

    dream, bare = share("dream"), share("dream_no_bottleneck")
    found = [_compare(f"DREAM is optimal on {where}", dream, lambda x: x >= REACHED)]
    if benchmark == "distracting_bus":
        claim = f"without the bottleneck it is not, on {where}"
        found.append(_compare(claim, bare, lambda x: x < REACHED))
    elif benchmark == "map":
        claim = f"without the bottleneck it is optimal too, on {where}"
        found.append(_compare(claim, bare, lambda x: x >= REACHED))
    for name in WITHOUT_EXPLORATION:
        claim = f"{name} learns what can be had without exploring and no more, on {where}"
        found.append(_compare(claim, share(name), lambda x: abs(x) <= NOWHERE))
    return found


def _compare(claim: str, value: float | None, holds: Any) -> Verdict:
    if value is None:
        return Verdict(claim, "", "not measured")
    return _verdict(
        claim, f"{value:.3f} of the way from no exploration to optimal", 1, holds(value)
    )


def _verdict(claim: str, measured: str, known: Any, holds: bool) -> Verdict:
    if not known:
        return Verdict(claim, measured, "not measured")
    return Verdict(claim, measured, "holds" if holds else "does not hold")


def _draw(
    path: Path,
    panels: Sequence[tuple[str, str]],
    runs: Runs,
    summaries: Summaries,
) -> None:
    """Learning curves, mean and one standard deviation over seeds, with the computed returns."""
    from matplotlib.figure import Figure  # slow to import, and only needed at the end

    figure = Figure(figsize=(4.2 * len(panels), 3.9), dpi=130, layout="constrained")
    for axes, (benchmark, split) in zip(figure.subplots(1, len(panels)), panels, strict=True):
        for (b, name), folder in runs.items():
            if b != benchmark:
                continue
            if agent_class(name).analytic:
                value = summaries[b, name]["splits"][split]["return_mean"]
                axes.axhline(value, color="#666666", lw=1, ls=LINE_STYLES[name], label=name)
                continue
            steps, returns = curve(read_rows(folder / "metrics.jsonl"), f"{split}_return")
            plot_mean(axes, steps, returns, name, COLOURS[name])
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
        ncols=len(named),
        frameon=False,
        fontsize=8,
    )
    for suffix in (".png", ".svg"):
        figure.savefig(path.with_suffix(suffix))


def curve(
    rows: Sequence[Mapping[str, Any]], name: str, x_name: str = "env_steps"
) -> tuple[np.ndarray, np.ndarray]:
    """x, the mean over seeds, [n], and returns [seeds, n], for the evaluations that every seed has.

    Args:
      rows: of metrics.jsonl.
      name: the column of the returns.
      x_name: the column of x.
    """
    seeds = sorted({row["seed"] for row in rows})
    of_seed = [[row for row in rows if row["seed"] == seed] for seed in seeds]
    common = min(map(len, of_seed))
    values = [
        [np.nan if r.get(name) is None else r[name] for r in mine[:common]] for mine in of_seed
    ]
    x = np.mean([[r[x_name] for r in mine[:common]] for mine in of_seed], axis=0)
    return x, np.array(values, float)


def plot_mean(
    axes: Any, x: np.ndarray, returns: np.ndarray, label: str, colour: str | None = None
) -> None:
    """Draw the mean of `returns` [seeds, n] over x [n], with a band of one standard deviation."""
    mean, sd = returns.mean(axis=0), returns.std(axis=0, ddof=min(1, len(returns) - 1))
    marker = "o" if len(x) == 1 else ""
    (line,) = axes.plot(x, mean, color=colour, marker=marker, label=label)
    axes.fill_between(x, mean - sd, mean + sd, color=line.get_color(), alpha=0.15, lw=0)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a metrics.jsonl."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _read_summary(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "summary.json").read_text(encoding="utf-8"))
