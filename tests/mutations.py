"""Break the code in ten places, one at a time; say whether the quick tier notices.

    python -m tests.mutations [NAME ...]

Each change is made in a copy of the checkout, and the tests of the rooms it belongs to run there.
Ends with status 0 if nine of ten are found.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]


class Mutation(NamedTuple):
    file: str
    old: str  # is there once
    new: str
    tests: str  # files or folders below tests/


MUTATIONS = {
    "mask": Mutation(
        "dream_jax/losses/reduce.py",
        "jnp.where(mask > 0, values, 0.0)",
        "values",
        "losses agents/test_dream_invariances.py",
    ),
    "stop-gradient": Mutation(
        "dream_jax/losses/dream.py",
        "g - jax.lax.stop_gradient(f)",
        "g - f",
        "losses agents/test_dream_gradients.py",
    ),
    "sign": Mutation(
        "dream_jax/losses/dream.py",
        "(distance[:-1] - distance[1:])",
        "(distance[1:] - distance[:-1])",
        "losses agents/test_dream_terms.py",
    ),
    "index": Mutation(
        "dream_jax/agents/dream.py",
        "heads[:, jnp.sum(trial.exploration.mask)]",
        "heads[:, jnp.sum(trial.exploration.mask) - 1]",
        "agents/test_dream_terms.py",
    ),
    "flag": Mutation(
        "experiments/cli/flags.py",
        "range(values.first_seed, last + 1)",
        "range(values.seeds)",
        "experiments/cli",
    ),
    "key reuse": Mutation(
        "dream_jax/training/trainer.py",
        "self.add(state._replace(key=key), trials)",
        "self.add(state, trials)",
        "training/test_trainer.py",
    ),
    "padding": Mutation(
        "dream_jax/data/rollout.py",
        "jnp.where(alive, shown.reward, 0.0)",
        "shown.reward",
        "data",
    ),
    "discount": Mutation(
        "dream_jax/agents/inputs.py",
        "else terminated | truncated",
        "else truncated",
        "agents/test_inputs.py agents/test_dream_terms.py",
    ),
    "target update": Mutation(
        "dream_jax/training/learner.py",
        "copy_now = updates %",
        "copy_now = learner.updates %",
        "training",
    ),
    "replay wrap": Mutation(
        "dream_jax/data/replay.py",
        "start = state.inserted % capacity",
        "start = state.inserted",
        "data",
    ),
}


def noticed(mutation: Mutation, copy: Path) -> bool:
    """Whether a test of the quick tier fails with the change. The copy is as before afterwards."""
    path = copy / mutation.file
    text = path.read_text()
    if text.count(mutation.old) != 1:
        raise SystemExit(f"{mutation.file} has {mutation.old!r} {text.count(mutation.old)} times")
    path.write_text(text.replace(mutation.old, mutation.new))
    tests = [f"tests/{name}" for name in mutation.tests.split()]
    # In one process: with -x, pytest-xdist ends as if it had been interrupted.
    alone = ["-p", "no:cacheprovider", "-p", "no:xdist", "-o", "addopts=", "-m", "not slow"]
    command = [sys.executable, "-m", "pytest", "-q", "-x", *alone, *tests]
    environment = os.environ | {"PYTHONPATH": str(copy)}
    status = subprocess.run(
        command, cwd=copy, env=environment, stdout=subprocess.DEVNULL
    ).returncode
    path.write_text(text)
    if status not in (0, 1):
        raise SystemExit(f"pytest {' '.join(tests)}: exit status {status}")
    return status == 1


def main(names: list[str]) -> int:
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "checkout"
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".*", "runs", "__pycache__"))
        for name in names or MUTATIONS:
            start = time.monotonic()
            found[name] = noticed(MUTATIONS[name], copy)
            taken = f"{time.monotonic() - start:.0f} s"
            print(f"{'found' if found[name] else 'MISSED'}: {name} ({taken})", flush=True)
    print(f"{sum(found.values())} of {len(found)} found")
    return 0 if sum(found.values()) >= 0.9 * len(found) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
