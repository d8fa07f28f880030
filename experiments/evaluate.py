"""`python -m experiments.evaluate --checkpoint=DIR [--env=miniworld_sign]`: see README.md."""

import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

import jax
from absl import flags

from dream_jax import config as configs
from dream_jax.agents.dream_policy import DreamPolicy
from dream_jax.config import Config, ConfigError
from dream_jax.envs.grids import bus, cooking
from dream_jax.runs import checkpoint, provenance
from dream_jax.runs import summary as summaries
from dream_jax.runs import trials as fixed_trials
from dream_jax.runs.folder import RUN_FILE, refuse_files, saved_run
from dream_jax.runs.metrics import to_json
from dream_jax.scaling import seeds as scaling
from dream_jax.training import evaluation as evaluate
from dream_jax.training import setup
from dream_jax.training import trainer as train
from experiments.analyses import bus_rides as riding
from experiments.analyses import fridges as opening
from experiments.analyses import sign_decoding as reading
from experiments.cli import flags as cli
from experiments.cli import process as common

MINIWORLD = "miniworld_sign"
KEY = 20_210_719  # not the trials that curves were drawn from


class Loaded(NamedTuple):
    """A finished or running experiment."""

    config: Config
    env: Any
    trainer: train.Trainer
    params: Any  # leading seed axis
    seeds: list[int]
    trials: int  # trained on


class Request(NamedTuple):
    folder: Path
    world: str | None  # None: the benchmark it was trained on
    trials: int
    out: Path | None  # for GIFs
    as_json: bool
    overrides: dict[str, str]


def parse(argv: list[str]) -> Request:
    """Raises ConfigError, one clear line."""
    values = flags.FlagValues()
    flags.DEFINE_string("checkpoint", None, "the folder of a run (its --out)", flag_values=values)
    flags.DEFINE_string(
        "env", "", f"{MINIWORLD}: the real Miniworld; default: where it trained", flag_values=values
    )
    flags.DEFINE_integer("trials", 100, "of each split and seed, at least", flag_values=values)
    flags.DEFINE_string("out", "", "write GIFs of trials here", flag_values=values)
    flags.DEFINE_bool("json", False, "print one JSON object", flag_values=values)
    plain, overrides = cli.split_overrides(argv)
    cli.parse_flags("evaluate", values, plain)
    if not values.checkpoint:
        raise ConfigError("--checkpoint is missing: the folder of a run, for example runs/sign")
    if values.env not in ("", MINIWORLD):
        raise ConfigError(f"unknown --env={values.env!r}; valid: {MINIWORLD}, or leave it out")
    if values.trials < 1:
        raise ConfigError(f"--trials={values.trials} must be at least 1")
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


def load(folder: Path, overrides: dict[str, str]) -> Loaded:
    """The newest checkpoint of a run. Raises ConfigError if there is none that can be read."""
    if not (folder / RUN_FILE).is_file():
        raise ConfigError(f"--checkpoint={folder} holds no run (no {RUN_FILE}); give its --out")
    saved = saved_run(folder)
    config, seeds = configs.override(provenance.config_of(saved), overrides), saved["seeds"]
    env = cli.checked_env(config)
    trainer = setup.make_trainer(config, env)
    try:
        shape = scaling.state_shape(trainer, len(seeds))
        state, about = checkpoint.restore(folder / "checkpoints", shape)
    except (OSError, ValueError) as error:
        raise ConfigError(f"--checkpoint={folder}: {error}") from error
    params = train.evaluation_params(config, state)
    return Loaded(config, env, trainer, params, seeds, about["trials"])


def in_benchmark(loaded: Loaded, trials: int) -> dict[str, Any]:
    """Both splits of the benchmark it was trained on, every problem covered."""
    config, env, agent = loaded.config, loaded.env, loaded.trainer.agent
    result: dict[str, Any] = {}
    bounds = summaries.bounds_of(env)
    for split, trial_set in fixed_trials.of_splits(config, env, trials, cover=True).items():

        def roll(params: Any, trial_set: evaluate.TrialSet = trial_set) -> evaluate.Evaluation:
            return evaluate.evaluate(agent, params, jax.random.key(KEY), trial_set)

        got = jax.device_get(jax.jit(lambda p, f=roll: jax.lax.map(f, p))(loaded.params))
        returns = got.trial_return.mean(axis=1)
        result[split] = summaries.split_summary(returns.tolist(), bounds[split])
        result[split] |= {
            "trials": len(trial_set.problem),
            "exploration_length_per_seed": got.exploration_length.mean(axis=1).tolist(),
        }
    return result


def run(request: Request) -> dict[str, Any]:
    common.set_up_jax()
    loaded = load(request.folder, request.overrides)
    result: dict[str, Any] = {
        "checkpoint": str(request.folder),
        "trained_trials": loaded.trials,
        "env": request.world or loaded.config.benchmark,
        "seeds": loaded.seeds,
    }
    if request.world is None:
        result["splits"] = in_benchmark(loaded, request.trials)
        is_dream = isinstance(loaded.trainer.agent, DreamPolicy)
        if loaded.config.benchmark == "sign" and is_dream:
            result["reading"] = reading.accuracy(loaded, request.trials)
        if isinstance(loaded.env, bus.Bus):
            result["exploration"] = riding.rides(
                loaded.trainer.agent, loaded.params, "test", request.trials
            )
        if isinstance(loaded.env, cooking.Cooking):
            result["fridges"] = {
                split: opening.fridges(loaded.trainer.agent, loaded.params, split, request.trials)
                for split in result["splits"]
            }
        return result
    from experiments.analyses import miniworld as zero_shot

    return result | zero_shot.run(loaded, request.trials, request.out)


def describe(result: dict[str, Any]) -> str:
    lines = [f"{result['checkpoint']} after {result['trained_trials']:,} trials, {result['env']}"]
    parts = result.get("splits") or {"real": result}
    for name, part in parts.items():
        per_seed = ", ".join(f"{value:.3f}" for value in part["return_per_seed"])
        lines.append(f"{name:5}  {part['trials']} trials  return per seed {per_seed}")
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
