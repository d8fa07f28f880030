"""One of the processes that train together, for `test_processes`:

    python -m tests.scaling.train_together ARGUMENTS

Arguments: JSON with process, processes, port, devices (of each process), seeds, shards, out.
"""

import json
import sys
from pathlib import Path

import jax
import numpy as np

from dream_jax import config as configs
from dream_jax.runs import checkpoint
from dream_jax.scaling import devices as hosts
from dream_jax.scaling import seeds as scaling
from dream_jax.training import setup
from dream_jax.types import is_key
from tests.running import trained
from tests.training.held_out import CONFIG, ITERATIONS, HeldOut


def leaves(state):
    """Numpy leaves by path; typed keys as their bits."""
    bits = jax.tree.map(lambda x: jax.random.key_data(x) if is_key(x) else x, hosts.fetch(state))
    found = jax.tree_util.tree_leaves_with_path(hosts.fetch(bits))
    return {jax.tree_util.keystr(path): np.asarray(x) for path, x in found}


def runner(seeds, shards, devices):
    config = configs.override(CONFIG, {"training.trial_shards": str(shards)})
    return scaling.make_runner(
        setup.make_trainer(config, HeldOut()), range(seeds), ITERATIONS, devices
    )


def main(process, processes, port, devices, seeds, shards, out):
    jax.config.update("jax_num_cpu_devices", devices)
    jax.config.update("jax_disable_most_optimizations", True)
    if processes > 1:
        hosts.connect(f"localhost:{port}", processes, process)
    assert len(jax.devices()) == processes * devices
    run = runner(seeds, shards, jax.devices())
    assert run.placement.mesh.devices.size == processes * devices
    state, _ = trained(run)
    checkpoint.save(Path(out, "checkpoints"), 1, state, {"processes": processes})
    shape = jax.eval_shape(lambda: state)
    placed = run.place(checkpoint.restore(Path(out, "checkpoints"), shape)[0])
    saved, restored = leaves(state), leaves(run.join(placed))
    assert all(saved[name].tobytes() == restored[name].tobytes() for name in saved)
    if process == 0:
        np.savez(Path(out, "state.npz"), **saved)


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
