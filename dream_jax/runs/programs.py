"""The compiled programs of a run."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import NamedTuple, TypeVar

import jax

from dream_jax.config import Config
from dream_jax.oracles.bounds import Bounds
from dream_jax.runs import host_memory, memory
from dream_jax.runs import summary as summaries
from dream_jax.runs import trials as fixed_trials
from dream_jax.runs.metrics import progress_line
from dream_jax.runs.rows import returns_of
from dream_jax.scaling import seeds as scaling
from dream_jax.training import evaluation as evaluations
from dream_jax.training import setup
from dream_jax.training.trainer import Trainer
from dream_jax.types import TrainState

T = TypeVar("T")


class Programs(NamedTuple):
    """Everything that is computed before a run trains."""

    chunk: scaling.ChunkProgram
    evaluate: scaling.SeedProgram  # (params, TrialSets) -> Results, on the trials of the curves
    evaluate_any: scaling.SeedProgram  # the same function; compiles anew for other trials
    bounds: dict[str, Bounds]
    compile_s: float


def curve_trials(config: Config, trainer: Trainer) -> fixed_trials.TrialSets:
    """The trials that learning curves are measured on."""
    count = config.training.evaluation_trials
    return fixed_trials.of_splits(config, trainer.agent.env, count, cover=False)


def evaluation_params(config: Config, state: scaling.SeedGroups) -> scaling.SeedGroups:
    """The parameters to evaluate, of every seed."""
    return tuple(evaluations.evaluation_params(config, group) for group in state)


def compile_programs(
    config: Config,
    trainer: Trainer,
    runner: scaling.SeedRunner,
    state: TrainState | None,  # leaves [seeds, ...]; None: the run starts from the beginning
    log: Callable[[str], None],
) -> tuple[Programs, scaling.SeedGroups]:
    """Compile evaluation, then training. Also place the state on the devices.

    The oracles are computed while training compiles. A run that starts from the beginning first
    logs the returns of its untrained agents.
    """
    env = trainer.agent.env
    sets = curve_trials(config, trainer)
    params = evaluations.evaluation_params(config, runner.shape)
    evaluate_any = runner.over_seeds(partial(fixed_trials.evaluate_on, trainer.agent))
    began, before = time.time(), memory.resident_bytes()
    with ThreadPoolExecutor(4) as pool:

        def compiled(compile_it: Callable[[], T]) -> "Future[T]":
            def work() -> T:
                program = compile_it()
                host_memory.release()  # what compiling took, before the next one peaks
                return program

            return pool.submit(work)

        evaluate = compiled(lambda: evaluate_any.compile(params, sets))
        lowered = pool.submit(lambda: runner.chunk.lower(runner.shape))
        placed = pool.submit(lambda: runner.init() if state is None else runner.place(state))
        if state is None:
            untrained = evaluate.result()(evaluation_params(config, placed.result()), sets)
            results = jax.device_get(runner.join(untrained))
            seeds = len(results["train"].trial_return)
            rows = [{"updates": 0} | returns_of(results, i) for i in range(seeds)]
            log(progress_line(rows, setup.total_updates(config)))
        shapes = scaling.state_shape(trainer, runner.placement.seeds)
        said = memory.describe(env, lowered.result(), shapes, before)
        if said is not None:
            log(said)
        chunk = compiled(lambda: runner.chunk.compile(runner.shape, None, lowered.result()))
        bounds = pool.submit(lambda: summaries.bounds_of(env))
        found = chunk.result(), evaluate.result(), evaluate_any, bounds.result()
    compile_s = time.time() - began
    log(f"compiled in {compile_s:.1f}s")
    return Programs(*found, compile_s), placed.result()
