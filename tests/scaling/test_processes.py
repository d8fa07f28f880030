"""Several devices or processes train as one device does, and one restores what two saved."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from dream_jax.runs import checkpoint
from tests.running import trained
from tests.scaling import train_together

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.fixture
def together(tmp_path):
    """`together(processes=2, devices=1, seeds=2, shards=1)` -> ({path: leaf}, folder)."""

    def run(processes, devices, seeds, shards):
        with socket.socket() as free:
            free.bind(("localhost", 0))
            port = free.getsockname()[1]
        arguments = {
            "processes": processes,
            "port": port,
            "devices": devices,
            "seeds": seeds,
            "shards": shards,
            "out": str(tmp_path),
        }
        root = str(Path(__file__).parents[2])
        started = [
            subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "tests.scaling.train_together",
                    json.dumps(arguments | {"process": n}),
                ],
                cwd=root,
                env=os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": root},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for n in range(processes)
        ]
        try:
            shown = [process.communicate(timeout=1_200)[0] for process in started]
        finally:
            for process in started:
                process.kill()
        assert [process.returncode for process in started] == [0] * processes, "\n".join(shown)
        with np.load(tmp_path / "state.npz") as file:
            return dict(file), tmp_path

    return run


def alone(seeds):
    """The same on one device of this process."""
    run = train_together.runner(seeds, 1, jax.devices()[:1])
    return train_together.leaves(trained(run)[0])


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


@pytest.mark.parametrize(("processes", "devices"), [(1, 8), (2, 1)])
def test_seeds_spread_out_are_those_of_one_device(together, processes, devices):
    seeds = processes * devices
    found, folder = together(processes, devices, seeds, shards=1)
    assert differing(found, alone(seeds)) == []  # bit for bit

    # What they saved, restored here, by one process on one device.
    run = train_together.runner(seeds, 1, jax.devices()[:1])
    shape = jax.eval_shape(run.join, (run.shape,) * seeds)
    restored, about = checkpoint.restore(folder / "checkpoints", shape)
    assert about == {"processes": processes}
    placed = run.join(run.place(restored))
    assert differing(train_together.leaves(placed), found) == []


@pytest.mark.parametrize(("processes", "devices", "shards"), [(1, 8, 4), (2, 1, 2)])
def test_batches_shared_out_are_those_of_one_device(together, processes, devices, shards):
    """Every action and count; parameters but for the order of summation."""
    seeds = processes * devices // shards
    found, _ = together(processes, devices, seeds, shards)
    assert_same_up_to_rounding(found, alone(seeds))
