"""One measurement of the accelerator campaign, in a process of its own.

`benchmarks.accelerator` starts it as `python -m benchmarks.accelerator_parts JSON`. It compiles,
prints {"ready": {...}}, waits for the line "go SECONDS" on its input, and then prints a line
{"row": {...}} for everything that it measures. So several parts can compile at the same time and
still be measured one after the other.
"""

import functools
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

Row = dict[str, Any]
Prepared = tuple[Row, Callable[[float], Iterator[Row]]]  # what `ready` says; seconds -> rows
QUICK_SECONDS = 0.05  # of a measurement with tiny sizes


def ceilings(quick: bool) -> Prepared:
    """What the device is, and what it reaches: products at each precision, and a copy."""
    import jax
    import jax.numpy as jnp

    from dream_jax.runs import provenance
    from dream_jax.runs.metrics import versions

    size, length = (256, 1 << 16) if quick else (8_192, 1 << 30)
    kinds = {
        "float32": (jnp.float32, "highest"),
        "float32_default": (jnp.float32, "default"),
        "bfloat16": (jnp.bfloat16, "default"),
    }
    a = jax.random.normal(jax.random.key(0), (size, size))
    products = {}
    for name, (dtype, precision) in kinds.items():
        operand = a.astype(dtype)
        multiply = jax.jit(functools.partial(_square, precision=precision))
        products[name] = multiply.lower(operand).compile(), operand
    copied = jnp.ones(length, jnp.float32)
    copy = jax.jit(lambda x: x + 1.0).lower(copied).compile()

    def measure(seconds: float) -> Iterator[Row]:
        yield {"what": "machine", "git": provenance.git_state(), **versions()}
        each = QUICK_SECONDS if quick else 1.0
        for name, (product, operand) in products.items():
            calls_per_s = _rate(functools.partial(product, operand), each)
            yield {"what": "matmul", "kind": name, "flops_per_s": 2.0 * size**3 * calls_per_s}
        per_s = _rate(functools.partial(copy, copied), each)
        yield {"what": "copy", "bytes_per_s": 2.0 * copied.nbytes * per_s}

    return {}, measure


def correct(benchmark: str, preset: str, quick: bool) -> Prepared:
    """Trials, losses, gradients and pictures on the accelerator against the CPU's.

    Errors are |theirs - ours| / |ours|, over all losses, and over all parameters of a learner.
    """
    import jax
    import jax.numpy as jnp
    import numpy as np

    from benchmarks import settings
    from dream_jax import envs
    from dream_jax.training import objective, setup

    config = settings.training(benchmark, preset, quick)
    trainer = setup.make_trainer(config, envs.from_config(benchmark, config.env))
    agent, cpu = trainer.agent, jax.devices("cpu")[0]
    trials = 4 if quick else config.replay.batch_trials

    def collect(params: Any, key: Any) -> Any:
        ones, every_other = jnp.ones(trials), jnp.arange(trials) % 2 == 0
        keys = jax.random.split(key, trials)
        one = jax.vmap(agent.collect, in_axes=(None, 0, 0, 0, 0))
        return one(params, keys, ones, ones, every_other)

    def gradient(params: Any, target: Any, batch: Any, key: Any) -> Any:
        return jax.grad(
            lambda p: objective.loss(agent, p, target, objective.Batch(batch), key), has_aux=True
        )(params)

    on_cpu: Any = jax.default_device(cpu)
    with on_cpu:
        params = jax.jit(agent.init)(jax.random.key(0))
        target = jax.jit(agent.init)(jax.random.key(1))
        key = jax.random.key(2)
        ours = jax.device_get(jax.jit(collect)(params, key))
        host = jax.device_get((params, target, ours))
        with jax.default_matmul_precision("highest"):
            exact = jax.device_get(jax.jit(gradient)(*host, key))
    device = jax.devices()[0]
    there = jax.device_put((*host, key), device)
    compiled = {}
    for precision in ("highest", "default"):
        with jax.default_matmul_precision(precision):
            compiled[precision] = jax.jit(gradient).lower(*there).compile()
    collected = jax.jit(collect).lower(there[0], there[3]).compile()

    def measure(seconds: float) -> Iterator[Row]:
        what = {"benchmark": benchmark, "preset": preset}
        theirs = jax.device_get(collected(there[0], there[3]))
        pairs = list(zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True))
        differ = sum(int(np.sum(np.asarray(a) != np.asarray(b))) for a, b in pairs)
        total = sum(np.asarray(a).size for a, _ in pairs)
        yield what | {"what": "trials", "values": total, "that_differ": differ}
        for precision, program in compiled.items():
            found = jax.device_get(program(*there))
            errors = _gradient_errors(exact, found)
            yield what | {"what": "gradient", "precision": precision, **errors}

    return {}, measure


