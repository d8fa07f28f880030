"""Starts or continues a run in a folder. Seeds that it gets later first catch up with the others.

The new seeds train alone, as a run of their own in DIR/added_seeds, until they have as many trials
as the others. Then one checkpoint with all seeds replaces the newest one. A stop or a crash at any
moment loses nothing: the next resume goes on from there.
"""

import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dream_jax import envs
from dream_jax.config import Config, ConfigError
from dream_jax.runs import checkpoint
from dream_jax.runs.checkpoint import Restored
from dream_jax.runs.folder import ADDED, MERGED, RUN_FILE, RunRequest, saved_run
from dream_jax.runs.loop import Run
from dream_jax.runs.on_disk import CHECKPOINTS, OnDisk
from dream_jax.runs.signals import StopSignal
from dream_jax.runs.storage import Progress
from dream_jax.scaling import seeds as scaling
from dream_jax.scaling.placement import make_placement
from dream_jax.training import setup
from dream_jax.types import is_key


class StoppedWhileAdding(Exception):
    """A run was stopped while added seeds caught up. Its folder is ready to be resumed."""


def start(
    request: RunRequest,
    started_s: float,
    signals: Callable[[], StopSignal],
    log: Callable[[str], None],
) -> Run:
    """The run of a request, ready to train. It has its folder's lock until it has trained.

    Args:
      request: of an agent that is trained.
      started_s, signals, log: as of `Run`.

    Raises:
      ConfigError: the run does not fit this machine, or cannot use its folder.
      StoppedWhileAdding: seeds that the request adds were catching up.
    """
    storage = OnDisk(request)
    storage.claim()
    try:
        if request.resume:
            _finish_merge(request.out)
            _add_seeds(storage, request, signals, log)
        return Run(request.config, request.seeds, storage, started_s, signals, log)
    except BaseException:
        storage.release()
        raise


def _add_seeds(
    storage: OnDisk,
    request: RunRequest,
    signals: Callable[[], StopSignal],
    log: Callable[[str], None],
) -> None:
    """Train the seeds that the newest checkpoint lacks, and put them in."""
    out, config = request.out, request.config
    folder, added = out / CHECKPOINTS, out / ADDED
    if checkpoint.latest_step(folder) is None:
        return
    try:
        there = checkpoint.seeds_of(folder, saved_run(out)["seeds"])
        new = tuple(seed for seed in request.seeds if seed not in there)
        if not new:
            shutil.rmtree(added, ignore_errors=True)
            return
        trainer = setup.make_trainer(config, envs.from_config(config.benchmark, config.env))
        shape = scaling.state_shape(trainer, len(there))
        old = checkpoint.restore_newest(folder, shape)
        old.metadata["metrics"] = storage.rows_of(old.metadata, log)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ConfigError(f"--resume: {out} is damaged: {error}") from error
    trials = old.metadata["trials"]
    storage.begin(old)
    together = (*new, *_fillers(config, request.seeds, there, new, log))
    again = (added / RUN_FILE).exists() and saved_run(added)["seeds"] == list(together)
    part = RunRequest(config, added, together, again, not again, True, storage.init_from)
    listed = ", ".join(map(str, new))
    log(f"added seeds {listed}: training them for the {trials:,} trials of the others")
    run = start(part, time.time(), signals, log)
    if run.trials < trials:
        run.train(until_trials=trials)
    if run.trials < trials:
        raise StoppedWhileAdding(
            f"stopped while seeds {listed} caught up, at {run.trials:,} of {trials:,} trials; "
            f"--resume goes on from {out}"
        )
    shape = scaling.state_shape(trainer, len(together))
    state, about = checkpoint.restore(added / CHECKPOINTS, shape, trials)
    about["metrics"] = [row for row in about["metrics"] if row["seed"] in new]
    about["failed"] = {k: x for k, x in about["failed"].items() if int(k) in new}
    only_new = jax.tree.map(lambda x: x[: len(new)], state)
    _merge(request, there, old, list(new), Restored(only_new, about, trials, {}))


def _fillers(
    config: Config,
    seeds: Sequence[int],
    there: Sequence[int],
    new: Sequence[int],
    log: Callable[[str], None],
) -> Sequence[int]:
    """Seeds that train again beside the new ones, for nothing but their bits.

    A program for several CPU devices may round in another way than a program for one. So the new
    seeds use as many devices as the whole run. Idle devices train seeds that are there already.
    """
    shards, devices = config.training.trial_shards, jax.devices()
    now = make_placement(len(seeds), shards, devices)
    if now.vectorised:
        return ()
    if make_placement(len(there), shards, devices).rows != now.rows:
        log(
            f"{len(there)} seeds trained on fewer devices than {len(seeds)} do: they may differ in "
            "the last bits from seeds of a run that had all of them from the start"
        )
    return there[: max(0, now.rows - len(new))]


def _merge(
    request: RunRequest, there: Sequence[int], old: Restored, added: Sequence[int], new: Restored
) -> None:
    """Replace the newest checkpoint by one with all seeds, in the order of the request."""
    place = [[*there, *added].index(seed) for seed in request.seeds]

    def both(a: Any, b: Any) -> Any:
        joined = jnp.concatenate([a, b]) if is_key(a) else np.concatenate([a, b])
        return joined[np.array(place)]

    parts = (old.metadata, new.metadata)
    order = {seed: k for k, seed in enumerate(request.seeds)}
    rows = [row for part in parts for row in part["metrics"]]
    rows.sort(key=lambda row: (row["trials"], order[row["seed"]]))
    progress = Progress(
        rows=len(rows),
        trials=old.metadata["trials"],
        evaluations=old.metadata["evaluations"],
        wall_s=sum(part["wall_s"] for part in parts),
        compile_s=sum(part["compile_s"] for part in parts),
    )
    metadata = progress._asdict() | {
        "seeds": list(request.seeds),
        "failed": {**parts[0].get("failed", {}), **parts[1].get("failed", {})},
        "metrics": rows,
    }
    state = jax.tree.map(both, old.state, new.state)
    checkpoint.save(request.out / MERGED, old.step, state, metadata)
    _finish_merge(request.out)


def _finish_merge(out: Path) -> None:
    """Put a merged checkpoint that is whole in its place; delete one that is not."""
    merged = out / MERGED
    step = checkpoint.latest_step(merged)
    if step is not None:
        name = str(step)
        shutil.rmtree(out / CHECKPOINTS / name, ignore_errors=True)
        (merged / name).rename(out / CHECKPOINTS / name)
        shutil.rmtree(out / ADDED, ignore_errors=True)
    shutil.rmtree(merged, ignore_errors=True)
