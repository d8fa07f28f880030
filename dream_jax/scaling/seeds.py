"""Training many seeds: programs of one seed, run for all seeds on all devices.

`placement` says where the seeds are and `schedule` which of them train at the same time. All rounds
of the schedule run the same compiled program, however many seeds there are, and it updates the
states in place.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec

from dream_jax.scaling.devices import place as place_arrays
from dream_jax.scaling.placement import SEED_AXIS, SPEC, Placement, SeedGroups, make_placement
from dream_jax.training.shards import Shards
from dream_jax.types import Agent, Array, is_pixel_env

CompilerOptions = dict[str, Any] | None
Metrics = dict[str, Array]


class SeedTrainer(Protocol):
    """Training of one seed, such as a `training.trainer.Trainer`. A state is any pytree."""

    @property
    def agent(self) -> Agent: ...

    @property
    def shards(self) -> Shards:
        """The devices that share every batch of trials."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of the metrics that `iterate` returns."""

    def init(self, seed: Array, /) -> Any:
        """The untrained state. seed: [] int32."""

    def iterate(self, state: Any, /) -> tuple[Any, Metrics]:
        """One iteration. It may use collectives over `shards`."""

    def losses(self, state: Any, /) -> Metrics:
        """Losses of the newest parameters; those of `metrics` are named "loss_" and the name."""


class SeedProgram(NamedTuple):
    """A function of one seed's arrays, and of arguments that all seeds share, for all seeds."""

    call: Any  # jitted or compiled, for the arrays of one round
    placement: Placement

    def __call__(self, groups: SeedGroups, *shared: Any) -> SeedGroups:
        """The results, leaves [seeds of a group, ...]."""
        results: dict[int, Any] = {}
        for slots in self.placement.schedule(1).rounds:
            # A group may be in a second round, to fill it. Its result is the same there.
            numbers = [slot.seed_group for slot in slots]
            result = self.call(self.placement.gather([groups[k] for k in numbers]), *shared)
            results |= dict(zip(numbers, self.placement.split(result), strict=True))
        return tuple(results[k] for k in range(self.placement.seed_groups))

    def compile(self, arrays: Any, *shared: Any, options: CompilerOptions = None) -> "SeedProgram":
        """The same program, compiled ahead of its first call.

        arrays: of one round, leaves [round_seeds, ...]; shapes and dtypes suffice. Calls need
        arguments of the same shapes. options: of the compiler.
        """
        lowered = self.call.lower(self.placement.shape_of(arrays), *shared)
        return self._replace(call=lowered.compile(compiler_options=options))


class Carry(NamedTuple):
    """What goes from one round to the next: leaves [round_seeds, ...], or of one seed, [...]."""

    state: Any
    sums: Any  # Metrics, over the iterations of the chunk so far


class ChunkProgram(NamedTuple):
    """A fixed number of training iterations for every seed."""

    call: Any  # jitted or compiled: (Carry, iterations [rows]) -> (Carry, Metrics)
    placement: Placement
    iterations: int
    metrics: tuple[str, ...]  # names

    def __call__(
        self, states: SeedGroups, live: Sequence[bool] | None = None
    ) -> tuple[SeedGroups, SeedGroups]:
        """The next states, and Metrics averaged over the iterations. Donates `states`.

        live: for each seed, whether it trains; all by default. A row whose seeds do not train
        leaves their states as they are.
        """
        placement = self.placement
        each = np.ones(placement.seeds, bool) if live is None else np.asarray(live, bool)
        trains = each.reshape(placement.seed_groups, -1)  # [groups, seeds of a group]
        zeros = dict.fromkeys(self.metrics, np.zeros(placement.group_seeds, np.float32))
        carries = [
            Carry(state, place_arrays(zeros, jax.tree.leaves(state)[0].sharding))
            for state in states
        ]
        metrics: list[Any] = [None] * placement.seed_groups
        for slots in placement.schedule(self.iterations).rounds:
            together = placement.gather([carries[slot.seed_group] for slot in slots], delete=True)
            # [seeds of the round]; a single slot holds the seeds of all rows.
            iterations = np.concatenate([s.iterations * trains[s.seed_group] for s in slots])
            by_row = iterations.reshape(placement.rows, -1).max(axis=1).astype(np.int32)
            result = self.call(together, by_row)
            for slot, (carry, means) in zip(slots, placement.split(result), strict=True):
                carries[slot.seed_group], metrics[slot.seed_group] = carry, means
        return tuple(carry.state for carry in carries), tuple(metrics)

    def lower(self, states: Any) -> Any:
        """The program before it is compiled, for `compile`.

        states: of one round, leaves [round_seeds, ...]; shapes and dtypes suffice.
        """
        sums = jax.ShapeDtypeStruct((self.placement.round_seeds,), np.float32)
        iterations = jax.ShapeDtypeStruct((self.placement.rows,), np.int32)
        carry = Carry(states, dict.fromkeys(self.metrics, sums))
        return self.call.lower(self.placement.shape_of(carry), iterations)

    def compile(
        self, states: Any, options: CompilerOptions = None, lowered: Any = None
    ) -> "ChunkProgram":
        """The same program, compiled ahead of its first call.

        states: as of `lower`. options: of the compiler. lowered: by `lower`, if it is there.
        """
        lowered = self.lower(states) if lowered is None else lowered
        return self._replace(call=lowered.compile(compiler_options=options))