def rates(
    benchmark: str,
    preset: str,
    seeds: int,
    quick: bool,
    programs: Sequence[str] = ("train",),
    changes: Mapping[str, Any] | None = None,
    trace: bool = False,
    flops: bool = False,
) -> Prepared:
    """Rates of `benchmarks.throughput`'s programs, the memory on the device, and its use."""
    from benchmarks.device_use import memory, traced
    from benchmarks.jax_worker import Contender

    begun = time.perf_counter()
    contender = Contender(benchmark, preset, seeds, quick, programs, changes)
    ready: Row = contender.prepare()
    ready["prepare_s"] = time.perf_counter() - begun
    if flops:
        ready |= contender.flops()

    def measure(seconds: float) -> Iterator[Row]:
        what = {"benchmark": benchmark, "preset": preset, "seeds": seeds}
        what |= {"changes": dict(changes)} if changes else {}
        each = QUICK_SECONDS if quick else min(4.0, seconds / len(programs))
        for program in programs:
            yield what | {"what": program} | contender.measure(program, each)
        yield what | {"what": "memory", **memory()} | contender.finish()
        if trace:
            yield (
                what
                | {"what": "trace", "program": programs[-1]}
                | traced(lambda: contender.run(programs[-1]))
            )

    return ready, measure


def render(quality: str, batches: Sequence[int], size: int, quick: bool) -> Prepared:
    """Frames per second of a renderer under vmap, in slices of `size` pictures."""
    from benchmarks import render as renderer

    if quick:
        batches = [max(1, batch // 512) for batch in batches]

    def measure(seconds: float) -> Iterator[Row]:
        for batch in batches:
            found = renderer.time_quality(quality, [batch], 3, size)
            yield {"quality": quality, "batch": batch, "slice": size} | found.get(
                f"batch_{batch}", found
            )

    return {}, measure


def learn(
    benchmark: str,
    preset: str,
    seeds: int,
    quick: bool,
    changes: Mapping[str, Any] | None = None,
) -> Prepared:
    """A run of the library until every seed has reached 0.95, or to its end; nothing is written."""
    from benchmarks.accelerator_learn import Learning

    learning = Learning(benchmark, preset, seeds, quick, dict(changes or {}))
    return {"prepare_s": learning.prepare_s}, learning.measure


def torch(benchmark: str, preset: str, quick: bool) -> Prepared:
    """The PyTorch baseline with its networks and its replay on the same device."""
    import torch as pytorch

    from benchmarks.torch_worker import Contender

    device = "cuda" if pytorch.cuda.is_available() else "cpu"
    contender = Contender(benchmark, preset, quick, threads=1, device=device)
    ready = contender.prepare()

    def measure(seconds: float) -> Iterator[Row]:
        each = QUICK_SECONDS if quick else min(4.0, seconds / 3)
        for program in ("train", "update", "collect"):
            found = contender.measure(program, each)
            yield {"benchmark": benchmark, "preset": preset, "what": program, **found} | {
                "torch": pytorch.__version__,
                "torch_device": device,
            }

    return ready, measure


PARTS: dict[str, Callable[..., Prepared]] = {
    f.__name__: f for f in (ceilings, correct, rates, render, learn, torch)
}


def _square(x: Any, precision: str) -> Any:
    import jax.numpy as jnp

    return jnp.matmul(x, x, precision=precision)


def _rate(call: Callable[[], Any], seconds: float) -> float:
    """Calls per second. Calls may overlap; the clock stops when the last has finished."""
    import jax

    jax.block_until_ready(call())
    begun = time.perf_counter()
    jax.block_until_ready([call() for _ in range(3)])
    calls = max(1, round(3 * seconds / (time.perf_counter() - begun)))
    begun = time.perf_counter()
    found = None
    for _ in range(calls):
        found = call()
    jax.block_until_ready(found)
    return calls / (time.perf_counter() - begun)


def _gradient_errors(ours: Any, theirs: Any) -> Row:
    """Of (gradient by learner, losses by name), each on the host."""
    (gradient, losses), (their_gradient, their_losses) = ours, theirs
    return {
        "worst_loss_error": max(
            abs(float(their_losses[name]) - float(loss)) / abs(float(loss))
            for name, loss in losses.items()
        ),
        "gradient_error": {
            name: _relative_error(mine, its)
            for name, mine, its in zip(gradient._fields, gradient, their_gradient, strict=True)
        },
    }


def _relative_error(ours: Any, theirs: Any) -> float:
    import jax
    import numpy as np

    pairs = zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True)
    both = [(np.ravel(a).astype(np.float64), np.ravel(b).astype(np.float64)) for a, b in pairs]
    mine, its = (np.concatenate(x) for x in zip(*both, strict=True))
    return float(np.linalg.norm(its - mine) / np.linalg.norm(mine))


def main(argv: Sequence[str]) -> int:
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # keeps whatever a library prints apart from the rows

    def tell(message: Row) -> None:
        print(json.dumps(message), file=channel, flush=True)

    asked = json.loads(argv[0])
    ready, measure = PARTS[asked["part"]](**asked["arguments"])
    tell({"ready": ready})
    words = sys.stdin.readline().split()
    if words[:1] != ["go"]:  # the campaign has ended
        return 0
    for row in measure(float(words[1])):
        tell({"row": row})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
