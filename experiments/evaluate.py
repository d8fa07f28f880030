"""`python -m experiments.evaluate --checkpoint=DIR [--env=miniworld_sign]`: see README.md."""

import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

from dream_jax.agents.dream_policy import DreamPolicy
from dream_jax.config import ConfigError
from dream_jax.envs.grids import bus, cooking
from dream_jax.envs.splits import split_names
from dream_jax.runs.folder import RUN_FILE, refuse_files
from dream_jax.runs.load import LoadedRun, load_run
from dream_jax.runs.metrics import to_json
from experiments.analyses import bus_rides, fridges, miniworld, sign_decoding
from experiments.cli import flags as cli
from experiments.cli import process as common
from experiments.cli.command_line import CommandLine

MINIWORLD = "miniworld_sign"


class Request(NamedTuple):
    folder: Path
    world: str | None  # None: the benchmark it was trained on
    trials: int
    out: Path | None  # for GIFs
    as_json: bool
    overrides: dict[str, str]


def parse(argv: list[str]) -> Request:
    """Raises ConfigError, one clear line."""
    line = CommandLine("experiments.evaluate")
    line.text("checkpoint", None, "the folder of a run (its --out)")
    line.text("env", "", f"{MINIWORLD}: the real Miniworld; by default the run's own benchmark")
    line.count("trials", 100, "trials of each split and seed, at least")
    line.text("out", "", "write GIFs of trials into this folder")
    line.switch("json", "print one JSON object")
    plain, overrides = cli.split_overrides(argv)
    values = line.read(plain)
    if not values.checkpoint:
        raise ConfigError("--checkpoint is missing: the folder of a run, for example runs/sign")
    if values.env not in ("", MINIWORLD):
        raise ConfigError(f"unknown --env={values.env!r}; valid: {MINIWORLD}, or leave it out")
    if values.out and values.env != MINIWORLD:
        raise ConfigError(f"--out={values.out}: GIFs are drawn with --env={MINIWORLD} only")
    out = Path(values.out) if values.out else None
    if out is not None:
        refuse_files(out)
        if any(out.glob("*.gif")):
            raise ConfigError(f"--out={out} holds GIFs already; give another folder")
    return Request(
        Path(values.checkpoint), values.env or None, values.trials, out, values.json, overrides
    )


def run(request: Request) -> dict[str, Any]:
    """What the command prints, as a dict. Raises ConfigError if the run cannot be evaluated so."""
    common.set_up_jax()
    loaded = load(request.folder, request.overrides)
    result: dict[str, Any] = {
        "checkpoint": str(request.folder),
        "trained_trials": loaded.trials,
        "env": request.world or loaded.config.benchmark,
        "seeds": loaded.seeds,
    }
    if request.world is not None:
        return result | miniworld.run(loaded, request.trials, request.out)
    result["splits"] = loaded.programs.evaluate(
        loaded.params, request.trials, split_names(loaded.env)
    )
    return result | analyse(loaded, request.trials)


def load(folder: Path, overrides: dict[str, str]) -> LoadedRun:
    """The newest checkpoint of a run. Raises ConfigError if there is none that can be read."""
    if not (folder / RUN_FILE).is_file():
        raise ConfigError(f"--checkpoint={folder} holds no run (no {RUN_FILE}); give its --out")
    try:
        return load_run(folder, overrides)
    except ConfigError as error:
        about_folder = str(error).startswith(str(folder))
        raise ConfigError(f"--checkpoint={error}" if about_folder else str(error)) from error


def analyse(loaded: LoadedRun, trials: int) -> dict[str, Any]:
    """What exploration did, where the benchmark has an analysis of that."""
    agent, env, params = loaded.agent, loaded.env, loaded.params
    if loaded.config.benchmark == "sign" and isinstance(agent, DreamPolicy):
        return {"reading": sign_decoding.accuracy(loaded, trials)}
    if isinstance(env, bus.Bus):
        return {"exploration": bus_rides.rides(agent, params, "test", trials)}
    if isinstance(env, cooking.Cooking):
        splits = split_names(env)
        return {"fridges": {s: fridges.fridges(agent, params, s, trials) for s in splits}}
    return {}


def describe(result: dict[str, Any]) -> str:
    lines = [f"{result['checkpoint']} after {result['trained_trials']:,} trials, {result['env']}"]
    parts = result.get("splits") or {"real": result}
    for name, part in parts.items():
        per_seed = ", ".join(f"{value:.3f}" for value in part["return_per_seed"])
        lines.append(f"{name:10}  {part['trials']} trials  return per seed {per_seed}")
    for name, part in result.get("reading", {}).items():
        for what in ("saw", "never_saw"):
            if part[f"trials_{what}"]:
                lines.append(
                    f"{name} exploration, {what.replace('_', ' ')} the sign: "
                    f"{part[f'trials_{what}']} trials, z read right {part[f'accuracy_{what}']:.3f}"
                )
    for kind, part in result.get("exploration", {}).items():
        buses, rides = (
            ", ".join(f"{value:.2f}" for value in part[f"{what}_per_seed"])
            for what in ("buses_ridden", "rides")
        )
        lines.append(f"{kind} buses ridden while exploring, per seed: {buses} (rides: {rides})")
    for name, seeds in result.get("fridges", {}).items():
        for seed, part in zip(result["seeds"], seeds, strict=True):
            shares = ", ".join(
                f"{k} in {share:.2f} (return {value:.2f})"
                for k, (share, value) in enumerate(zip(part["share"], part["return"], strict=True))
                if share
            )
            lines.append(f"{name:5}  seed {seed}, fridges opened while exploring: {shares}")
    return "\n".join(lines)


def main(argv: list[str]) -> int:
    """Exit status: 0 done, 1 a file could not be written, 2 bad input, 130 interrupted."""

    def work() -> int:
        request = parse(argv)
        result = run(request)
        print(json.dumps(to_json(result)) if request.as_json else describe(result))
        return 0

    return common.exit_status(work, "interrupted; nothing is kept but GIFs written so far")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
