"""`python -m experiments.bandit --config=paper --out=DIR`: Section 5.2 and Figure 3 of the paper.

How many trials RL2 and DREAM need until they explore optimally, against the number of actions A
and the exploration steps H; and how their values and returns get there. Writes `complexity.csv`
(row by row, so that `--resume` can go on), `curves.csv`, `complexity.png`, `figure3.png`, both also
as SVG, `config.json` and `summary.json`.
"""

import csv
import dataclasses
import os
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from dream_jax import config as configs
from dream_jax.config import ConfigError
from dream_jax.runs.folder import RunRequest, prepare_folder
from experiments.cli import flags as cli
from experiments.cli import process as common

METHODS = ("rl2", "dream")


@dataclasses.dataclass(frozen=True)
class BanditConfig:
    """Everything a run depends on besides its seeds."""

    preset: str = "paper"
    action_counts: tuple[int, ...] = (4, 8, 16, 32, 64)  # A, with one exploration step
    horizons: tuple[int, ...] = (1, 2, 3)  # H, each with every A of horizon_action_counts
    horizon_action_counts: tuple[int, ...] = (2, 3, 4)
    exploitation: Literal["arm", "sequence"] = "arm"  # A arms to choose from, or A^H
    epsilon: float = 0.1
    step_size: float = 0.0  # 0: averages of all samples
    initial_exploration_q: float = 0.0
    initial_exploitation_q: float = 0.0
    max_trials: int = 1_048_576  # per seed
    curve_actions: int = 8  # A of Figure 3
    curve_trials: int = 4_096
    curve_period_trials: int = 8


PRESETS: dict[str, dict[str, Any]] = {
    "paper": {},
    "constant_step": {"step_size": 0.1},
    "optimistic": {"initial_exploration_q": 1.0, "initial_exploitation_q": 1.0},
}
_SMOKE: dict[str, Any] = {
    "action_counts": (2, 4),
    "horizons": (1, 2),
    "horizon_action_counts": (2,),
    "max_trials": 8_192,
    "curve_actions": 4,
    "curve_trials": 64,
}


class Setting(NamedTuple):
    method: str
    actions: int  # A
    horizon: int  # H


def main(argv: list[str] | None = None) -> int:
    """Returns the exit status: 0 done, 1 a file could not be written, 2 bad input, 130 stopped."""

    def work() -> int:
        arguments = parse(sys.argv[1:] if argv is None else argv)
        common.set_up_jax()
        return run(arguments, common.process_start_s())

    return common.exit_status(work, "interrupted; --resume goes on after what complexity.csv has")


def parse(argv: list[str]) -> RunRequest:
    """Raises ConfigError, one clear line."""
    given = cli.read_flags("bandit", argv, tuple(PRESETS), default_seeds=100)
    if given.config in PRESETS:
        config = BanditConfig(given.config, **PRESETS[given.config])
    elif given.config.endswith(".json") or "/" in given.config:
        config = configs.load(given.config, BanditConfig)
    else:
        near = configs.nearest(given.config, list(PRESETS))
        raise ConfigError(f"unknown preset {given.config!r}; {near}")
    if given.smoke:
        config = dataclasses.replace(config, **_SMOKE)
    config = validate(configs.override(config, given.overrides))
    return cli.checked_arguments(config, given)


def validate(config: BanditConfig) -> BanditConfig:
    """`config` itself if every value is possible. Raises ConfigError, naming value and remedy."""
    lists = {
        "action_counts": (config.action_counts, 2),
        "horizons": (config.horizons, 1),
        "horizon_action_counts": (config.horizon_action_counts, 2),
    }
    for name, (values, least) in lists.items():
        if not values or min(values) < least or len(set(values)) < len(values):
            raise ConfigError(f"{name}={list(values)} must be different numbers, {least} or more")
    if config.curve_actions < 2:
        raise ConfigError(f"curve_actions={config.curve_actions} must be at least 2")
    for name in ("max_trials", "curve_trials", "curve_period_trials"):
        if getattr(config, name) < 1:
            raise ConfigError(f"{name}={getattr(config, name)} must be at least 1")
    if not 0 < config.epsilon <= 1:
        raise ConfigError(
            f"epsilon={config.epsilon} must be above 0 and at most 1, for example 0.1"
        )
    if not 0 <= config.step_size <= 1:
        raise ConfigError(f"step_size={config.step_size} must be between 0 (averages) and 1")
    for name in ("initial_exploration_q", "initial_exploitation_q"):
        if not np.isfinite(getattr(config, name)):
            raise ConfigError(f"{name}={getattr(config, name)} must be finite, for example 0.0")
    most = max(config.horizon_action_counts) ** max(config.horizons)
    if most > 100_000:
        raise ConfigError(
            f"horizons={list(config.horizons)} with horizon_action_counts="
            f"{list(config.horizon_action_counts)} make {most:,} sequences; at most 100,000"
        )
    return config


