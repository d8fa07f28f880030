"""A training run: chunks of training, evaluations, rows, checkpoints, and a summary at the end."""

import json
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from dream_jax import envs
from dream_jax.config import Config, ConfigError
from dream_jax.data import replay
from dream_jax.oracles import bounds as oracles
from dream_jax.runs import checkpoint
from dream_jax.runs import metrics as logs
from dream_jax.runs import summary as summaries
from dream_jax.runs import trials as fixed_trials
from dream_jax.runs.folder import RunRequest, prepare_folder
from dream_jax.runs.signals import StopSignal
from dream_jax.scaling import seeds as waves
from dream_jax.training import trainer as train
from dream_jax.types import TrainState
from dream_jax.viz import gif as video
from dream_jax.viz import plots as report

SPLITS = summaries.SPLITS


class Programs(NamedTuple):
    """Everything compiled for a run."""

    chunk: waves.ChunkProgram
    evaluate: waves.WaveProgram  # (params, TrialSets) -> Results, on the trials of the curves
    evaluate_any: waves.WaveProgram  # compiles anew for other trials
    bounds: dict[str, oracles.Bounds]
    compile_s: float


class Resumed(NamedTuple):
    """Where a run goes on from."""

    state: TrainState | None  # None: from the start
    about: dict[str, Any]  # the checkpoint's metadata
    rows: list[dict[str, Any]]  # of metrics.jsonl so far


def run(arguments: RunRequest, started_s: float) -> int:
    config, seeds = arguments.config, arguments.seeds
    env = envs.from_config(config.benchmark, config.env)
    trainer = train.make_trainer(config, env)
    iterations = config.training.evaluation_period_trials // config.training.trials_per_iteration
    runner = waves.make_runner(trainer, seeds, iterations, jax.devices())

    _announce_memory(config, trainer, len(seeds) * config.training.trial_shards)
    resumed = _read_run(arguments, trainer)
    prepare_folder(arguments, summaries.run_record(config, seeds))
    with StopSignal() as stop:
        programs, state = _compile(arguments, trainer, runner, resumed.state)
        resumed = resumed._replace(state=None)  # not to hold the replays twice
        return _train(arguments, trainer, runner, programs, state, resumed, started_s, stop)


def _train(
    arguments: RunRequest,
    trainer: train.Trainer,
    runner: waves.SeedRunner,
    programs: Programs,
    state: waves.Units,  # of TrainState
    resumed: "Resumed",
    started_s: float,
    stop: StopSignal,
) -> int:
    config, out, seeds = arguments.config, arguments.out, arguments.seeds
    env = trainer.agent.env
    about, rows = resumed.about, list(resumed.rows)
    bounds, checkpoints = programs.bounds, out / "checkpoints"
    compile_s = about["compile_s"] + programs.compile_s
    earlier_s = about["wall_s"]  # spent before this process, when resumed
    trials, evaluations = about["trials"], about["evaluations"]
    total_updates = train.total_updates(config)
    curve_sets = fixed_trials.of_splits(config, env, config.training.evaluation_trials, cover=False)
    began_s, began_trials = time.time(), trials
    began_steps = sum(row["env_steps"] for row in rows[len(rows) - len(seeds) :])

    def clock() -> float:
        return time.time() - started_s + earlier_s

    def save() -> None:
        metadata = {
            "rows": len(rows),
            "trials": trials,
            "evaluations": evaluations,
            "wall_s": clock(),
            "compile_s": compile_s,
            "time_to_95_s": about["time_to_95_s"],
        }
        checkpoint.save(checkpoints, trials, runner.join(state), metadata)

    with logs.MetricsWriter(out, resume_rows=len(rows)) as writer:
        while trials < config.training.trials:
            state, losses = programs.chunk(state)
            metrics = runner.join(losses)
            bad = _not_finite(metrics)
            if bad:
                _report_failure(bad, checkpoints, out)
                return 1
            trials += config.training.evaluation_period_trials
            evaluations += 1
            results = jax.device_get(
                runner.join(programs.evaluate(_params(config, state), curve_sets))
            )
            # Done: what follows reads the clock.
            counts = _counts(runner, state)
            new = _rows(seeds, counts, metrics, results, clock(), compile_s)
            for row in new:
                writer.write(row)
            rows.extend(new)
            for i, row in enumerate(new):
                if (
                    summaries.solved(row["test_return"], bounds["test"])
                    and about["time_to_95_s"][i] is None
                ):
                    about["time_to_95_s"][i] = row["wall_s"]

            steps = sum(row["env_steps"] for row in new)
            elapsed = max(time.time() - began_s, 1e-9)
            done = (trials - began_trials) / max(config.training.trials - began_trials, 1)
            rate = (steps - began_steps) / elapsed
            left = elapsed * (1.0 - done) / done
            print(logs.progress_line(new, total_updates, rate, left), flush=True)

            stopping = stop.requested and trials < config.training.trials
            due = evaluations % config.training.evaluations_per_checkpoint == 1
            if due or stopping or config.training.evaluations_per_checkpoint == 1:
                save()
            if stopping:
                _curves(out, config, rows, bounds)
                print(f"stopped by {stop.requested}; --resume goes on from {out}", flush=True)
                return 0
        save()

    _curves(out, config, rows, bounds)
    final_sets = fixed_trials.of_splits(
        config, env, config.training.final_evaluation_trials, cover=True
    )
    results = jax.device_get(runner.join(programs.evaluate_any(_params(config, state), final_sets)))
    summary = _summary(arguments, bounds, results, _counts(runner, state), about, compile_s)
    summary |= {"wall_s": clock()}
    logs.write_json(out / "summary.json", summary)
    video.write(out / "videos", trainer.agent, runner.join(_params(config, state)), seeds)
    print(summaries.describe(summary), flush=True)
    print(f"written to {out}: summary.json, metrics.jsonl, curves.png, videos/", flush=True)
    return 0


