"""Several devices or processes train as one device does, and one restores what they saved.

Random walks take seconds. DREAM itself compiles for a minute.
"""

import functools
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import pytest

from dream_jax.runs import checkpoint
from tests.running import trained
from tests.scaling import train_together


class Setup(NamedTuple):
    trainer: str
    processes: int
    devices: int  # of each process
    cases: tuple[tuple[int, int], ...]  # (seeds, devices that share each batch), one after another
    late_s: int = 0  # by which each process begins after the one before


WALKS = Setup("walks", processes=2, devices=2, cases=((4, 1), (1, 4)))
EIGHT_DEVICES = Setup("dream", processes=1, devices=8, cases=((8, 1), (2, 4)))
TWO_PROCESSES = Setup("dream", processes=2, devices=1, cases=((2, 1), (1, 2)))
MOST_SEEDS = 8


def cases(shared):
    """(setup, seeds, share) of the cases that share batches, or of the others."""
    return [
        pytest.param(
            setup,
            seeds,
            share,
            marks=[] if setup == WALKS else [pytest.mark.slow],
            id=f"{setup.trainer}-{setup.processes}x{setup.devices}-seeds={seeds}-share={share}",
        )
        for setup in (WALKS, EIGHT_DEVICES, TWO_PROCESSES)
        for seeds, share in setup.cases
        if (share > 1) == shared
    ]


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """`together(setup)` -> the folder where its processes wrote. They run once."""

    @functools.cache
    def run(setup):
        out = tmp_path_factory.mktemp("together")
        for seeds, share in setup.cases:
            train_together.folder(out, seeds, share).mkdir()
        with socket.socket() as free:
            free.bind(("localhost", 0))
            port = free.getsockname()[1]
        arguments = setup._asdict() | {"port": port, "out": str(out)}
        root = str(Path(__file__).parents[2])
        command = [sys.executable, "-m", "tests.scaling.train_together"]
        started = [
            subprocess.Popen(
                [*command, json.dumps(arguments | {"process": n})],
                cwd=root,
                env=os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": root},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for n in range(setup.processes)
        ]
        try:
            shown = [process.communicate(timeout=1_200)[0] for process in started]
        finally:
            for process in started:
                process.kill()
        assert [process.returncode for process in started] == [0] * len(started), "\n".join(shown)
        return out

    return run


@pytest.fixture(scope="module")
def alone():
    """`alone(trainer, seeds)`: {path: leaf} of the same training on one device of this process."""

    @functools.cache
    def all_seeds(trainer):
        run = train_together.runner(trainer, MOST_SEEDS, 1, jax.devices()[:1])
        return train_together.leaves(trained(run)[0])

    # The program trains one seed at a time: more of them change nothing.
    return lambda trainer, seeds: {name: x[:seeds] for name, x in all_seeds(trainer).items()}


def state(folder):
    with np.load(folder / "state.npz") as file:
        return dict(file)


def differing(a, b):
    assert a.keys() == b.keys()
    return [name for name in a if a[name].tobytes() != b[name].tobytes()]


def assert_same_up_to_rounding(found, expected):
    assert found.keys() == expected.keys()
    for name, leaf in found.items():
        if np.issubdtype(leaf.dtype, np.floating):
            np.testing.assert_allclose(leaf, expected[name], rtol=0, atol=1e-5, err_msg=name)
        else:
            np.testing.assert_array_equal(leaf, expected[name], err_msg=name)


@pytest.mark.parametrize("setup, seeds, share", cases(shared=False))
def test_seeds_spread_out_are_those_of_one_device(together, alone, setup, seeds, share):
    folder = train_together.folder(together(setup), seeds, share)
    found = state(folder)
    assert differing(found, alone(setup.trainer, seeds)) == []  # bit for bit

    # One process restores on one device what the others saved.
    run = train_together.runner(setup.trainer, seeds, share, jax.devices()[:1])
    shape = jax.eval_shape(run.join, (run.shape,) * seeds)
    restored, about = checkpoint.restore(folder / "checkpoints", shape)
    assert about == {"processes": setup.processes}
    placed = run.join(run.place(restored))
    assert differing(train_together.leaves(placed), found) == []


@pytest.mark.parametrize("setup, seeds, share", cases(shared=True))
def test_batches_shared_out_are_those_of_one_device(together, alone, setup, seeds, share):
    """Every action and count is equal, and parameters up to the order of summation."""
    found = state(train_together.folder(together(setup), seeds, share))
    assert_same_up_to_rounding(found, alone(setup.trainer, seeds))
    if setup == WALKS:  # its sums are exact
        assert differing(found, alone(setup.trainer, seeds)) == []


@pytest.mark.slow
def test_a_process_may_compile_for_longer_than_the_others_wait_to_connect(together, alone):
    late = WALKS._replace(devices=1, cases=((2, 1),), late_s=40)
    found = state(train_together.folder(together(late), 2, 1))
    assert differing(found, alone("walks", 2)) == []
