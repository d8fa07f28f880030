"""A run as data for the page: its numbers, settings, trials, encodings and visits."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from dream_jax import config as configs
from dream_jax import presets
from dream_jax.config import Config, ConfigError
from dream_jax.drawing.view import WorldView, view_of
from dream_jax.oracles.bounds import Bounds
from dream_jax.runs import page_trials
from dream_jax.runs.insight import Insights
from dream_jax.runs.summary import OTHERS, normalised
from dream_jax.types import Env

MOST_POINTS = 400  # of a curve; longer ones are thinned
_COUNTS = ("env_steps", "updates", "wall_s", "trials")


class About(NamedTuple):
    """What a page says about a run, besides its trials."""

    name: str  # for people, for example the folder
    config: Config
    seeds: Sequence[int]
    rows: Sequence[Mapping[str, Any]]  # of metrics.jsonl
    summary: Mapping[str, Any] | None  # of summary.json; None: the run has not finished
    bounds: Mapping[str, Mapping[str, float]]  # by split and name, those that are known
    versions: Mapping[str, Any]
    git: Mapping[str, Any] | None


def of_run(about: About) -> dict[str, Any]:
    """Numbers, curves, settings and software."""
    config, rows = about.config, about.rows
    total = config.training.trials
    done = about.summary is not None
    last = rows[-1] if rows else {}
    return {
        "name": about.name,
        "benchmark": config.benchmark,
        "preset": config.preset,
        "agent": config.agent,
        "seeds": list(about.seeds),
        "state": "finished" if done else f"at {last.get('trials', 0):,} of {total:,} trials",
        "splits": splits(about),
        "verdict": (about.summary or {}).get("verdict", ""),
        "totals": totals(about),
        "bounds": {name: dict(known) for name, known in about.bounds.items()},
        "curves": curves(rows, about.seeds),
        "settings": settings(config),
        "software": software(about.versions, about.git),
        "command": command(config, about.seeds, about.name),
    }


def splits(about: About) -> dict[str, dict[str, Any]]:
    """By split, what the table shows: as in summary.json, or from the newest evaluation."""
    if about.summary is not None:
        return {name: dict(part) for name, part in about.summary["splits"].items()}
    newest = _newest(about)
    parts = {}
    for split, known in about.bounds.items():
        returns = [row[f"{split}_return"] for row in newest if f"{split}_return" in row]
        if returns:
            parts[split] = {
                "return_mean": sum(returns) / len(returns),
                "return_ci95": None,
                "return_per_seed": returns,
                "optimal": known.get("optimal"),
                **{name: known[name] for name in OTHERS if name in known},
                "no_exploration": known.get("no_exploration"),
                "normalised_per_seed": [_normalised(value, known) for value in returns],
            }
    return parts


def _newest(about: About) -> list[Mapping[str, Any]]:
    """The newest row of each seed; those of seeds that failed are older."""
    return list({row["seed"]: row for row in about.rows}.values())


def totals(about: About) -> list[tuple[str, str]]:
    """Names and values of the run as a whole."""
    newest = _newest(about)
    found = []
    if newest:
        mean = {name: sum(row.get(name, 0) for row in newest) / len(newest) for name in _COUNTS}
        found = [
            ("environment steps", f"{mean['env_steps']:,.0f}"),
            ("updates", f"{mean['updates']:,.0f}"),
            ("trials", f"{mean['trials']:,.0f}"),
            ("seconds", f"{(about.summary or newest[-1]).get('wall_s', 0):,.0f}"),
        ]
    if about.summary and "time_to_95_s" in about.summary:
        times = about.summary["time_to_95_s"]
        shown = ", ".join("never" if value is None else f"{value:,.0f}" for value in times)
        found.append(("seconds to 0.95", shown))
    return found


def curves(rows: Sequence[Mapping[str, Any]], seeds: Sequence[int]) -> dict[str, Any]:
    """By seed, the columns of metrics.jsonl; what is not finite is None."""
    made = {}
    for seed in seeds:
        mine = [row for row in rows if row["seed"] == seed]
        step = max(1, math.ceil(len(mine) / MOST_POINTS))
        mine = mine[::-step][::-1]  # thinned from the end, so that the newest one stays
        names = dict.fromkeys(name for row in mine for name in row if name != "seed")
        made[str(seed)] = {name: [_short(row.get(name)) for row in mine] for name in names}
    return made


def settings(config: Config) -> list[dict[str, str]] | None:
    """Settings that differ from the preset; None: the preset is not known here."""
    try:
        base = presets.get(config.benchmark, config.preset)
    except ConfigError:  # of another version, or of a problem that is not found from here
        return None
    return [
        {"field": path, "here": str(now), "preset": str(was)}
        for path, (was, now) in configs.differences(base, config).items()
    ]


def software(versions: Mapping[str, Any], git: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """Names and versions, devices, and the commit."""
    found = [(name, _listed(value)) for name, value in versions.items() if value is not None]
    if git and git.get("commit"):
        found.append(("commit", git["commit"] + (" and changes" if git.get("dirty") else "")))
    return found


def command(config: Config, seeds: Sequence[int], name: str) -> str:
    """The command line that makes the same run."""
    own = ":" in config.benchmark
    module = f"own_problem {config.benchmark}" if own else config.benchmark
    words = [f"python -m experiments.{module}", f"--config={config.preset}"]
    words += [f"--seeds={len(seeds)}"] if len(seeds) > 1 else []
    words += [f"--first_seed={seeds[0]}"] if seeds and seeds[0] else []
    for change in settings(config) or []:
        value = change["here"]
        quoted = f"'{value}'" if any(c in value for c in " ()[]") else value
        words.append(f"--config.{change['field']}={quoted}")
    return " ".join([*words, f"--out={name}"])


def of_trials(env: Env, insights: Insights) -> dict[str, Any]:
    """What the player and the map of encodings show."""
    view = view_of(env)
    return {
        **page_trials.trials(env, view, insights),
        "actions": list(view.action_names),
        "encodings": page_trials.encodings(view, insights),
    }


def of_visits(view: WorldView, history: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Visits over training. history: {"env_steps", "counts"} of each evaluation with counts."""
    if view.cells is None or not history:
        return None
    step = max(1, math.ceil(len(history) / 60))
    kept = list(history)[::-step][::-1]
    return {
        "columns": view.cells.columns,
        "rows": view.cells.rows,
        "env_steps": [one["env_steps"] for one in kept],
        "counts": [one["counts"] for one in kept],
    }


def folder_name(folder: Path) -> str:
    """A folder as text, also where the locale's encoding could not decode it."""
    return str(folder).encode(errors="surrogateescape").decode(errors="replace")


def _normalised(value: float | None, known: Mapping[str, float]) -> float | None:
    if value is None:
        return None
    nan = {"optimal": math.nan, "no_exploration": math.nan}
    return normalised(value, Bounds(**(nan | dict(known))))


def _short(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.5g}") if math.isfinite(value) else None
    return value


def _listed(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
