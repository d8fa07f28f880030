"""Waves of seeds, with a trainer that is quick to compile."""

import types
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dream_jax import envs, parallel, train, waves
from tests.test_training import differing


@pytest.mark.parametrize("seeds, devices", [(3, 2), (5, 2), (4, 3), (6, 4), (2, 2), (1, 1)])
def test_turns_are_fair(seeds, devices):
    mesh = jax.sharding.Mesh(np.zeros((devices, 1)), ("seed", "trial"))
    grid = waves.Grid(mesh, seeds, 1 if seeds % devices else devices)
    turns = np.zeros(grid.units, int)
    for wave in grid.waves(grid.rounds):
        assert len(set(wave)) == len(wave) == grid.wave_seeds // grid.unit_seeds
        turns[list(wave)] += 1
    assert (turns == grid.rounds).all()
    assert {k for wave in grid.waves(1) for k in wave} == set(range(grid.units))


class Walker(NamedTuple):
    """A state with all that a trainer's has: a typed key, counts, an array of no size."""

    key: jax.Array
    steps: jax.Array
    place: jax.Array
    nothing: jax.Array


def random_walks():
    """A trainer of these, quick to compile."""

    def init(seed):
        return Walker(jax.random.key(seed), jnp.zeros((), int), jnp.zeros(3), jnp.zeros((4, 0)))

    def iterate(state):
        key, draw = jax.random.split(state.key)
        place = state.place + jnp.sin(jax.random.normal(draw, (3,)))
        state = Walker(key, state.steps + 1, place, state.nothing)
        return state, {"loss_far": jnp.sum(jnp.square(place)), "bottleneck_weight": place[0]}

    def losses(state):
        return {"far": state.place[1]}

    metrics = ("loss_far", "bottleneck_weight")
    return train.Trainer(
        types.SimpleNamespace(env=envs.make("bus")),
        init,
        iterate,
        losses,
        None,
        metrics,
        parallel.ONE,
    )


@pytest.mark.parametrize("count, iterations", [(3, 3), (3, 4), (5, 1), (4, 3)])
def test_seeds_that_take_turns_train_as_on_one_device(count, iterations):
    """Bit for bit, also where the turns of a seed are not equally long."""
    seeds = [7, *range(count - 1)]

    def after_two_chunks(devices):
        runner = waves.make_runner(random_walks(), seeds, iterations, jax.devices()[:devices])
        state, _ = runner.chunk(runner.init())
        state, metrics = runner.chunk(state)
        moved = runner.over_seeds(lambda place, by: place + by)(
            tuple(unit.place for unit in state), 2.0
        )
        state, metrics, moved = map(runner.join, (state, metrics, moved))
        np.testing.assert_array_equal(moved, state.place + 2.0)
        placed = runner.join(runner.grid.place(jax.device_get(state)))
        assert differing(placed, state) == []
        return {"state": state, "metrics": metrics}

    alone, together = after_two_chunks(devices=1), after_two_chunks(devices=2)
    assert differing(together, alone) == []
    assert together["state"].steps.tolist() == [2 * iterations] * count

    walk = random_walks()
    for k, seed in enumerate(seeds):
        state, far = walk.init(seed), []
        for i in range(2 * iterations):
            state, found = walk.iterate(state)
            far += [found["loss_far"]] if i >= iterations else []
        assert together["metrics"]["loss_far"][k] == pytest.approx(np.mean(far), rel=1e-5)
        np.testing.assert_allclose(together["state"].place[k], state.place, rtol=1e-5)
