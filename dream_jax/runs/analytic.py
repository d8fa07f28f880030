"""The presets that are computed, not trained: `optimal`, `no_exploration` and `pearl_ub`."""

import time
from collections.abc import Callable

import numpy as np

from dream_jax import envs
from dream_jax.config import Config, ConfigError
from dream_jax.oracles import bounds as oracles
from dream_jax.oracles import pearl_ub
from dream_jax.runs import summary as summaries
from dream_jax.runs.folder import RunRequest, prepare_folder
from dream_jax.runs.metrics import MetricsWriter, write_json
from dream_jax.types import Env

# (env, split, config) -> [n] returns on the ids of the split.
AGENTS: dict[str, Callable[[Env, str, Config], np.ndarray]] = {
    "optimal": lambda env, split, config: oracles.optimal(env, split),
    "no_exploration": lambda env, split, config: oracles.no_exploration(env, split),
    "pearl_ub": lambda env, split, config: pearl_ub.returns(env, split, config.pearl_ub),
}


def run(arguments: RunRequest, started_s: float) -> int:
    config = arguments.config
    env = envs.from_config(config.benchmark, config.env)
    oracle = AGENTS[config.agent]
    try:
        returns = {split: float(oracle(env, split, config).mean()) for split in summaries.SPLITS}
    except ValueError as error:  # of a problem of the user's
        raise ConfigError(f"agent={config.agent!r}: {error}") from error
    bounds = summaries.bounds_of(env)
    prepare_folder(arguments, summaries.run_record(config, arguments.seeds))
    counts = {"env_steps": 0, "trials": 0, "updates": 0}
    wall_s = time.time() - started_s
    with MetricsWriter(arguments.out) as writer:
        for seed in arguments.seeds:
            row = {"seed": seed, **counts, "wall_s": wall_s, "compile_s": 0.0}
            writer.write(row | {f"{split}_return": returns[split] for split in summaries.SPLITS})
    solved = summaries.solved(returns["test"], bounds["test"])
    summary = {
        "benchmark": config.benchmark,
        "config": config.preset,
        "seeds": list(arguments.seeds),
        "splits": {
            split: summaries.split_summary([returns[split]] * len(arguments.seeds), bounds[split])
            for split in summaries.SPLITS
        },
        "time_to_95_s": [wall_s if solved else None] * len(arguments.seeds),
        "wall_s": wall_s,
        "compile_s": 0.0,
        **counts,
    }
    write_json(arguments.out / "summary.json", summary)
    print(summaries.describe(summary))
    return 0
