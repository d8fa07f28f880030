"""DREAM on several devices: what the training of a seed must not depend on."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dream_jax import config as configs
from dream_jax.scaling import seeds as scaling
from dream_jax.training import setup
from tests.running import trained
from tests.training.held_out import CONFIG, ITERATIONS
from tests.trees import differing, furthest, raw


def by_kind(state):
    """Floating-point leaves by path, and all others."""
    leaves = jax.tree_util.tree_leaves_with_path(state)
    floats = {str(p): raw(x) for p, x in leaves if jnp.issubdtype(x.dtype, jnp.floating)}
    return floats, {str(p): raw(x) for p, x in leaves if str(p) not in floats}


@pytest.mark.slow  # test_seeds has the same of random walks, bit for bit
@pytest.mark.parametrize("devices", [1, 2])
def test_a_seed_does_not_depend_on_the_seeds_beside_it(trainer, states, devices):
    """Alone, beside another seed on one device, on its own device: equal up to rounding."""
    runner = scaling.make_runner(trainer, [1, 0], ITERATIONS, jax.devices()[:devices])
    both, losses = trained(runner)
    other, same = (jax.tree.map(lambda x, i=i: x[i], both) for i in range(2))
    alone, alone_losses = states[0][-1], states[1]

    floats, rest = by_kind(alone)
    same_floats, same_rest = by_kind(same)
    assert differing(rest, same_rest) == []  # every action taken, every count, every key
    assert furthest(floats, same_floats) < 1e-5
    for name, loss in alone_losses.items():
        assert float(losses[name][1]) == pytest.approx(loss.mean(), rel=1e-4)
        assert float(losses[name][0]) != pytest.approx(loss.mean(), rel=1e-2)
    assert differing(other.replay, same.replay) != []


def shared_by(devices):
    return configs.override(CONFIG, {"training.trial_shards": str(devices)})


@pytest.mark.slow  # test_dream_invariances.py has one update, test_seeds.py random walks
def test_devices_that_share_trials_train_as_one(env, states):
    """Every action and draw is equal, and parameters up to the order of summation."""
    shared = setup.make_trainer(shared_by(2), env)
    runner = scaling.make_runner(shared, [0], ITERATIONS, jax.devices()[:2])
    state, losses = trained(runner)
    both = jax.tree.map(lambda x: x[0], state)
    alone, alone_losses = states[0][-1], states[1]
    floats, rest = by_kind(both)
    expected_floats, expected_rest = by_kind(alone)
    assert differing(rest, expected_rest) == []
    assert furthest(floats, expected_floats) < 1e-5
    for name, loss in alone_losses.items():
        assert float(losses[name][0]) == pytest.approx(loss.mean(), rel=1e-4)
    # The copies of the parameters have not drifted apart.
    for leaf in jax.tree.leaves(state.learners.exploitation.params):
        first, second = (np.asarray(shard.data) for shard in leaf.addressable_shards)
        np.testing.assert_array_equal(first, second)
