"""`python -m experiments.bandit --config=paper --out=DIR`: Section 5.2 and Figure 3 of the paper.

Measures how many trials RL2 and DREAM need until they explore optimally, against the number of
actions A and of exploration steps H, and how their values and returns develop. Writes
`complexity.csv` (after every size, so that `--resume` can continue), `starts.csv` (with
`--config=starts`: every pairing of first values), `curves.csv`, `complexity.png` and `figure3.png`
(both also as SVG), `config.json` and `summary.json`.
"""

import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dream_jax import config as configs
from dream_jax.config import ConfigError
from dream_jax.runs import provenance, resolve
from dream_jax.runs.files import locked
from dream_jax.runs.folder import RunRequest, prepare_folder
from dream_jax.runs.metrics import write_json
from experiments.cli import flags as cli
from experiments.cli import process
from experiments.figures import bandit as bandit_figures
from experiments.figures import bandit_progress, bandit_runs, bandit_starts, bandit_tables
from experiments.figures.bandit_config import PRESETS, BanditConfig, smoke, validate
from experiments.figures.bandit_tables import Setting

METHODS = ("rl2", "dream")


def main(argv: list[str] | None = None) -> int:
    """Returns the exit status: 0 done, 1 a file could not be written, 2 bad input, 130 stopped."""

    def work() -> int:
        given = read_flags(sys.argv[1:] if argv is None else argv)
        config = read_config(given)
        if given.print_config:
            print(cli.as_json(config))
            return 0
        request = cli.run_request(config, given)
        process.set_up_jax()
        return run(request, process.process_start_s())

    return process.exit_status(
        work, "interrupted; --resume continues after the settings in complexity.csv"
    )


def read_flags(argv: Sequence[str]) -> cli.Flags:
    """Raises ConfigError for a bad flag."""
    return cli.read_flags("bandit", argv, tuple(PRESETS), default_seeds=100)


def read_config(given: cli.Flags) -> BanditConfig:
    """The preset or file that the flags name, with its overrides. Raises ConfigError."""
    resolve.check_jax()
    if given.there is not None:
        return validate(configs.override(cli.saved_config(given, BanditConfig), given.overrides))
    if given.config in PRESETS:
        config = PRESETS[given.config]
    elif given.config.endswith(".json") or "/" in given.config:
        config = provenance.load(given.config, BanditConfig)
    else:
        near = configs.nearest(given.config, list(PRESETS))
        raise ConfigError(f"unknown preset {given.config!r}; {near}")
    if given.smoke:
        config = smoke(config)
    return validate(configs.override(config, given.overrides))


def parse(argv: Sequence[str]) -> RunRequest:
    """The run that a command line asks for. Raises ConfigError. Writes nothing."""
    given = read_flags(argv)
    return cli.run_request(read_config(given), given)


def run(request: RunRequest, started_s: float) -> int:
    """Measures what is missing, then draws. Returns the exit status."""
    config, out, seeds = request.config, request.out, request.seeds
    with locked(out):
        prepare_folder(request)
        return _run(config, out, seeds, started_s)


def _run(config: BanditConfig, out: Path, seeds: tuple[int, ...], started_s: float) -> int:
    complexity, starts = _measure(config, out, seeds)
    curves = {method: bandit_runs.curves(config, method, seeds) for method in METHODS}
    bandit_tables.write_curves(out / "curves.csv", curves)
    summary = {
        "benchmark": "bandit",
        "config": config.preset,
        "seeds": list(seeds),
        "epsilon": config.epsilon,
        "step_size": config.step_size or "averages of all samples",
        "initial_q": [config.initial_exploration_q, config.initial_exploitation_q],
        **bandit_runs.fits(config, complexity),
        "starts": bandit_starts.fits(starts),
        "wall_s": time.time() - started_s,
    }
    write_json(out / "summary.json", summary)
    bandit_figures.complexity(out / "complexity.png", config, complexity, summary)
    bandit_figures.curves(out / "figure3.png", config, curves)
    for fit in summary["exponents"]:
        interval = "too few" if fit["ci95"] is None else "{:.2f} to {:.2f}".format(*fit["ci95"])
        exponent = "unknown" if fit["exponent"] is None else f"{fit['exponent']:.2f}"
        print(f"{fit['method']:5} {fit['law']}: exponent {exponent} ({interval})")
    print(f"written to {out}: summary.json, complexity.csv, figure3.png, complexity.png")
    return 0


def _measure(
    config: BanditConfig, out: Path, seeds: tuple[int, ...]
) -> tuple[dict[Setting, np.ndarray], bandit_starts.Measured]:
    """Trials until exploration is optimal, [seeds] per size: from zero, and from every start.

    Each is kept in a file as soon as it is known.
    """
    complexity = bandit_tables.read_complexity(out / "complexity.csv", seeds)
    measured, _ = bandit_starts.read(out / bandit_starts.NAME)
    starts = bandit_starts.all_starts(config.start_step_sizes, METHODS)
    sizes = bandit_progress.sizes(config, METHODS, starts)
    progress = bandit_progress.Progress(sizes, [*complexity, *measured], len(seeds))
    print(
        f"{progress.announcement()}; written to {out}; Ctrl-C stops, --resume goes on", flush=True
    )
    for method in METHODS:
        for horizon in sorted({1, *config.horizons}):
            counts = bandit_progress.counts(config, horizon)
            missing = [a for a in counts if Setting(method, a, horizon) not in complexity]
            found = bandit_runs.trials_needed(config, method, horizon, missing, seeds)
            for actions, trials in found:
                setting = Setting(method, actions, horizon)
                complexity[setting] = trials
                bandit_tables.write_complexity(out / "complexity.csv", complexity, seeds)
                line = describe(setting, trials, config.max_trials)
                print(f"{line}  {progress.done(setting)}", flush=True)
    for start, actions, trials in bandit_starts.measure(config, starts, seeds, measured):
        measured[start, actions] = trials
        bandit_starts.write(out / bandit_starts.NAME, measured, seeds)
        line = describe(Setting(start.method, actions, 1), trials, config.max_trials)
        words = f"step {start.step_size:g}, {start.words}"
        print(f"{line}  {words}  {progress.done((start, actions))}", flush=True)
    return complexity, measured


def describe(setting: Setting, trials: np.ndarray, most: int) -> str:
    """One line about the trials of each seed, [seeds]."""
    late = int(np.isnan(trials).sum())
    line = f"{setting.method:5}  A={setting.actions:<3} H={setting.horizon}  "
    if late:
        return line + f"{late} of {len(trials)} seeds not within {most:,} trials"
    return line + f"{trials.mean():,.1f} trials (median {np.median(trials):,.0f})"


if __name__ == "__main__":
    sys.exit(main())
