"""Many seeds on several devices, with a trainer that is quick to compile."""

import json
import os
import pathlib
import subprocess
import sys

import jax
import numpy as np
import pytest

from dream_jax.scaling import seeds as scaling
from tests.scaling import walks


@pytest.fixture(scope="module")
def walk():
    """The trainer of one seed, jitted."""
    trainer = walks.walks()
    return trainer._replace(init=jax.jit(trainer.init), iterate=jax.jit(trainer.iterate))


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("seeds, iterations", [(3, 3), (4, 3), (5, 1)])
def test_two_devices_train_as_one(walk, seeds, iterations, compiled):
    state, metrics = walks.compare(2, seeds, iterations, 1, compiled)
    assert state.steps.tolist() == [2 * iterations] * seeds

    for k, seed in enumerate([walks.LOST, *range(seeds - 1)]):
        alone, far = walk.init(seed), []
        for i in range(2 * iterations):
            alone, found = walk.iterate(alone)
            far += [found["loss_far"]] if i >= iterations else []
        np.testing.assert_array_equal(state.position[k], alone.position)
        expected = np.inf if seed == walks.LOST else np.mean(far)
        assert metrics["loss_far"][k] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    "seeds, devices, share, sizes",
    [
        (1, 1, 1, [1]),
        (2, 2, 1, [2]),
        (3, 2, 1, [1, 1, 1]),
        (4, 2, 1, [2, 2]),
        (3, 1, 1, [1, 1, 1]),
        (3, 2, 2, [1, 1, 1]),
    ],
)
def test_untrained_states(seeds, devices, share, sizes):
    trainer = walks.walks(share)
    numbers = [7 + k for k in range(seeds)]
    runner = scaling.make_runner(trainer, numbers, 1, jax.devices()[:devices])
    groups = runner.init()
    assert [group.steps.shape for group in groups] == [(n,) for n in sizes]
    joined = runner.join(groups)
    assert joined.seed.tolist() == numbers

    def shapes(tree):
        return jax.tree.map(lambda x: (x.shape, x.dtype), tree)

    assert shapes(joined) == shapes(scaling.state_shape(trainer, seeds))
    assert shapes(runner.shape) == shapes(scaling.state_shape(trainer, devices // share))


def test_four_devices_train_as_one():
    """In a process that has four; in the last case two devices share each batch."""
    cases = [[6, 3, 1], [7, 2, 1], [3, 3, 2]]
    root = str(pathlib.Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-m", "tests.scaling.walks", "4", json.dumps(cases)],
        cwd=root,
        env=os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": root},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("equal: ") == len(cases)


def test_grid_worlds_are_optimised_less_and_pictures_are_not(monkeypatch):
    """Pictures would be drawn seven times more slowly."""
    given = []
    real = jax.jit

    def jit(function, **options):
        given.append(options.pop("compiler_options", None))
        return real(function, **options)

    monkeypatch.setattr(jax, "jit", jit)

    def options_of(trainer):
        given.clear()
        scaling.make_runner(trainer, [0], 1, jax.devices()[:1])
        return given[0]

    plain = walks.walks()
    pictures = type("Pictures", (), {"observe": None})()
    agent = type("Agent", (), {"env": pictures})()
    assert options_of(plain) is None  # as tests are compiled: with fewer optimisations still
    jax.config.update("jax_disable_most_optimizations", False)
    try:
        assert options_of(plain) == {"xla_backend_optimization_level": 1}
        assert options_of(plain._replace(agent=agent)) is None
    finally:
        jax.config.update("jax_disable_most_optimizations", True)
