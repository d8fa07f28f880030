"""The presets that are computed, not trained: `optimal` and `no_exploration`."""

import time

from dream_jax import envs, oracles
from dream_jax.logging import MetricsWriter, write_json
from experiments import summary as summaries
from experiments.cli import Arguments, prepare_folder

AGENTS = {"optimal": oracles.optimal, "no_exploration": oracles.no_exploration}


def run(arguments: Arguments, started_s: float) -> int:
    config = arguments.config
    env = envs.from_config(config.benchmark, config.env)
    oracle = AGENTS[config.agent]
    returns = {split: float(oracle(env, split).mean()) for split in summaries.SPLITS}
    bounds = {split: oracles.bounds(env, split) for split in summaries.SPLITS}
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