def _compile(
    arguments: RunRequest,
    trainer: train.Trainer,
    runner: waves.SeedRunner,
    state: TrainState | None,  # None: from the start
) -> tuple[Programs, waves.Units]:
    """Compile evaluation, then training, computing the oracles beside it; place the state.

    In between a first result is printed: that of agents that have not trained.
    """
    config, env = arguments.config, trainer.agent.env
    sets = fixed_trials.of_splits(config, env, config.training.evaluation_trials, cover=False)
    params = train.evaluation_params(config, runner.shape)
    evaluate_any = runner.over_seeds(partial(fixed_trials.evaluate_on, trainer.agent))
    began = time.time()
    with ThreadPoolExecutor(4) as pool:
        evaluation = pool.submit(lambda: evaluate_any.compile(params, sets))
        placed = pool.submit(lambda: runner.init() if state is None else runner.grid.place(state))
        if state is None:
            untrained = runner.join(evaluation.result()(_params(config, placed.result()), sets))
            rows = [_returns(jax.device_get(untrained), i) for i in range(len(arguments.seeds))]
            total = train.total_updates(config)
            print(logs.progress_line([{"updates": 0} | row for row in rows], total), flush=True)
        chunk = pool.submit(lambda: runner.chunk.compile(runner.shape))
        bounds = pool.submit(lambda: summaries.bounds_of(env))
        compiled = chunk.result(), evaluation.result(), evaluate_any, bounds.result()
    compile_s = time.time() - began
    print(f"compiled in {compile_s:.1f}s", flush=True)
    return Programs(*compiled, compile_s), placed.result()


def _params(config: Config, state: waves.Units) -> waves.Units:
    """The parameters to evaluate."""
    return tuple(train.evaluation_params(config, unit) for unit in state)


def _read_run(arguments: RunRequest, trainer: train.Trainer) -> Resumed:
    """What there is to resume. Raises ConfigError if it is damaged; changes nothing."""
    about: dict[str, Any] = {
        "rows": 0,
        "trials": 0,
        "evaluations": 0,
        "wall_s": 0.0,
        "compile_s": 0.0,
        "time_to_95_s": [None] * len(arguments.seeds),
    }
    folder = arguments.out / "checkpoints"
    if not arguments.resume:
        return Resumed(None, about, [])
    if checkpoint.latest_step(folder) is None:
        print(f"no checkpoint in {folder}: starting anew", flush=True)
        return Resumed(None, about, [])
    metrics = arguments.out / "metrics.jsonl"
    try:
        shape = waves.state_shape(trainer, len(arguments.seeds))
        state, about = checkpoint.restore(folder, shape)
        lines = metrics.read_text().splitlines()[: about["rows"]]
        rows = [json.loads(line) for line in lines]
    except (OSError, ValueError) as error:
        raise ConfigError(f"--resume: {arguments.out} is damaged: {error}") from error
    if len(rows) < about["rows"]:
        raise ConfigError(
            f"--resume: {metrics} has {len(rows)} rows, its checkpoint was saved after "
            f"{about['rows']}; use --overwrite to start anew"
        )
    print(f"resumed from {folder} at {about['trials']:,} trials", flush=True)
    return Resumed(state, about, rows)


