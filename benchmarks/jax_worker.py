"""Measures dream_jax with several seeds at once, for `benchmarks.throughput`."""

import functools
import time
from collections.abc import Mapping, Sequence
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import settings
from benchmarks.worker import Handlers, cores, peak_memory_bytes, repeat, serve
from dream_jax import envs
from dream_jax.agents.dream_networks import DreamParams
from dream_jax.config import Config, override
from dream_jax.data import replay
from dream_jax.scaling import seeds as scaling
from dream_jax.training import learner, objective, setup

COMPILED = "/jax/core/compile/backend_compile_duration"
# Iterations per call, so that a call takes some tenths of a second.
CHUNKS = {"collect": 20, "update": 1, "train": 4}


class Contender:
    """Programs over one training state. All go through the trainer's own `iterate`.

    `programs` are of "collect", "update" and "train", and `changes` overrides of the preset's
    fields, by path.
    """

    def __init__(
        self,
        benchmark: str,
        preset: str,
        seeds: int,
        quick: bool,
        programs: Sequence[str] = ("collect", "update", "train"),
        changes: Mapping[str, Any] | None = None,
    ):
        jax.config.update("jax_num_cpu_devices", cores())
        jax.monitoring.register_event_duration_secs_listener(self._on_event)
        makers = {
            "collect": settings.collecting,
            "update": settings.updating,
            "train": settings.training,
        }
        configs = {
            name: override(makers[name](benchmark, preset, quick), changes or {})
            for name in programs
        }
        self.config, self.seeds = configs[programs[-1]], seeds
        self.env = envs.from_config(benchmark, self.config.env)
        self.compilations = 0
        self._runners = {name: self._runner(c, CHUNKS[name]) for name, c in configs.items()}
        self._shape = setup.make_trainer(self.config, self.env).trial_shape

    def prepare(self) -> dict[str, Any]:
        """Compiles and warms up."""
        some = next(iter(self._runners.values()))
        self._state = some.init()
        compile_s = {}
        for name in self._runners:
            first, again = self._timed(name), self._timed(name)
            compile_s[name] = max(first - again, 0.0)
        self._counts()
        self._matmul = _matmul()
        self._warm_compilations = self.compilations
        capacity = self.config.replay.capacity_trials
        return {
            "compile_s": compile_s,
            "devices": some.placement.mesh.devices.size,
            "replay_bytes": self.seeds * replay.size_bytes(self._shape, capacity),
        }

    def measure(self, what: str, seconds: float) -> dict[str, float]:
        """Environment steps, trials and updates per second, summed over the seeds."""
        before = self._counts()
        _, taken = repeat(lambda: self.run(what), seconds)
        return {name: (n - before[name]) / taken for name, n in self._counts().items()}

    def matmul(self) -> dict[str, float]:
        """float32 operations per second of a large matrix product."""
        return {"flops_per_s": self._matmul()}

    def memory(self) -> dict[str, float]:
        """Bytes that the training program needs, as the compiler reports them."""
        runner = self._runners["train"]
        memory: Any = runner.chunk.compile(runner.shape).call.memory_analysis()  # on each device
        held = memory.argument_size_in_bytes * self.seeds // runner.placement.round_seeds
        new = memory.output_size_in_bytes - memory.alias_size_in_bytes + memory.temp_size_in_bytes
        return {"state_bytes": held, "peak_bytes": held + new}

    def finish(self) -> dict[str, float]:
        """Peak memory in bytes, and the number of compilations since `prepare`."""
        return {
            "peak_memory_bytes": peak_memory_bytes(),
            "recompilations": self.compilations - self._warm_compilations,
        }

    def flops(self) -> dict[str, float]:
        """Operations in one update of one seed, by the compiler's cost analysis.

        The analysis counts the body of a loop once, so loops are unrolled here.
        """
        trainer = setup.make_trainer(self.config, self.env)
        params = jax.eval_shape(trainer.agent.init, jax.random.key(0))
        optimizer = self.config.optimizer
        optimizers = [
            learner.make_optimizer(optimizer, 1_000, decay)
            for decay in (optimizer.weight_decay, 0.0)
        ]
        learners = [
            jax.eval_shape(functools.partial(learner.init_learner, optimizer=o), p)
            for p, o in zip(params, optimizers, strict=True)
        ]

        def trials(count: int) -> Any:
            return jax.tree.map(
                lambda x: jax.ShapeDtypeStruct((count, *x.shape), x.dtype), trainer.trial_shape
            )

        def update(learners, batch, exploring, key):
            params = DreamParams(*(x.params for x in learners))
            target = DreamParams(*(x.target_params for x in learners))
            gradient, _ = jax.grad(
                lambda p: objective.loss(
                    trainer.agent, p, target, objective.Batch(batch, exploring), key
                ),
                has_aux=True,
            )(params)
            return [
                learner.update_learner(x, g, o, 1, jnp.ones((), bool))
                for x, g, o in zip(learners, gradient, optimizers, strict=True)
            ]

        batch = trials(self.config.replay.batch_trials)
        fewer = self.config.exploration_batch_trials
        exploring = trials(fewer) if fewer < self.config.replay.batch_trials else None
        unrolled = functools.partial(jax.lax.scan, unroll=True)
        with mock.patch.object(jax.lax, "scan", unrolled):
            lowered = jax.jit(update).lower(learners, batch, exploring, jax.random.key(0))
        return {"flops": _flops(lowered.compile()), "flops_before_optimisation": _flops(lowered)}

    def _runner(self, config: Config, iterations: int) -> scaling.SeedRunner:
        trainer = setup.make_trainer(config, self.env)
        return scaling.make_runner(trainer, range(self.seeds), iterations, jax.devices())

    def run(self, what: str) -> None:
        self._state, metrics = self._runners[what].chunk(self._state)
        jax.block_until_ready((self._state, metrics))

    def _timed(self, what: str) -> float:
        began = time.perf_counter()
        self.run(what)
        return time.perf_counter() - began

    def _counts(self) -> dict[str, int]:
        counts = dict.fromkeys(("env_steps", "trials", "updates"), 0)
        for s in self._state:
            total = {
                "env_steps": (s.exploration_steps, s.exploitation_steps),
                "trials": (s.trials,),
                "updates": (s.learners.exploitation.updates, s.learners.exploration.updates),
            }
            for name, parts in total.items():
                counts[name] += sum(int(np.sum(np.asarray(x))) for x in parts)
        return counts | {"updates": counts["updates"] // 2}  # of both learners

    def _on_event(self, event: str, *_: Any, **__: Any) -> None:
        self.compilations += event == COMPILED


def _matmul(size: int = 2_048) -> Any:
    a = jnp.full((size, size), 1e-3, jnp.float32)
    product = jax.jit(jnp.matmul)

    def measure() -> float:
        calls, taken = repeat(lambda: product(a, a).block_until_ready(), 0.5)
        return 2.0 * size**3 * calls / taken

    measure()
    return measure


def _flops(stage: Any) -> float:
    analysis = stage.cost_analysis()
    return float((analysis[0] if isinstance(analysis, list) else analysis)["flops"])


def make(arguments: dict[str, Any]) -> Handlers:
    contender = Contender(**arguments)
    names = ("prepare", "measure", "matmul", "memory", "flops", "finish")
    return {name: getattr(contender, name) for name in names}


if __name__ == "__main__":
    serve(make)
