"""Many seeds: waves of them, each wave side by side on the devices, wave after wave.

On an accelerator there is one wave, of the seeds of each device vmapped. On a CPU a wave has one
seed for each device, since a seed axis inside its matmuls makes batches of small ones of them. So
the program of a wave is the same however many seeds there are, and every state is updated in place.
"""

import functools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from dream_jax import parallel
from dream_jax.config import ConfigError
from dream_jax.train import Metrics, Trainer
from dream_jax.types import TrainState

Waves = tuple[Any, ...]  # a pytree for each wave, leaves [seeds of the wave, ...]


class WaveProgram(NamedTuple):
    """A function of one wave, and of what all waves share, for every wave."""

    calls: tuple[Any, ...]  # jitted, or compiled; waves of the same size have the same

    def __call__(self, waves: Waves, *shared: Any) -> Waves:
        return tuple(call(wave, *shared) for call, wave in zip(self.calls, waves, strict=True))

    def compile(
        self, waves: Waves, *shared: Any, options: dict[str, Any] | None = None
    ) -> "WaveProgram":
        """The same, compiled for arguments like these; shapes and dtypes are enough.

        `options`: of the compiler.
        """
        different = dict(zip(self.calls, waves, strict=True))

        def compiled(call: Any) -> Any:
            return call.lower(different[call], *shared).compile(compiler_options=options)

        with ThreadPoolExecutor(len(different)) as pool:
            done = dict(zip(different, pool.map(compiled, different), strict=True))
        return WaveProgram(tuple(done[call] for call in self.calls))


class SeedRunner(NamedTuple):
    """A trainer over many seeds."""

    init: Callable[[], Waves]  # compiled when first called; not to be traced
    chunk: WaveProgram  # wave of TrainState -> (the next, Metrics); donates its argument
    over_seeds: Callable[[Callable], WaveProgram]  # f(params, ...), mapped over the first argument
    place: Callable[[Any], Waves]  # host arrays [seeds, ...] -> devices, for restoring
    join: Callable[[Waves], Any]  # leaves [seeds, ...], in the order of the seeds
    shapes: Waves  # of the state; jax.ShapeDtypeStruct
    mesh: Mesh  # of a whole wave; axes "seed" and "trial"


def state_shape(trainer: Trainer, seeds: int) -> TrainState:
    """jax.ShapeDtypeStructs of the joined state, leaves [seeds, ...]."""
    return jax.eval_shape(jax.vmap(trainer.init), jax.ShapeDtypeStruct((seeds,), np.int32))


@jax.jit
def _concatenate(*waves: Any) -> Any:
    return jax.tree.map(lambda *x: jnp.concatenate(x), *waves)


def make_runner(
    trainer: Trainer, seeds: Sequence[int], iterations_per_chunk: int, devices: Sequence[Any]
) -> SeedRunner:
    """Seeds spread over `devices`, trials of each batch as `trainer` says.

    On accelerators, and where several processes train together, over as many devices as divide the
    seeds evenly; else the last wave may be shorter. Raises ConfigError if the trials of a batch are
    to be shared by more devices than there are, or if several processes leave a device idle.
    """
    share = trainer.shards.devices
    if share > len(devices):
        raise ConfigError(
            f"training.trial_shards={share} devices are to share each batch, "
            f"{len(devices)} are there; give at most that"
        )
    count, groups = len(seeds), min(len(devices) // share, len(seeds))
    vectorised = devices[0].platform != "cpu"
    if vectorised or jax.process_count() > 1:
        groups = max(n for n in range(1, groups + 1) if count % n == 0)
    if jax.process_count() > 1 and groups * share < len(devices):
        raise ConfigError(
            f"{count} seeds leave some of {len(devices)} devices idle, and a process may have none "
            f"of the others; give a multiple of {len(devices) // share} seeds"
        )
    size = count if vectorised else groups
    ends = [*range(size, count, size), count]
    parts = [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]
    sizes = [part.stop - part.start for part in parts]
    grid = np.array(devices[: groups * share]).reshape(groups, share)
    axes = ("seed", parallel.TRIAL_AXIS)
    meshes = {n: Mesh(grid[: min(n, groups)], axes) for n in set(sizes)}
    spec = PartitionSpec("seed")  # parameters, and replay, are whole on every device of a group
    shardings = {n: NamedSharding(mesh, spec) for n, mesh in meshes.items()}

    def spread(function: Callable, donate: tuple[int, ...] = ()) -> WaveProgram:
        """`function` of what is one seed's, and of more that is not."""

        def of_device(first, *shared):
            if vectorised:
                return jax.vmap(lambda one: function(one, *shared))(first)
            found = function(jax.tree.map(lambda x: x[0], first), *shared)
            return jax.tree.map(lambda x: x[None], found)

        def program(mesh: Mesh) -> Callable:
            def call(first, *shared):
                in_specs = (spec, *(PartitionSpec() for _ in shared))
                return jax.shard_map(
                    of_device, mesh=mesh, in_specs=in_specs, out_specs=spec, check_vma=False
                )(first, *shared)

            return jax.jit(call, donate_argnums=donate)

        programs = {n: program(mesh) for n, mesh in meshes.items()}
        return WaveProgram(tuple(programs[n] for n in sizes))

    def chunk(state: TrainState) -> tuple[TrainState, Metrics]:
        def body(state, _):
            return trainer.iterate(state)

        state, metrics = jax.lax.scan(body, state, None, length=iterations_per_chunk)
        means = {name: jnp.mean(values) for name, values in metrics.items()}
        # The newest parameters have made no loss yet: one that is not finite shows now.
        newest = means | {f"loss_{name}": loss for name, loss in trainer.losses(state).items()}
        return state, {k: jnp.where(jnp.isfinite(newest[k]), means[k], newest[k]) for k in means}

    def place(tree: Any) -> Waves:
        return tuple(
            parallel.place(jax.tree.map(lambda x, p=part: x[p], tree), shardings[n])
            for part, n in zip(parts, sizes, strict=True)
        )

    def join(waves: Waves) -> Any:
        if len(waves) == 1:
            return waves[0]
        if jax.process_count() == 1:  # waves may be on different devices
            waves = jax.device_put(waves, devices[0])
        return _concatenate(*waves)

    numbers = np.asarray(seeds, np.int32)

    @functools.cache
    def init() -> WaveProgram:
        # Half the time to compile; not for what runs often (pictures: seven times as slow).
        options = None if vectorised else {"xla_backend_optimization_level": 1}
        return spread(trainer.init).compile(place(numbers), options=options)

    return SeedRunner(
        lambda: init()(place(numbers)),
        spread(chunk, donate=(0,)),
        spread,
        place,
        join,
        tuple(state_shape(trainer, n) for n in sizes),
        meshes[sizes[0]],
    )
