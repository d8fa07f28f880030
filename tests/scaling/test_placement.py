"""Which devices hold which seeds. Nothing is compiled but joining."""

import dataclasses

import jax
import numpy as np
import pytest

from dream_jax.config import ConfigError
from dream_jax.scaling.placement import make_placement
from tests.trees import differing


@dataclasses.dataclass(frozen=True)
class FakeDevice:
    number: int
    platform: str


def fake_devices(count, platform="cpu"):
    return [FakeDevice(number, platform) for number in range(count)]


@pytest.mark.parametrize(
    "seeds, devices, share, mesh, groups, slots",
    [
        (1, 1, 1, (1, 1), [1], 1),
        (2, 2, 1, (2, 1), [2], 1),
        (3, 2, 1, (2, 1), [1, 1, 1], 2),  # one seed is split between the devices
        (4, 2, 1, (2, 1), [2, 2], 1),
        (3, 1, 1, (1, 1), [1, 1, 1], 1),
        (3, 4, 1, (3, 1), [3], 1),  # one device is idle
        (6, 4, 1, (4, 1), [1] * 6, 4),
        (3, 2, 2, (1, 2), [1, 1, 1], 1),
        (4, 8, 2, (4, 2), [4], 1),
    ],
)
def test_seeds_and_trials_on_cpus(seeds, devices, share, mesh, groups, slots):
    placement = make_placement(seeds, share, fake_devices(devices))
    assert not placement.vectorised
    assert placement.mesh.devices.shape == mesh
    assert [placement.group_seeds] * placement.seed_groups == groups
    assert placement.slots == slots
    assert placement.round_seeds == placement.slots * placement.group_seeds == placement.rows
    used = [device.number for device in placement.mesh.devices.flat]
    assert used == list(range(len(used)))


@pytest.mark.parametrize(
    "seeds, devices, share, mesh",
    [(3, 1, 1, (1, 1)), (8, 4, 1, (4, 1)), (6, 4, 1, (3, 1)), (3, 2, 1, (1, 1)), (4, 8, 4, (2, 4))],
)
def test_accelerators_hold_all_seeds_equally_many_in_each_row(seeds, devices, share, mesh):
    placement = make_placement(seeds, share, fake_devices(devices, "gpu"))
    assert placement.vectorised
    assert placement.mesh.devices.shape == mesh
    assert (placement.group_seeds, placement.seed_groups, placement.slots) == (seeds, 1, 1)
    assert placement.round_seeds == seeds


def test_more_devices_to_share_a_batch_than_there_are():
    with pytest.raises(ConfigError, match=r"trial_shards=4 .* devices, 2; give at most 2"):
        make_placement(1, 4, fake_devices(2))


def test_several_processes_leave_no_device_idle(monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    placement = make_placement(8, 1, fake_devices(4))
    assert (placement.mesh.devices.shape, placement.slots) == ((4, 1), 1)
    with pytest.raises(ConfigError, match=r"6 seeds leave some of the 4 devices .* multiple of 4"):
        make_placement(6, 1, fake_devices(4))


@pytest.fixture
def tree():
    """Of three seeds."""
    return {
        "key": jax.vmap(jax.random.key)(np.arange(3)),
        "number": np.arange(3, dtype=np.int32),
        "matrix": np.arange(18.0, dtype=np.float32).reshape(3, 2, 3),
        "nothing": np.zeros((3, 0), np.float32),
    }


@pytest.fixture
def placement():
    """Of three seeds on two devices."""
    return make_placement(3, 1, jax.devices()[:2])


def device(group):
    (found,) = {device for leaf in jax.tree.leaves(group) for device in leaf.devices()}
    return found


def test_each_seed_starts_on_the_device_that_trains_it_first(placement, tree):
    groups = placement.place(tree)
    first, second = jax.devices()[:2]
    assert [device(group) for group in groups] == [first, second, second]
    for k, group in enumerate(groups):
        assert differing(group, jax.tree.map(lambda x, k=k: x[k : k + 1], tree)) == []


def test_joined_seeds_are_in_order(placement, tree):
    groups = placement.place(tree)
    assert differing(placement.join(groups), tree) == []
    both = make_placement(2, 1, jax.devices()[:2])  # one group
    pair = jax.tree.map(lambda x: x[:2], tree)
    assert differing(both.join(both.place(pair)), pair) == []


@pytest.mark.parametrize("delete", [False, True])
def test_a_round_copies_only_the_groups_that_move(placement, tree, delete):
    zero, one, two = placement.place(tree)
    arrays = placement.gather([one, two], delete=delete)  # one moves to the first device
    assert differing(arrays, jax.tree.map(lambda x: x[1:], tree)) == []
    assert all(leaf.sharding == placement.sharding() for leaf in jax.tree.leaves(arrays))
    assert all(leaf.is_deleted() == delete for leaf in jax.tree.leaves(one))
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves((zero, two)))

    again = placement.split(arrays)
    assert [device(group) for group in again] == jax.devices()[:2]
    for k, group in enumerate(again, start=1):
        assert differing(group, jax.tree.map(lambda x, k=k: x[k : k + 1], tree)) == []


def test_shapes_are_those_of_the_arrays_and_are_split(placement, tree):
    shapes = placement.shape_of(jax.tree.map(lambda x: x[:2], tree))
    assert {name: (x.shape, x.dtype) for name, x in shapes.items()} == {
        name: ((2, *x.shape[1:]), x.dtype) for name, x in tree.items()
    }
    assert all(x.sharding == placement.sharding() for x in shapes.values())
