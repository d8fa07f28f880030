"""Finished and stopped runs of the list, without training."""

import json

from dream_jax.runs import provenance
from experiments.figures import studies, training_queue

# An environment where 0.3 is no exploration and 0.8 optimal.
NO_EXPLORATION, OPTIMAL = 0.3, 0.8


def make(run, out, share, steps=100_000, finished=True, config=None):
    """The folder of a listed run that ends at a normalised return, reached along a line."""
    folder = training_queue.folder(run, out)
    folder.mkdir(parents=True)
    record = provenance.record(config or run.setting.config(), run.seeds)
    (folder / "config.json").write_text(json.dumps(record))
    rows = [row(run.first_seed, k * steps // 4, share * k / 4) for k in range(1, 5)]
    text = "".join(json.dumps(each) + "\n" for each in rows)
    (folder / "metrics.jsonl").write_text(text)
    if finished:
        (folder / "summary.json").write_text(json.dumps(summary(run, share, steps, rows)))
    return folder


def row(seed, steps, share):
    value = NO_EXPLORATION + (OPTIMAL - NO_EXPLORATION) * share
    counts = {"seed": seed, "env_steps": steps, "trials": steps // 30, "updates": steps // 100}
    returns = {"train_return": value, "test_return": value, "train_return_encoder": value}
    clocks = {"wall_s": steps / 1000, "compile_s": 20.0}
    return {**counts, **clocks, **returns, "exploration_length": 12.5, "loss_td": 0.1}


def summary(run, share, steps, rows):
    value = NO_EXPLORATION + (OPTIMAL - NO_EXPLORATION) * share
    part = {
        "return_mean": value,
        "return_ci95": None,
        "return_per_seed": [value],
        "optimal": OPTIMAL,
        "no_exploration": NO_EXPLORATION,
        "normalised_per_seed": [share],
    }
    return {
        "seeds": list(run.seeds),
        "splits": {"train": part, "test": part},
        "time_to_95_s": [80.0 if share >= 0.95 else None],
        "env_steps_to_95": [80_000 if share >= 0.95 else None],
        "updates_to_95": [800 if share >= 0.95 else None],
        "return_at_env_steps": {"250000": [None]},
        **{key: rows[-1][key] for key in ("wall_s", "compile_s", "trials", "updates")},
        "env_steps": steps,
    }


def listed(path):
    """The listed run STUDY/NAME."""
    (run,) = studies.matching(path)
    return run
