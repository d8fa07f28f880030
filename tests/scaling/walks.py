"""Random walks in the place of a trainer: quick to compile, and all that waves can do is seen.

python -m tests.scaling.walks DEVICES SEEDS ITERATIONS SHARE compares with one device.
"""

import sys
import types
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dream_jax import envs
from dream_jax.scaling import seeds as waves
from dream_jax.training import trainer as train
from dream_jax.training.shards import Shards
from dream_jax.types import is_key

LOST = 5  # the seed whose newest loss is not finite


class Walker(NamedTuple):
    """A state with all that a trainer's has: a typed key, counts, an array of no size."""

    nothing: jax.Array
    key: jax.Array
    steps: jax.Array
    place: jax.Array
    seed: jax.Array


def walks(share: int = 1) -> train.Trainer:
    shards = Shards(share)

    def init(seed):
        zero = jnp.zeros((), int)
        return Walker(jnp.zeros((4, 0)), jax.random.key(seed), zero, jnp.zeros(4), seed)

    def iterate(state):
        key, draw = jax.random.split(state.key)
        step = jnp.round(8.0 * jax.random.normal(draw, (4,)))  # sums of whole numbers are exact
        step = shards.gather(shards.mine(step)) * shards.total(jnp.ones(())) / share
        place = state.place + step
        state = state._replace(key=key, steps=state.steps + 1, place=place)
        return state, {"loss_far": jnp.sum(jnp.abs(place)), "bottleneck_weight": place[0]}

    def losses(state):
        return {"far": jnp.where(state.seed == LOST, jnp.inf, state.place[1])}

    names, agent = ("loss_far", "bottleneck_weight"), types.SimpleNamespace(env=envs.make("bus"))
    return train.Trainer(agent, init, iterate, losses, None, names, shards)


def after_two_chunks(seeds, iterations, devices, share=1, compiled=True):
    """(state, metrics), leaves [seeds, ...]; between the chunks the state is saved and restored."""
    runner = waves.make_runner(walks(share), seeds, iterations, jax.devices()[:devices])
    chunk, grid = runner.chunk, runner.grid
    if compiled:
        chunk = chunk.compile(runner.shape)
    state, _ = chunk(runner.init())
    host = jax.tree.map(lambda x: x if is_key(x) else np.asarray(x), runner.join(state))
    before = grid.place(host)
    state, metrics = chunk(before)
    assert all(unit.place.is_deleted() for unit in before)  # no second copy is kept

    add = runner.over_seeds(lambda place, by: place + by)
    if compiled:
        add = add.compile(runner.shape.place, 2.0)
    more = add(tuple(unit.place for unit in state), 2.0)
    np.testing.assert_array_equal(runner.join(more), runner.join(state).place + 2.0)
    if grid.takes_turns and not compiled:
        assert chunk.call._cache_size() == 1  # one program
    return runner.join(state), runner.join(metrics)


def compare(devices, seeds, iterations, share, compiled=True):
    """Raises AssertionError where seeds on several devices are not those of one, bit for bit."""
    numbers = [LOST, *range(seeds - 1)]
    expected = after_two_chunks(numbers, iterations, 1)
    found = after_two_chunks(numbers, iterations, devices, share, compiled)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        bits = [np.asarray(jax.random.key_data(x) if is_key(x) else x) for x in (a, b)]
        np.testing.assert_array_equal(*bits)
    return expected


if __name__ == "__main__":
    arguments = [int(x) for x in sys.argv[1:]]
    jax.config.update("jax_num_cpu_devices", arguments[0])
    assert jax.device_count() == arguments[0]
    compare(*arguments)
    print("equal")
