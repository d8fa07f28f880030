"""Waves of seeds, with a trainer that is quick to compile."""

import os
import pathlib
import subprocess
import sys

import jax
import numpy as np
import pytest

from dream_jax.scaling import seeds as waves
from tests.scaling import walks


@pytest.mark.parametrize("iterations", [1, 2, 3, 20])
@pytest.mark.parametrize(
    "seeds, devices", [(3, 2), (5, 2), (4, 3), (6, 4), (7, 4), (25, 16), (2, 2), (1, 1), (4, 2)]
)
def test_every_unit_gets_its_iterations(seeds, devices, iterations):
    mesh = jax.sharding.Mesh(np.zeros((devices, 1)), ("seed", "trial"))
    grid = waves.Grid(mesh, seeds, 1 if seeds % devices else devices)
    done = np.zeros(grid.units, int)
    length = 0
    for wave in grid.waves(iterations):
        numbers, due = zip(*wave, strict=True)
        assert len(set(numbers)) == len(wave) == grid.wave_seeds // grid.unit_seeds
        done[list(numbers)] += due
        length += max(due)
    assert (done == iterations).all()
    assert length == -(-seeds * iterations // devices)  # no place waits longer than it must


def test_three_seeds_on_two_devices_take_turns():
    mesh = jax.sharding.Mesh(np.zeros((2, 1)), ("seed", "trial"))
    expected = [[(0, 10), (1, 10)], [(0, 10), (2, 10)], [(1, 10), (2, 10)]]
    assert waves.Grid(mesh, 3, 1).waves(20) == expected


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("seeds, iterations", [(3, 3), (4, 3), (5, 1)])
def test_seeds_that_take_turns_train_as_on_one_device(seeds, iterations, compiled):
    state, metrics = walks.compare(2, seeds, iterations, 1, compiled)
    assert state.steps.tolist() == [2 * iterations] * seeds

    walk = walks.walks()
    for k, seed in enumerate([walks.LOST, *range(seeds - 1)]):
        alone, far = walk.init(seed), []
        for i in range(2 * iterations):
            alone, found = walk.iterate(alone)
            far += [found["loss_far"]] if i >= iterations else []
        np.testing.assert_array_equal(state.place[k], alone.place)
        expected = np.inf if seed == walks.LOST else np.mean(far)
        assert metrics["loss_far"][k] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    "devices, seeds, iterations, share", [(4, 6, 3, 1), (4, 7, 2, 1), (4, 3, 3, 2)]
)
def test_turns_on_more_devices(devices, seeds, iterations, share):
    """In a process that has them; with `share` above 1 a batch is shared besides."""
    arguments = [str(x) for x in (devices, seeds, iterations, share)]
    command = [sys.executable, "-m", "tests.scaling.walks", *arguments]
    root = str(pathlib.Path(__file__).parents[2])
    done = subprocess.run(
        command,
        cwd=root,
        env=os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": root},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.stdout == "equal\n", done.stderr


def test_grid_worlds_are_optimised_less_and_pictures_are_not(monkeypatch):
    """Pictures would be drawn seven times as slowly."""
    given = []
    real = jax.jit

    def jit(function, **options):
        given.append(options.pop("compiler_options", None))
        return real(function, **options)

    monkeypatch.setattr(jax, "jit", jit)

    def options_of(trainer):
        given.clear()
        waves.make_runner(trainer, [0], 1, jax.devices()[:1])
        return given[0]

    plain = walks.walks()
    assert options_of(plain) == {"xla_backend_optimization_level": 1}
    pictures = type("Pictures", (), {"observation_shape": (60, 80, 3)})()
    agent = type("Agent", (), {"env": pictures})()
    assert options_of(plain._replace(agent=agent)) is None