def run(arguments: RunRequest, started_s: float) -> int:
    from dream_jax.runs.metrics import versions, write_json
    from experiments.figures import bandit as bandit_figures
    from experiments.figures import bandit_runs as bandit_sweep

    config, out = arguments.config, arguments.out
    record = {"config": configs.to_dict(config), "seeds": list(arguments.seeds)}
    prepare_folder(arguments, record | {"versions": versions()})
    complexity = _read_complexity(out / "complexity.csv", len(arguments.seeds))
    for method in METHODS:
        for horizon in sorted({1, *config.horizons}):
            counts = set(config.horizon_action_counts if horizon in config.horizons else ())
            counts |= set(config.action_counts if horizon == 1 else ())
            missing = [a for a in sorted(counts) if Setting(method, a, horizon) not in complexity]
            for actions, trials in bandit_sweep.trials_needed(
                config, method, horizon, missing, arguments.seeds
            ):
                setting = Setting(method, actions, horizon)
                complexity[setting] = trials
                _write_complexity(out / "complexity.csv", complexity)
                print(describe(setting, trials, config.max_trials), flush=True)
    curves = {method: bandit_sweep.curves(config, method, arguments.seeds) for method in METHODS}
    _write_curves(out / "curves.csv", curves)
    summary = {
        "benchmark": "bandit",
        "config": config.preset,
        "seeds": list(arguments.seeds),
        "epsilon": config.epsilon,
        "step_size": config.step_size or "averages of all samples",
        "initial_q": [config.initial_exploration_q, config.initial_exploitation_q],
        **bandit_sweep.fits(config, complexity),
        "wall_s": time.time() - started_s,
    }
    write_json(out / "summary.json", summary)
    bandit_figures.complexity(out / "complexity.png", config, complexity, summary)
    bandit_figures.curves(out / "figure3.png", config, curves)
    for fit in summary["exponents"]:
        interval = "too few" if fit["ci95"] is None else "{:.2f} to {:.2f}".format(*fit["ci95"])
        exponent = "unknown" if fit["exponent"] is None else f"{fit['exponent']:.2f}"
        print(f"{fit['method']:5} {fit['law']}: exponent {exponent} ({interval})")
    return 0


def describe(setting: Setting, trials: np.ndarray, most: int) -> str:
    late = int(np.isnan(trials).sum())
    line = f"{setting.method:5}  A={setting.actions:<3} H={setting.horizon}  "
    if late:
        return line + f"{late} of {len(trials)} seeds not within {most:,} trials"
    return line + f"{trials.mean():,.1f} trials (median {np.median(trials):,.0f})"


def _write_complexity(path: Path, complexity: dict[Setting, np.ndarray]) -> None:
    rows = [
        (*setting, seed, "" if np.isnan(value) else int(value))
        for setting, values in sorted(complexity.items())
        for seed, value in enumerate(values)
    ]
    _write_csv(path, ("method", "actions", "horizon", "seed", "trials"), rows)


def _read_complexity(path: Path, seeds: int) -> dict[Setting, np.ndarray]:
    """What an earlier run has measured. Raises ConfigError if it is damaged."""
    found: dict[Setting, dict[int, float]] = {}
    try:
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                setting = Setting(row["method"], int(row["actions"]), int(row["horizon"]))
                trials = float(row["trials"] or "nan")
                found.setdefault(setting, {})[int(row["seed"])] = trials
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError, csv.Error) as error:
        raise ConfigError(f"--resume: {path} is damaged: {error!r}; use --overwrite") from error
    if any(sorted(values) != list(range(seeds)) for values in found.values()):
        raise ConfigError(f"--resume: {path} is damaged: seeds are missing; use --overwrite")
    return {s: np.array([values[i] for i in range(seeds)]) for s, values in found.items()}


def _write_curves(path: Path, curves: dict[str, Any]) -> None:
    """Means over seeds; the spread is a standard deviation."""
    rows, names = [], next(iter(curves.values()))._fields[1:]
    for method, curve in curves.items():
        for i, trials in enumerate(curve.trials[:, 0]):
            values = [getattr(curve, name)[i] for name in names]
            rows.append(
                (method, trials, *(f"{f(v):.6g}" for v in values for f in (np.mean, np.std)))
            )
    header = [f"{name}_{what}" for name in names for what in ("mean", "sd")]
    _write_csv(path, ("method", "trials", *header), rows)


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """So that a reader sees the old file or the whole new one."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with scratch.open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(header)
            writer.writerows(rows)
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())
