"""A small sweep on a real cluster of this machine, with a loss in its middle:

    python -m tests.experiments.sweeps.on_a_cluster ray OUT
    .ci/slurm python -m tests.experiments.sweeps.on_a_cluster slurm OUT

ray: two nodes of one CPU each, of which one is killed while both train.
slurm: one node. A job gets the signal of a time limit and is queued again. Another is cancelled, so
the sweep fails and is resumed.

OUT gets the folder of the sweep, and what was done is printed. `local` runs the same sweep in
processes of this machine, without a loss.
"""

import importlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import jax

from experiments import sweep
from tests import test_guide

SIZES = ("hidden_size", "head_size", "decoder_memory_size", "decoder_hidden_size")
PERIODS = 24
FLAGS = [
    "lamps:Lamps",
    "--smoke",
    "--seeds=2",
    "--workers=2",
    "--grid.networks.z_size=4,8",
    "--grid.optimizer.learning_rate=1e-3,1e-2",
    *(f"--config.networks.{name}=8" for name in SIZES),
    "--config.training.evaluation_period_trials=32",
    f"--config.training.trials={32 * PERIODS}",
    "--config.training.evaluation_trials=64",
    "--config.training.final_evaluation_trials=128",
]
_WAIT_S = 300


def checkpoint(out: Path, job: int) -> bool:
    """Whether a job has a checkpoint, and has not ended."""
    folder = out / "jobs" / f"{job:04d}.checkpoints"
    return folder.exists() and any(path.name.isdigit() for path in folder.iterdir())


def once(condition: Callable[[], bool], then: Callable[[], None]) -> threading.Thread:
    """Do something as soon as a condition holds."""

    def watch() -> None:
        deadline = time.monotonic() + _WAIT_S
        while not condition():
            if time.monotonic() > deadline:
                return print("the condition never held", flush=True)
            time.sleep(0.05)
        then()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


def on_ray(out: Path) -> int:
    ray = importlib.import_module("ray")
    cluster_utils = importlib.import_module("ray.cluster_utils")
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    second = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    ray.init(address=cluster.address)
    print(f"nodes: {len(ray.nodes())}, CPUs: {ray.cluster_resources()['CPU']:.0f}", flush=True)

    def kill() -> None:
        cluster.remove_node(second, allow_graceful=False)
        print("killed the second node", flush=True)

    killer = once(lambda: checkpoint(out, 0) and checkpoint(out, 1), kill)
    status = sweep.main([*FLAGS, "--pool=ray", f"--out={out}"])
    killer.join()
    ray.shutdown()
    cluster.shutdown()
    return status


def on_slurm(out: Path) -> int:
    def scancel(*words: str) -> Callable[[], None]:
        def call() -> None:
            subprocess.run(["scancel", *words], check=True)
            print("scancel", *words, flush=True)

        return call

    warner = once(lambda: checkpoint(out, 0), scancel("--signal=USR2", "1_0"))
    canceller = once(lambda: checkpoint(out, 1), scancel("1_1"))
    status = sweep.main([*FLAGS, "--pool=slurm", f"--out={out}"])
    warner.join()
    canceller.join()
    print(f"status {status}", flush=True)
    return sweep.main([*FLAGS, "--pool=slurm", f"--out={out}", "--resume"])


def locally(out: Path) -> int:
    return sweep.main([*FLAGS, f"--out={out}"])


def main(pool: str, out: Path) -> int:
    out.mkdir(parents=True)
    (out / "lamps.py").write_text(test_guide.blocks()["lamps"])
    os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"
    jax.config.update("jax_disable_most_optimizations", True)
    root = str(Path(__file__).parents[3])
    os.environ["PYTHONPATH"] = os.pathsep.join([root, str(out)])
    sys.path.insert(0, str(out))
    return {"ray": on_ray, "slurm": on_slurm, "local": locally}[pool](out / "sweep")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2]).absolute()))
