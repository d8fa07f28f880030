"""Picture, statistics and verdicts of `experiments.reproduce`, from the folders of its runs."""

import csv
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dream_jax.viz.plots import ci95, iqm

Runs = Mapping[tuple[str, str], Path]  # (benchmark, preset): folder

_COLOURS = {
    "dream": "#0072B2",
    "dream_no_bottleneck": "#56B4E9",
    "e_rl2": "#D55E00",
    "import": "#009E73",
    "varibad": "#CC79A7",
}
_ANALYTIC = {"optimal": "-", "no_exploration": ":", "pearl_ub": "--"}
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
REACHED = 0.95  # of the way from no exploration to optimal
NOWHERE = 0.2  # of that way; as far below 0, exploitation itself has not been learned


class Verdict(NamedTuple):
    claim: str  # the paper's
    measured: str
    verdict: str  # "holds", "does not hold", or "not measured"


def write(out: Path, figure: int, panels: Sequence[tuple[str, str]], runs: Runs) -> None:
    """figure<N>.png, .svg and .csv, table<N>.csv, and of learning curves curves<N>.csv."""
    if figure == 3:
        folder = runs["bandit", "paper"]
        for suffix in ("png", "svg"):
            shutil.copyfile(folder / f"figure3.{suffix}", out / f"figure3.{suffix}")
        summary = json.loads((folder / "summary.json").read_text())
        verdicts = bandit_verdicts(summary)
        _write_csv(out / "figure3.csv", summary["complexity"])
    else:
        summaries = {
            job: json.loads((folder / "summary.json").read_text()) for job, folder in runs.items()
        }
        rows = [
            statistics(benchmark, split, name, summaries[benchmark, name])
            for benchmark, split in panels
            for b, name in runs
            if b == benchmark
        ]
        verdicts = grid_verdicts(panels, summaries)
        _write_csv(out / f"figure{figure}.csv", rows)
        _write_csv(out / f"curves{figure}.csv", evaluations(runs))
        _draw(out / f"figure{figure}", panels, runs, summaries)
    _write_csv(out / f"table{figure}.csv", [verdict._asdict() for verdict in verdicts])
    for verdict in verdicts:
        print(f"{verdict.verdict:13}  {verdict.claim}: {verdict.measured}")


def statistics(benchmark: str, split: str, name: str, summary: Mapping[str, Any]) -> dict[str, Any]:
    """Of the final returns over seeds: mean, 1 sd, 95% bootstrap interval, interquartile mean."""
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
    """Every evaluation of every seed while it was trained."""
    return [
        {"benchmark": benchmark, "preset": name} | {key: row.get(key, "") for key in _COLUMNS}
        for (benchmark, name), folder in runs.items()
        if name not in _ANALYTIC
        for row in read_rows(folder / "metrics.jsonl")
    ]


def bandit_verdicts(summary: Mapping[str, Any]) -> list[Verdict]:
    """Section 5.2: DREAM is ahead, and the more so the more actions there are."""
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


def grid_verdicts(
    panels: Sequence[tuple[str, str]], summaries: Mapping[tuple[str, str], Mapping[str, Any]]
) -> list[Verdict]:
    """Figures 6 and 7, by the mean normalised return of each method's final policy."""
    found = []
    for benchmark, split in panels:
        where = f"{benchmark} ({split})"

        def share(name: str, benchmark: str = benchmark, split: str = split) -> float | None:
            if (benchmark, name) not in summaries:
                return None
            values = summaries[benchmark, name]["splits"][split]["normalised_per_seed"]
            return None if None in values else float(np.mean(values))

        dream, bare = share("dream"), share("dream_no_bottleneck")
        found.append(_compare(f"DREAM is optimal on {where}", dream, lambda x: x >= REACHED))
        if benchmark == "distracting_bus":
            claim = f"without the bottleneck it is not, on {where}"
            found.append(_compare(claim, bare, lambda x: x < REACHED))
        elif benchmark == "map":
            claim = f"without the bottleneck it is optimal too, on {where}"
            found.append(_compare(claim, bare, lambda x: x >= REACHED))
        for name in ("e_rl2", "import", "varibad"):
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
    summaries: Mapping[tuple[str, str], Mapping[str, Any]],
) -> None:
    """Learning curves, mean and 1 sd over seeds, over the analytic lines."""
    from matplotlib.figure import Figure  # heavy, and wanted only at the end

    figure = Figure(figsize=(4.2 * len(panels), 3.9), dpi=130, layout="constrained")
    for axes, (benchmark, split) in zip(figure.subplots(1, len(panels)), panels, strict=True):
        for (b, name), folder in runs.items():
            if b != benchmark:
                continue
            if name in _ANALYTIC:
                value = summaries[b, name]["splits"][split]["return_mean"]
                axes.axhline(value, color="#666666", lw=1, ls=_ANALYTIC[name], label=name)
                continue
            steps, returns = curve(read_rows(folder / "metrics.jsonl"), f"{split}_return")
            plot_mean(axes, steps, returns, name, _COLOURS[name])
        axes.set_title(f"{benchmark}, {split}", fontsize=10, loc="left")
        axes.set_xlabel("environment steps")
        axes.grid(True, color="#e6e6e6")
    # One for all panels: each has the same methods, or some of them.
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
    """Environment steps, a mean over seeds, [n], and returns [seeds, n]; as far as every seed has
    been evaluated."""
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
    """Mean of `returns` [seeds, n] over x [n], and a band of 1 sd; the next colour by default."""
    mean, sd = returns.mean(axis=0), returns.std(axis=0, ddof=min(1, len(returns) - 1))
    marker = "o" if len(x) == 1 else ""
    (line,) = axes.plot(x, mean, color=colour, marker=marker, label=label)
    axes.fill_between(x, mean - sd, mean + sd, color=line.get_color(), alpha=0.15, lw=0)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Of a metrics.jsonl."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def _write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
