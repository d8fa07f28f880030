"""Random walks as a trainer: quick to compile, with every kind of array that a real state has.

    python -m tests.scaling.walks DEVICES CASES

runs `compare` for each case, JSON [[seeds, iterations, share], ...], in a process with this many
devices.
"""

import json
import sys
import types
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dream_jax import envs
from dream_jax.scaling import seeds as scaling
from dream_jax.training.shards import Shards
from tests.trees import differing

LOST = 5  # the seed whose newest loss is not finite


class Walker(NamedTuple):
    nothing: jax.Array  # [4, 0]
    key: jax.Array  # [] typed
    steps: jax.Array  # [] int32
    position: jax.Array  # [4]
    seed: jax.Array  # [] int32


class Walks(NamedTuple):
    """A `scaling.seeds.SeedTrainer`."""

    agent: Any
    init: Callable
    iterate: Callable
    losses: Callable
    metrics: tuple[str, ...]
    shards: Shards


def walks(share: int = 1) -> Walks:
    """A trainer whose every iteration is one step, computed by `share` devices together."""
    shards = Shards(share)

    def init(seed):
        zero = jnp.zeros((), int)
        return Walker(jnp.zeros((4, 0)), jax.random.key(seed), zero, jnp.zeros(4), seed)

    def iterate(state):
        key, draw = jax.random.split(state.key)
        step = jnp.round(8.0 * jax.random.normal(draw, (4,)))  # sums of whole numbers are exact
        step = shards.gather(shards.mine(step)) * shards.total(jnp.ones(())) / share
        position = state.position + step
        state = state._replace(key=key, steps=state.steps + 1, position=position)
        return state, {"loss_far": jnp.sum(jnp.abs(position)), "bottleneck_weight": position[0]}

    def losses(state):
        return {"far": jnp.where(state.seed == LOST, jnp.inf, state.position[1])}

    return Walks(
        agent=types.SimpleNamespace(env=envs.make("bus")),
        init=init,
        iterate=iterate,
        losses=losses,
        metrics=("loss_far", "bottleneck_weight"),
        shards=shards,
    )


def after_two_chunks(seeds, iterations, devices, share=1, compiled=True):
    """(state, metrics), leaves [seeds, ...]. Between the chunks the state goes to the host.

    A state that stays on the devices must train as the restored one does.
    """
    runner = scaling.make_runner(walks(share), seeds, iterations, jax.devices()[:devices])
    chunk = runner.chunk.compile(runner.shape) if compiled else runner.chunk
    stayed, _ = chunk(runner.init())
    restored = runner.place(jax.device_get(runner.join(stayed)))
    state, metrics = chunk(restored)
    same, _ = chunk(stayed)
    assert differing(runner.join(same), runner.join(state)) == []
    for before in (restored, stayed):
        assert all(group.position.is_deleted() for group in before)  # no second copy is kept
    if runner.placement.slots > 1 and not compiled:
        assert chunk.call._cache_size() == 1  # one program

    add = runner.over_seeds(lambda position, by: position + by)
    if compiled:
        add = add.compile(runner.shape.position, 2.0)
    more = add(tuple(group.position for group in state), 2.0)
    np.testing.assert_array_equal(runner.join(more), runner.join(state).position + 2.0)
    return runner.join(state), runner.join(metrics)


def compare(devices, seeds, iterations, share, compiled=True):
    """Raises AssertionError if several devices do not train like one, bit for bit.

    Returns the (state, metrics) of one device. Seed LOST is the first.
    """
    numbers = [LOST, *range(seeds - 1)]
    expected = after_two_chunks(numbers, iterations, 1)
    found = after_two_chunks(numbers, iterations, devices, share, compiled)
    assert differing(found, expected) == []
    return expected


def main(devices: int, cases: list[list[int]]) -> None:
    jax.config.update("jax_num_cpu_devices", devices)
    assert jax.device_count() == devices
    for seeds, iterations, share in cases:
        compare(devices, seeds, iterations, share)
        print(f"equal: {seeds} seeds, {iterations} iterations, batches shared by {share}")


if __name__ == "__main__":
    main(int(sys.argv[1]), json.loads(sys.argv[2]))
