"""A batch shared by devices: parts, the whole again, and sums."""

import jax
import numpy as np
import pytest
from jax.sharding import Mesh, PartitionSpec

from dream_jax.training.shards import ONE, TRIAL_AXIS, Shards

BATCH = {"number": np.arange(6), "pair": np.arange(12.0, dtype=np.float32).reshape(6, 2)}


def on_two_devices(function):
    """`function` of a whole batch, on each of two devices: results [2, ...], by device."""
    mesh = Mesh(np.array(jax.devices()[:2]), (TRIAL_AXIS,))
    mapped = jax.shard_map(
        lambda batch: jax.tree.map(lambda x: x[None], function(batch)),
        mesh=mesh,
        in_specs=PartitionSpec(),
        out_specs=PartitionSpec(TRIAL_AXIS),
        check_vma=False,
    )
    return jax.device_get(jax.jit(mapped)(BATCH))


def test_each_device_has_its_part():
    parts = on_two_devices(Shards(2).mine)
    for name, whole in BATCH.items():
        np.testing.assert_array_equal(parts[name], whole.reshape(2, 3, *whole.shape[1:]))


def test_every_device_gathers_the_whole_batch():
    shards = Shards(2)
    wholes = on_two_devices(lambda batch: shards.gather(shards.mine(batch)))
    for name, whole in BATCH.items():
        np.testing.assert_array_equal(wholes[name], np.stack([whole, whole]))


def test_sums_over_devices_are_those_of_the_batch():
    shards = Shards(2)
    totals = on_two_devices(
        lambda batch: shards.total(jax.tree.map(lambda x: x.sum(axis=0), shards.mine(batch)))
    )
    for name, whole in BATCH.items():
        np.testing.assert_array_equal(totals[name], np.stack([whole.sum(axis=0)] * 2))


def test_one_device_has_all():
    assert Shards(1) == ONE
    assert ONE.mine(BATCH) is ONE.gather(BATCH) is ONE.total(BATCH) is BATCH


def test_a_batch_that_does_not_split():
    with pytest.raises(ValueError, match="6 trials do not split evenly over 4 devices"):
        jax.vmap(lambda _: Shards(4).mine(BATCH), axis_name=TRIAL_AXIS)(np.arange(4))