def _counts(runner: waves.SeedRunner, state: waves.Units) -> dict[str, np.ndarray]:
    """By name of a row's column, [seeds]."""
    counted = [
        {
            "env_steps": unit.exploration_steps + unit.exploitation_steps,
            "trials": unit.trials,
            "updates": unit.learners[0].updates,
        }
        for unit in state
    ]
    return jax.device_get(runner.join(tuple(counted)))


def _rows(
    seeds: Sequence[int],
    counts: dict[str, np.ndarray],
    metrics: dict[str, jax.Array],
    results: fixed_trials.Results,
    wall_s: float,
    compile_s: float,
) -> list[dict[str, Any]]:
    """One row of metrics.jsonl per seed."""
    metrics = jax.device_get(metrics)
    rows = []
    for i, seed in enumerate(seeds):
        row = {
            "seed": seed,
            **{name: int(count[i]) for name, count in counts.items()},
            "wall_s": wall_s,
            "compile_s": compile_s,
            **_returns(results, i),
        }
        rows.append(row | {name: float(value[i]) for name, value in sorted(metrics.items())})
    return rows


def _returns(results: fixed_trials.Results, i: int) -> dict[str, float]:
    """The part of a row that an evaluation gives: of the i-th seed."""
    row = {
        "train_return": float(results["train"].trial_return[i].mean()),
        "test_return": float(results["test"].trial_return[i].mean()),
        "exploration_length": float(results["test"].exploration_length[i].mean()),
    }
    told = results["train"].encoder_return
    if told is not None:
        row["train_return_encoder"] = float(told[i].mean())
    return row


def _summary(
    arguments: RunRequest,
    bounds: dict[str, oracles.Bounds],
    results: fixed_trials.Results,
    counts: dict[str, np.ndarray],
    about: dict[str, Any],
    compile_s: float,
) -> dict[str, Any]:
    splits = {}
    for split in SPLITS:
        returns = results[split].trial_return.mean(axis=1).tolist()
        splits[split] = summaries.split_summary(returns, bounds[split])
    return {
        "benchmark": arguments.config.benchmark,
        "config": arguments.config.preset,
        "seeds": list(arguments.seeds),
        "splits": splits,
        "time_to_95_s": about["time_to_95_s"],
        "compile_s": compile_s,
        **{name: int(count.mean()) for name, count in counts.items()},
    }


def _curves(
    out: Path, config: Config, rows: list[dict[str, Any]], bounds: dict[str, oracles.Bounds]
) -> None:
    lines = {
        split: {name: x for name, x in bounds[split]._asdict().items() if np.isfinite(x)}
        for split in SPLITS
    }
    report.curves(out / "curves.png", rows, lines, f"{config.preset} on {config.benchmark}")


def _announce_memory(config: Config, trainer: train.Trainer, copies: int) -> None:
    """Print what the replays take before they are allocated; refuse what does not fit."""
    each = replay.size_bytes(trainer.trial_shape, config.replay.capacity_trials)
    replay.check_fits(each, copies, config.replay.capacity_trials)


def _not_finite(metrics: dict[str, jax.Array]) -> str | None:
    """The first loss that is NaN or infinite, with its seed."""
    for name, values in jax.device_get(metrics).items():
        bad = np.flatnonzero(~np.isfinite(values))
        if bad.size:
            return f"{name} is {values[bad[0]]} in seed number {bad[0]}"
    return None


def _report_failure(bad: str, checkpoints: Path, out: Path) -> None:
    step = checkpoint.latest_step(checkpoints)
    kept = f"the last good checkpoint is {checkpoints}/{step}" if step else "no checkpoint yet"
    print(f"error: {bad}; training stopped, {kept}, rows so far in {out}", file=sys.stderr)
