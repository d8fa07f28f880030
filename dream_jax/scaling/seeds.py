"""Many seeds: waves of them, each wave side by side on the devices, wave after wave.

On an accelerator there is one wave, of the seeds of each device vmapped. On a CPU a wave has one
seed for each device, since a seed axis inside its matmuls makes batches of small ones of them. So
the program of a wave is the same however many seeds there are, and updates its states in place.

Seeds that do not fill the last wave take turns, so that every wave is full and there is one program
to compile: three seeds on two devices train half a chunk each in the waves (0, 1), (0, 2), (1, 2).
"""

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from dream_jax.config import ConfigError
from dream_jax.scaling import devices as parallel
from dream_jax.training.shards import TRIAL_AXIS
from dream_jax.training.trainer import Metrics, Trainer
from dream_jax.types import Array, TrainState, is_pixel_env

# A pytree for each unit, leaves [seeds of the unit, ...]. A unit stays together: it is a wave, or,
# where seeds take turns, one seed.
Units = tuple[Any, ...]

SEED_AXIS = "seed"
SPEC = PartitionSpec(SEED_AXIS)  # parameters, and replay, are whole on every device of a group


class Grid(NamedTuple):
    """Which seeds make a unit, which units a wave, and where it runs."""

    mesh: Mesh  # of a wave; axes "seed", over groups of devices, and "trial", within a group
    seeds: int
    unit_seeds: int

    @property
    def groups(self) -> int:
        return self.mesh.devices.shape[0]

    @property
    def wave_seeds(self) -> int:
        return max(self.unit_seeds, self.groups)

    @property
    def units(self) -> int:
        return self.seeds // self.unit_seeds

    @property
    def takes_turns(self) -> bool:
        return self.unit_seeds < self.wave_seeds

    def waves(self, iterations: int) -> list[list[tuple[int, int]]]:
        """Waves in which every unit gets `iterations`: (unit, iterations) of each place in a wave.

        By McNaughton's rule (1959): the iterations of all units make one line, which is cut into
        equal parts, one for each place. Who is cut is last in one place and first in the next, so
        never in both at once, and only who is cut moves. 0: nothing is left to do in that place.
        """
        size, units = self.wave_seeds // self.unit_seeds, self.units
        starts = [units * iterations * place // size for place in range(size + 1)]
        places = list(itertools.pairwise(starts))
        ends = range(0, (units + 1) * iterations, iterations)
        cuts = sorted({0} | {min(max(x - s, 0), e - s) for s, e in places for x in ends})
        return [
            [(min(s + a, e - 1) // iterations, max(min(b, e - s) - a, 0)) for s, e in places]
            for a, b in itertools.pairwise(cuts)
        ]

    def sharding(self, place: int | None = None) -> NamedSharding:
        """Of a whole wave, or of what is in one place of it."""
        if place is None or not self.takes_turns:
            return NamedSharding(self.mesh, SPEC)
        devices = self.mesh.devices[place : place + 1]
        return NamedSharding(Mesh(devices, self.mesh.axis_names), SPEC)

    def place(self, tree: Any) -> Units:
        """Host arrays [seeds, ...], the same in every process, on the devices."""
        first = {k: i for wave in reversed(self.waves(1)) for i, (k, _) in enumerate(wave)}

        def unit(k: int) -> Any:
            part = slice(k * self.unit_seeds, (k + 1) * self.unit_seeds)
            return parallel.place(jax.tree.map(lambda x: x[part], tree), self.sharding(first[k]))

        return tuple(unit(k) for k in range(self.units))

    def gather(self, units: Sequence[Any], delete: bool = False) -> Any:
        """The wave with these units in its places. Copies only what was in another place.

        `delete`: what was copied.
        """
        if not self.takes_turns:
            return units[0]
        moved = [self._move(unit, self.sharding(i), delete) for i, unit in enumerate(units)]
        whole = self.sharding()

        def stitched(*leaves: jax.Array) -> jax.Array:
            parts = [shard.data for leaf in leaves for shard in leaf.addressable_shards]
            shape = (self.groups, *leaves[0].shape[1:])
            return jax.make_array_from_single_device_arrays(shape, whole, parts)

        return jax.tree.map(stitched, *moved)

    def split(self, wave: Any) -> list[Any]:
        """The units of a wave, nothing copied: inverse of `gather`."""
        if not self.takes_turns:
            return [wave]
        share = self.mesh.devices.shape[1]

        def unit(place: int) -> Any:
            sharding = self.sharding(place)

            def part(leaf: jax.Array) -> jax.Array:
                shards = leaf.addressable_shards[place * share : (place + 1) * share]
                parts = [shard.data for shard in shards]
                shape = (1, *leaf.shape[1:])
                return jax.make_array_from_single_device_arrays(shape, sharding, parts)

            return jax.tree.map(part, wave)

        return [unit(place) for place in range(self.groups)]

    @staticmethod
    def _move(unit: Any, sharding: NamedSharding, delete: bool) -> Any:
        leaves = jax.tree.leaves(unit)
        if leaves[0].sharding.device_set == sharding.device_set:
            return unit
        # Not `device_put(donate=True)`: to look at what it leaves ends the process (jax 0.10.2).
        moved = jax.device_put(unit, sharding)
        if delete:
            for leaf in leaves:
                leaf.delete()
        return moved


class WaveProgram(NamedTuple):
    """A function of one wave, and of what all waves share, for all units."""

    call: Any  # jitted, or compiled
    grid: Grid

    def __call__(self, units: Units, *shared: Any) -> Units:
        found: dict[int, Any] = {}
        for wave in self.grid.waves(1):
            numbers = [k for k, _ in wave]  # to fill a wave some are in a second one
            result = self.call(self.grid.gather([units[k] for k in numbers]), *shared)
            found |= dict(zip(numbers, self.grid.split(result), strict=True))
        return tuple(found[k] for k in range(self.grid.units))

    def compile(
        self, wave: Any, *shared: Any, options: dict[str, Any] | None = None
    ) -> "WaveProgram":
        """The same, compiled for arguments like these; shapes and dtypes are enough.

        `options`: of the compiler.
        """
        lowered = self.call.lower(_placed(wave, self.grid), *shared)
        return self._replace(call=lowered.compile(compiler_options=options))


class ChunkProgram(NamedTuple):
    """A number of iterations of every seed."""

    call: Any  # jitted, or compiled: (state, sums so far), iterations [groups] -> the same, Metrics
    grid: Grid
    iterations: int
    metrics: tuple[str, ...]

    def __call__(self, states: Units) -> tuple[Units, Units]:
        """The next states, and Metrics: means over the iterations. Donates its argument."""
        grid = self.grid
        zeros = dict.fromkeys(self.metrics, np.zeros(grid.unit_seeds, np.float32))
        carried: list[Any] = [
            (state, parallel.place(zeros, jax.tree.leaves(state)[0].sharding)) for state in states
        ]
        metrics: list[Any] = [None] * grid.units
        for wave in grid.waves(self.iterations):
            numbers, due = zip(*wave, strict=True)
            together = grid.gather([carried[k] for k in numbers], delete=True)
            result = self.call(together, np.resize(np.array(due, np.int32), grid.groups))
            for k, (new, means) in zip(numbers, grid.split(result), strict=True):
                carried[k], metrics[k] = new, means
        return tuple(state for state, _ in carried), tuple(metrics)

    def compile(self, wave: Any, options: dict[str, Any] | None = None) -> "ChunkProgram":
        """The same, compiled for states of a wave like these; shapes and dtypes are enough.

        `options`: of the compiler.
        """
        sums = jax.ShapeDtypeStruct((self.grid.wave_seeds,), np.float32)
        due = jax.ShapeDtypeStruct((self.grid.groups,), np.int32)
        carried = (wave, dict.fromkeys(self.metrics, sums))
        lowered = self.call.lower(_placed(carried, self.grid), due)
        return self._replace(call=lowered.compile(compiler_options=options))


def _placed(wave: Any, grid: Grid) -> Any:
    """Its shapes and dtypes, on the devices: a compiled program would not split what is empty."""
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=grid.sharding()), wave
    )


class SeedRunner(NamedTuple):
    """A trainer over many seeds."""

    init: Callable[[], Units]  # compiled when first called; not to be traced
    chunk: ChunkProgram
    over_seeds: Callable[[Callable], WaveProgram]  # f(params, ...), mapped over the first argument
    join: Callable[[Units], Any]  # leaves [seeds, ...], in the order of the seeds
    shape: TrainState  # of a whole wave; jax.ShapeDtypeStruct
    grid: Grid


def state_shape(trainer: Trainer, seeds: int) -> TrainState:
    """jax.ShapeDtypeStructs of the joined state, leaves [seeds, ...]."""
    return jax.eval_shape(jax.vmap(trainer.init), jax.ShapeDtypeStruct((seeds,), np.int32))


def _fewer_optimisations() -> dict[str, Any] | None:
    """Options of the compiler on a CPU: less of its time, for programs as fast, but for pictures,
    which are drawn seven times as slowly (docs/performance.md)."""
    if jax.config.read("jax_disable_most_optimizations"):  # fewer still
        return None
    return {"xla_backend_optimization_level": 1}


@jax.jit
def _concatenate(*units: Any) -> Any:
    return jax.tree.map(lambda *x: jnp.concatenate(x), *units)


def make_runner(
    trainer: Trainer, seeds: Sequence[int], iterations_per_chunk: int, devices: Sequence[Any]
) -> SeedRunner:
    """Seeds spread over `devices`, trials of each batch as `trainer` says.

    On accelerators, and where several processes train together, over as many devices as divide the
    seeds evenly; else seeds may take turns. Raises ConfigError if the trials of a batch are to be
    shared by more devices than there are, or if several processes leave a device idle.
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
    mesh = Mesh(
        np.array(devices[: groups * share]).reshape(groups, share),
        (SEED_AXIS, TRIAL_AXIS),
    )
    even = groups if count % groups == 0 else 1
    grid = Grid(mesh, count, count if vectorised else even)

    options = None if vectorised or is_pixel_env(trainer.agent.env) else _fewer_optimisations()

    def spread(function: Callable, donate: tuple[int, ...] = ()) -> Callable:
        """`function` of what is one seed's, and of more that is not, of a wave; jitted."""

        def of_device(first, *shared):
            if vectorised:
                return jax.vmap(lambda one: function(one, *shared))(first)
            found = function(jax.tree.map(lambda x: x[0], first), *shared)
            return jax.tree.map(lambda x: x[None], found)

        def call(first, *shared):
            in_specs = (SPEC, *(PartitionSpec() for _ in shared))
            return jax.shard_map(
                of_device, mesh=mesh, in_specs=in_specs, out_specs=SPEC, check_vma=False
            )(first, *shared)

        out = grid.sharding()  # without it empty arrays would not be split
        return jax.jit(call, donate_argnums=donate, out_shardings=out, compiler_options=options)

    def chunk(carried: tuple[TrainState, Metrics], due: Array) -> tuple[tuple, Metrics]:
        def body(_, carried):
            state, metrics = trainer.iterate(carried[0])
            return state, jax.tree.map(jnp.add, carried[1], metrics)

        mine = due[jax.lax.axis_index(SEED_AXIS)]
        state, sums = jax.lax.fori_loop(0, mine, body, carried)
        means = {name: total / iterations_per_chunk for name, total in sums.items()}
        # The newest parameters have made no loss yet: one that is not finite shows now.
        newest = means | {f"loss_{name}": loss for name, loss in trainer.losses(state).items()}
        finite = {k: jnp.where(jnp.isfinite(newest[k]), means[k], newest[k]) for k in means}
        return (state, sums), finite

    def join(units: Units) -> Any:
        if len(units) == 1:
            return units[0]
        if jax.process_count() == 1:  # units may be on different devices
            units = jax.device_put(units, devices[0])
        return _concatenate(*units)

    def over_seeds(function: Callable) -> WaveProgram:
        return WaveProgram(spread(function), grid)

    numbers = np.asarray(seeds, np.int32)

    @functools.cache
    def init() -> WaveProgram:
        options = None if vectorised else _fewer_optimisations()  # of pictures too: it runs once
        wave = jax.ShapeDtypeStruct((grid.wave_seeds,), np.int32)
        return over_seeds(trainer.init).compile(wave, options=options)

    return SeedRunner(
        lambda: init()(grid.place(numbers)),
        ChunkProgram(spread(chunk, donate=(0,)), grid, iterations_per_chunk, trainer.metrics),
        over_seeds,
        join,
        state_shape(trainer, grid.wave_seeds),
        grid,
    )