class SeedRunner(NamedTuple):
    """Training, and any other program, for many seeds."""

    init: Callable[[], SeedGroups]  # the untrained states. Compiles at its first call
    chunk: ChunkProgram
    over_seeds: Callable[[Callable], SeedProgram]  # f(arrays of one seed, *shared) -> its program
    place: Callable[[Any], SeedGroups]  # host arrays [seeds, ...] onto the devices
    join: Callable[[SeedGroups], Any]  # leaves [seeds, ...], in the order of the seeds
    shape: Any  # the states of one round, jax.ShapeDtypeStructs [round_seeds, ...]
    placement: Placement


def make_runner(
    trainer: SeedTrainer, seeds: Sequence[int], iterations_per_chunk: int, devices: Sequence[Any]
) -> SeedRunner:
    """Train `seeds` on `devices`. The trainer says how many devices share each batch of trials.

    Raises ConfigError if the seeds or the shared batches do not fit the devices: see
    `make_placement`.
    """
    placement = make_placement(len(seeds), trainer.shards.devices, devices)
    fewer = not placement.vectorised and not is_pixel_env(trainer.agent.env)
    options = _fewer_optimisations() if fewer else None

    def over_seeds(function: Callable) -> SeedProgram:
        return SeedProgram(_for_round(function, placement, options), placement)

    train = functools.partial(_train, trainer, iterations_per_chunk)
    call = _for_round(train, placement, options, donate=(0,))
    return SeedRunner(
        init=_initialiser(over_seeds(trainer.init), seeds),
        chunk=ChunkProgram(call, placement, iterations_per_chunk, trainer.metrics),
        over_seeds=over_seeds,
        place=placement.place,
        join=placement.join,
        shape=state_shape(trainer, placement.round_seeds),
        placement=placement,
    )


def state_shape(trainer: SeedTrainer, seeds: int) -> Any:
    """jax.ShapeDtypeStructs of the states of all seeds, leaves [seeds, ...]."""
    return jax.eval_shape(jax.vmap(trainer.init), jax.ShapeDtypeStruct((seeds,), np.int32))


def _train(
    trainer: SeedTrainer, iterations_per_chunk: int, carry: Carry, iterations: Array
) -> tuple[Carry, Metrics]:
    """Train one seed. Its metrics count in the last of its rounds.

    iterations: [rows], of this round.
    """

    def iterate(_: Array, carry: Carry) -> Carry:
        state, metrics = trainer.iterate(carry.state)
        return Carry(state, jax.tree.map(jnp.add, carry.sums, metrics))

    mine = iterations[jax.lax.axis_index(SEED_AXIS)]
    carry = jax.lax.fori_loop(0, mine, iterate, carry)
    means = {name: total / iterations_per_chunk for name, total in carry.sums.items()}
    # The losses are those of parameters before their update. Show a loss of the newest parameters
    # instead where it is not finite, so that the run ends before these parameters are saved.
    losses = {f"loss_{name}": loss for name, loss in trainer.losses(carry.state).items()}
    newest = means | losses
    return carry, {k: jnp.where(jnp.isfinite(newest[k]), means[k], newest[k]) for k in means}


def _for_round(
    function: Callable, placement: Placement, options: CompilerOptions, donate: tuple[int, ...] = ()
) -> Callable:
    """`function(arrays of one seed, *shared)` for the seeds of a round, jitted."""

    def on_device(arrays, *shared):
        if placement.vectorised:
            return jax.vmap(lambda one: function(one, *shared))(arrays)
        found = function(jax.tree.map(lambda x: x[0], arrays), *shared)
        return jax.tree.map(lambda x: x[None], found)

    def call(arrays, *shared):
        in_specs = (SPEC, *(PartitionSpec() for _ in shared))
        return jax.shard_map(
            on_device, mesh=placement.mesh, in_specs=in_specs, out_specs=SPEC, check_vma=False
        )(arrays, *shared)

    # Without `out_shardings` the program would not split arrays of size 0.
    return jax.jit(
        call,
        donate_argnums=donate,
        out_shardings=placement.sharding(),
        compiler_options=options,
    )


def _initialiser(init: SeedProgram, seeds: Sequence[int]) -> Callable[[], SeedGroups]:
    """States of these seeds, by a program that is compiled once, at the first call."""
    placement = init.placement

    @functools.cache
    def compiled() -> SeedProgram:
        # Fewer optimisations with pixels too: it runs once.
        options = None if placement.vectorised else _fewer_optimisations()
        arrays = jax.ShapeDtypeStruct((placement.round_seeds,), np.int32)
        return init.compile(arrays, options=options)

    return lambda: compiled()(placement.place(np.asarray(seeds, np.int32)))


def _fewer_optimisations() -> CompilerOptions:
    """Compiler options for CPUs that shorten compiling.

    Programs run as fast as without them, except that pictures are drawn seven times more slowly
    (docs/performance.md).
    """
    if jax.config.read("jax_disable_most_optimizations"):  # fewer still
        return None
    return {"xla_backend_optimization_level": 1}
