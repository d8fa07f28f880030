"""`python -m benchmarks.host_throughput MODULE:CLASS`: training steps/s beside the bare worlds'.

The bare worlds are stepped with random actions by gymnasium's vector environments, in one process
and in one process per core; the faster counts. Training steps include everything between two
evaluations: acting, replay and updates. Both are measured in this run.
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import gymnasium
import numpy as np

from dream_jax import api, presets, problems
from dream_jax.config import ConfigError
from dream_jax.envs.adapters import own
from dream_jax.runs.jax_setup import cores
from experiments.cli import process
from experiments.cli.command_line import CommandLine

MODULE = "benchmarks.host_throughput"


def main(argv: Sequence[str]) -> int:
    """The exit status: see `process.exit_status`."""

    def work() -> int:
        name = argv[0] if argv else ""
        if not own.is_own(name) and name not in ("-h", "--help"):
            raise ConfigError(f"{name!r} is not MODULE:CLASS; give a host family first")
        line = CommandLine(f"{MODULE} MODULE:CLASS", "Steps per second, in training and bare.")
        line.count("trials", 1_024, "to train on, in two halves; the second is timed")
        line.count("steps", 20_000, "of the bare worlds")
        line.count("updates", None, "per iteration of training, instead of the family's own")
        line.switch("json", "print one JSON object")
        given = line.read(argv[own.is_own(name) :])
        process.set_up_jax()
        found = measure(name, given.trials, given.steps, given.updates)
        if given.json:
            print(json.dumps(found))
        else:
            for key, value in found.items():
                print(f"{key}: {value:,.2f}")
        return 0

    return process.exit_status(work, "interrupted")


def measure(name: str, trials: int, steps: int, updates: int | None = None) -> dict[str, float]:
    """Steps per second, with `updates` per iteration, by default the family's own.

    Raises ConfigError if the family does not make gymnasium environments.
    """
    config = presets.get(name, "dream")
    try:
        env: Any = own.make(name, horizon=config.env.horizon)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    if not getattr(env, "runs_on_host", False):
        raise ConfigError(f"{name} is no HostFamily")
    problem = problems.first(env, "train")
    instruction = problems.draw_instructions(env, np.array([problem]))[0]

    env.close()  # the processes that checked it
    world = env.make(problem, instruction)
    if not isinstance(world, gymnasium.Env):
        raise ConfigError(f"{name} makes no gymnasium environments, so there is no bare one")
    world.close()

    def make() -> Any:
        return gymnasium.wrappers.TimeLimit(env.make(problem, instruction), config.env.horizon)

    count = config.training.trials_per_iteration
    one, many, actions = [make] * count, [make] * len(cores()), env.num_actions
    bare = {
        "bare_one_process": _steps_per_s(
            lambda: gymnasium.vector.SyncVectorEnv(one), steps, actions
        ),
        "bare_processes": _steps_per_s(
            lambda: gymnasium.vector.AsyncVectorEnv(many, shared_memory=False, context="spawn"),
            steps,
            actions,
        ),
    }
    half = max(1, trials // 2 // count) * count
    overrides = {
        "training.updates_per_iteration": updates or config.training.updates_per_iteration,
        "training.trials": 2 * half,
        "training.evaluation_period_trials": half,
        "training.evaluation_trials": 1,
        "training.final_evaluation_trials": 1,
        "replay.warmup_trials_exploitation": count,
        "replay.warmup_trials_exploration": count,
    }
    ends: list[tuple[float, int]] = []

    def note(event: Any) -> None:
        ends.append((time.perf_counter(), event.rows[0]["env_steps"]))

    run = api.train(name, overrides=overrides, on_evaluation=note, verbose=False)
    (first_s, first), (second_s, second) = ends
    trained = (second - first) / (second_s - first_s)
    assert run.finished
    return {
        **bare,
        "training": trained,
        "share": trained / max(bare.values()),
    }


def _steps_per_s(make: Callable[[], Any], steps: int, num_actions: int) -> float:
    vector = make()
    try:
        vector.reset(seed=0)
        actions = np.random.default_rng(0).integers(0, num_actions, (64, vector.num_envs))
        began, taken = time.perf_counter(), 0
        while taken < steps:
            vector.step(actions[taken // vector.num_envs % 64])
            taken += vector.num_envs
        return taken / (time.perf_counter() - began)
    finally:
        vector.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
