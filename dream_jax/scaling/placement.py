"""Which devices hold which seeds, and how the seeds move between devices.

Devices form a mesh. The devices of a mesh row share each batch of trials, and each row trains
seeds of its own. A seed group is a set of seeds that stay together in one slot of the schedule:

- Accelerators hold all seeds at once, in one group. Each row has equally many of them, vmapped.
- On CPUs a row trains one seed at a time, because vmapping would turn large matrix products into
  batches of small ones. If the rows divide the seeds evenly, a group has one seed for each row and
  fills a round. Otherwise each seed is a group of its own, and each row is a slot of a round.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from dream_jax.config import ConfigError
from dream_jax.scaling.devices import place as place_arrays
from dream_jax.scaling.schedule import Schedule, make_schedule
from dream_jax.training.shards import TRIAL_AXIS

SeedGroup = Any  # a pytree, leaves [seeds of the group, ...]
SeedGroups = tuple[SeedGroup, ...]  # all seeds, in order

SEED_AXIS = "seed"
# How arrays [seeds, ...] are split. Devices that share a batch hold copies of the same seeds.
SPEC = PartitionSpec(SEED_AXIS)


class Placement(NamedTuple):
    """The devices, and how the seeds are grouped on them. See `make_placement`."""

    mesh: Mesh  # [rows, share] devices; axes SEED_AXIS and TRIAL_AXIS
    seeds: int
    group_seeds: int  # seeds in a group

    @property
    def rows(self) -> int:
        """Rows of the mesh. Each trains seeds of its own."""
        return self.mesh.devices.shape[0]

    @property
    def round_seeds(self) -> int:
        """Seeds that train side by side in one round."""
        return max(self.group_seeds, self.rows)

    @property
    def slots(self) -> int:
        """Seed groups in a round: 1, or one for each row."""
        return self.round_seeds // self.group_seeds

    @property
    def seed_groups(self) -> int:
        return self.seeds // self.group_seeds

    @property
    def vectorised(self) -> bool:
        """Whether the seeds of a row are vmapped. Otherwise a row trains one seed at a time."""
        return self.mesh.devices.flat[0].platform != "cpu"

    def schedule(self, iterations: int) -> Schedule:
        """Rounds in which every seed group trains for `iterations`."""
        return make_schedule(self.seed_groups, self.slots, iterations)

    def sharding(self, slot: int | None = None) -> NamedSharding:
        """Of the arrays of one slot of a round. None: of all its slots together."""
        if slot is None or self.slots == 1:
            return NamedSharding(self.mesh, SPEC)
        devices = self.mesh.devices[slot : slot + 1]
        return NamedSharding(Mesh(devices, self.mesh.axis_names), SPEC)

    def place(self, tree: Any) -> SeedGroups:
        """Host arrays [seeds, ...] on the devices that use them first.

        Where several processes train together, all call this with the same arrays.
        """

        def placed(group: int, slot: int) -> SeedGroup:
            part = slice(group * self.group_seeds, (group + 1) * self.group_seeds)
            return place_arrays(jax.tree.map(lambda x: x[part], tree), self.sharding(slot))

        return tuple(placed(*pair) for pair in enumerate(self.schedule(1).first_slots()))

    def gather(self, groups: Sequence[SeedGroup], delete: bool = False) -> Any:
        """The arrays [round_seeds, ...] of a round with these groups in its slots.

        Copies only the groups that are on the devices of another slot. `delete` frees the originals
        of these.
        """
        if self.slots == 1:
            (group,) = groups
            return group
        moved = [_move(group, self.sharding(slot), delete) for slot, group in enumerate(groups)]
        whole = self.sharding()

        def stitched(*leaves: jax.Array) -> jax.Array:
            parts = [shard.data for leaf in leaves for shard in leaf.addressable_shards]
            shape = (self.rows, *leaves[0].shape[1:])
            return jax.make_array_from_single_device_arrays(shape, whole, parts)

        return jax.tree.map(stitched, *moved)

    def split(self, arrays: Any) -> list[SeedGroup]:
        """The groups in the slots of a round, from its arrays: the inverse of `gather`.

        Copies nothing.
        """
        if self.slots == 1:
            return [arrays]
        share = self.mesh.devices.shape[1]

        def group(slot: int) -> SeedGroup:
            sharding = self.sharding(slot)

            def part(leaf: jax.Array) -> jax.Array:
                shards = leaf.addressable_shards[slot * share : (slot + 1) * share]
                parts = [shard.data for shard in shards]
                shape = (1, *leaf.shape[1:])
                return jax.make_array_from_single_device_arrays(shape, sharding, parts)

            return jax.tree.map(part, arrays)

        return [group(slot) for slot in range(self.slots)]

    def join(self, groups: SeedGroups) -> Any:
        """Arrays [seeds, ...] of all groups, in the order of the seeds."""
        if len(groups) == 1:
            (group,) = groups
            return group
        if jax.process_count() == 1:  # the groups may be on different devices
            groups = jax.device_put(groups, self.mesh.devices.flat[0])
        return _concatenate(*groups)

    def shape_of(self, arrays: Any) -> Any:
        """jax.ShapeDtypeStructs of the arrays of a round, on its devices.

        They have a sharding so that a program compiled for them also splits arrays of size 0.
        """
        sharding = self.sharding()
        return jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), arrays
        )


def make_placement(seeds: int, share: int, devices: Sequence[Any]) -> Placement:
    """Spread seeds over as many of the devices as possible, `share` of them for each batch.

    On accelerators, and where several processes train together, every row of the mesh has equally
    many seeds, so there are as many rows as divide the seeds. Raises ConfigError if `share` exceeds
    the number of devices, or if several processes would leave a device idle.
    """
    if share > len(devices):
        raise ConfigError(
            f"training.trial_shards={share} is more than the number of devices, {len(devices)}; "
            f"give at most {len(devices)}"
        )
    vectorised, processes = devices[0].platform != "cpu", jax.process_count()
    rows = min(len(devices) // share, seeds)
    if vectorised or processes > 1:
        rows = max(n for n in range(1, rows + 1) if seeds % n == 0)
    if processes > 1 and rows * share < len(devices):
        raise ConfigError(
            f"{seeds} seeds leave some of the {len(devices)} devices of {processes} processes "
            f"idle; give a multiple of {len(devices) // share} seeds"
        )
    mesh = Mesh(np.array(devices[: rows * share]).reshape(rows, share), (SEED_AXIS, TRIAL_AXIS))
    if vectorised:
        return Placement(mesh, seeds, group_seeds=seeds)
    return Placement(mesh, seeds, group_seeds=rows if seeds % rows == 0 else 1)


def _move(group: SeedGroup, sharding: NamedSharding, delete: bool) -> SeedGroup:
    leaves = jax.tree.leaves(group)
    if leaves[0].sharding.device_set == sharding.device_set:
        return group
    # Not `device_put(donate=True)`: reading the array that it leaves ends the process (jax 0.10.2).
    moved = jax.device_put(group, sharding)
    if delete:
        for leaf in leaves:
            leaf.delete()
    return moved


@jax.jit
def _concatenate(*groups: SeedGroup) -> Any:
    return jax.tree.map(lambda *x: jnp.concatenate(x), *groups)
