"""One of the processes that train together, for `test_devices`:

    python -m tests.scaling.train_together ARGUMENTS

Arguments: JSON with process, processes, port, devices (of each process), trainer ("walks" or
"dream"), cases ([[seeds, share], ...], `share` devices for each batch), out, a folder, and late_s,
the seconds by which each process begins after the one before.
"""

import json
import sys
import time
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
from tests.scaling.walks import walks
from tests.training.held_out import CONFIG, ITERATIONS, HeldOut


def dream(share):
    config = configs.override(CONFIG, {"training.trial_shards": str(share)})
    return setup.make_trainer(config, HeldOut())


TRAINERS = {"walks": walks, "dream": dream}


def runner(trainer, seeds, share, devices):
    return scaling.make_runner(TRAINERS[trainer](share), range(seeds), ITERATIONS, devices)


def leaves(state):
    """Numpy leaves by path; typed keys as their bits."""
    bits = jax.tree.map(lambda x: jax.random.key_data(x) if is_key(x) else x, hosts.fetch(state))
    found = jax.tree_util.tree_leaves_with_path(hosts.fetch(bits))
    return {jax.tree_util.keystr(path): np.asarray(x) for path, x in found}


def folder(out, seeds, share):
    return Path(out, f"{seeds}_seeds_{share}_devices_each")


def train(trainer, seeds, share, processes, out):
    """Train, save, restore, and write the state as arrays by path."""
    run = runner(trainer, seeds, share, jax.devices())
    assert run.placement.mesh.devices.size == jax.device_count()
    state, _ = trained(run)
    checkpoint.save(out / "checkpoints", 1, state, {"processes": processes})
    shape = jax.eval_shape(lambda: state)
    placed = run.place(checkpoint.restore(out / "checkpoints", shape)[0])
    saved, restored = leaves(state), leaves(run.join(placed))
    assert all(saved[name].tobytes() == restored[name].tobytes() for name in saved)
    if jax.process_index() == 0:
        np.savez(out / "state.npz", **saved)


def main(process, processes, port, devices, trainer, cases, out, late_s=0):
    jax.config.update("jax_num_cpu_devices", devices)
    jax.config.update("jax_disable_most_optimizations", True)
    if processes > 1:
        hosts.connect(f"localhost:{port}", processes, process)
    assert len(jax.devices()) == processes * devices
    time.sleep(process * late_s)
    for seeds, share in cases:
        train(trainer, seeds, share, processes, folder(out, seeds, share))


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
