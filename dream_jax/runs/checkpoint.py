"""Whole training states on disk (orbax): saved atomically, restored bit for bit.

A checkpoint holds every array of the state, the state's tree (path, shape and dtype of each leaf)
and the caller's metadata. Leaves are restored as numpy arrays on the host, and the caller places
them. So the number of devices may differ between saving and restoring. Typed PRNG keys stay typed.
If several processes train together, all of them save: each writes the parts that it holds.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import absl.logging
import jax
import numpy as np
import orbax.checkpoint as ocp

from dream_jax.types import is_key

_ARRAYS, _METADATA = "arrays", "metadata"
# Fields by the name that they had in older checkpoints.
_RENAMED = {"z_from_decoder": "acts_on_exploration"}


def save(
    directory: str | Path, step: int, state: Any, metadata: dict[str, Any], keep: int = 2
) -> bool:
    """Save `state` as checkpoint `step` and delete all but the newest `keep`.

    A checkpoint appears under its name only when it is complete. Saving the latest step again does
    nothing and returns False, because a step count names one state.

    Args:
      directory: is made if it is missing.
      step: a count that only grows, for example of updates.
      state: any pytree of arrays, on one device or sharded over several.
      metadata: JSON, for example the config's fingerprint, seconds so far, rows of metrics.
      keep: how many checkpoints stay, at least 1.
    """
    if keep < 1:
        raise ValueError(f"keep={keep}: at least 1 checkpoint must stay")
    latest = latest_step(directory)
    if latest is not None and step < latest:
        raise ValueError(f"step {step} is older than the latest checkpoint, {latest}, {directory}")
    if step == latest:
        return False
    leaves = _named_leaves(state)
    tree = {name: _describe(name, leaf) for name, leaf in leaves.items()}
    # orbax refuses arrays of size 0, for example an empty instruction. Their shape is in the tree.
    arrays = {name: _to_save(leaf) for name, leaf in leaves.items() if np.size(leaf)}
    generators = {n: str(jax.random.key_impl(x)) for n, x in leaves.items() if is_key(x)}
    about = {"tree": tree, "generators": generators, "metadata": metadata}
    items = {_ARRAYS: ocp.args.StandardSave(arrays), _METADATA: ocp.args.JsonSave(about)}
    with _manager(directory, keep) as manager:
        manager.save(step, args=ocp.args.Composite(**items), force=True)
    return True


def latest_step(directory: str | Path) -> int | None:
    """The newest complete checkpoint, or None."""
    return max(_steps(directory), default=None)


def read_metadata(directory: str | Path, step: int | None = None) -> dict[str, Any]:
    """The metadata alone, of the newest checkpoint or of `step`."""
    return _read_json(directory, _existing_step(directory, step))["metadata"]


def restore(
    directory: str | Path, template: Any, step: int | None = None
) -> tuple[Any, dict[str, Any]]:
    """(state, metadata) of the newest checkpoint, or of `step`.

    Args:
      directory: where `save` wrote.
      template: a state of the same tree, shapes and dtypes; `jax.eval_shape` of the function that
        makes one is enough.
      step: which checkpoint; the newest by default.

    Raises:
      ValueError: no such checkpoint, one that cannot be read, or not one of a state like this.
    """
    step = _existing_step(directory, step)
    saved = _read_json(directory, step)
    leaves = _named_leaves(template)
    tree = {name: _describe(name, leaf) for name, leaf in leaves.items()}
    names = {_name_today(name): name for name in saved["tree"]}  # in the checkpoint
    there = {name: saved["tree"][old] for name, old in names.items()}
    _check_same_tree(f"checkpoint {step} in {directory}", there, tree)
    shapes = {
        names[name]: jax.eval_shape(jax.random.key_data, leaf) if is_key(leaf) else leaf
        for name, leaf in leaves.items()
    }
    host: dict[str, Any] = {name: np.empty(x.shape, x.dtype) for name, x in shapes.items()}
    arrays = {name: x for name, x in host.items() if x.size}
    host |= _read(directory, step, _ARRAYS, ocp.args.StandardRestore(arrays))
    for name, generator in saved["generators"].items():
        host[name] = jax.random.wrap_key_data(host[name], impl=generator)
    restored = [host[names[name]] for name in leaves]
    return jax.tree.unflatten(jax.tree.structure(template), restored), saved["metadata"]


def _named_leaves(tree: Any) -> dict[str, Any]:
    """Leaves by their path, for example `.exploration.params['Dense_0']['kernel']`."""
    return {jax.tree_util.keystr(k): x for k, x in jax.tree_util.tree_flatten_with_path(tree)[0]}


def _name_today(name: str) -> str:
    """The path of a leaf of an older checkpoint, with the names of today."""
    for old, new in _RENAMED.items():
        name = name.replace(f".{old}", f".{new}")
    return name


def _describe(name: str, leaf: Any) -> str:
    if not (hasattr(leaf, "shape") and hasattr(leaf, "dtype")):
        raise ValueError(f"state{name} is a {type(leaf).__name__}: every leaf must be an array")
    return f"{leaf.dtype}[{','.join(str(n) for n in leaf.shape)}]"


def _to_save(leaf: Any) -> Any:
    """A leaf as numpy. An array that other processes hold parts of stays as it is."""
    data = jax.random.key_data(leaf) if is_key(leaf) else leaf
    if isinstance(data, jax.Array) and not data.is_fully_addressable:
        return data
    return np.asarray(data)


def _check_same_tree(what: str, saved: dict[str, str], wanted: dict[str, str]) -> None:
    missing = "nothing"
    wrong = [
        f"{name.lstrip('.')} is {saved.get(name, missing)}, expected {wanted.get(name, missing)}"
        for name in [*wanted, *(saved.keys() - wanted.keys())]
        if saved.get(name) != wanted.get(name)
    ]
    if wrong:
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise ValueError(f"{what} holds another state: {wrong[0]}{more}")


@contextlib.contextmanager
def _manager(directory: str | Path, keep: int | None = None) -> Iterator[ocp.CheckpointManager]:
    """An orbax manager that reads, or writes and keeps the newest `keep`."""
    options = ocp.CheckpointManagerOptions(
        max_to_keep=keep,
        create=keep is not None,
        cleanup_tmp_directories=keep is not None,
        enable_async_checkpointing=False,
    )
    verbosity = absl.logging.get_verbosity()
    absl.logging.set_verbosity(absl.logging.ERROR)  # orbax logs some 60 lines per checkpoint
    try:
        with ocp.CheckpointManager(Path(directory).absolute(), options=options) as manager:
            yield manager
    finally:
        absl.logging.set_verbosity(verbosity)


def _steps(directory: str | Path) -> list[int]:
    return sorted(ocp.utils.checkpoint_steps(directory)) if Path(directory).is_dir() else []


def _existing_step(directory: str | Path, step: int | None) -> int:
    steps = _steps(directory)
    if not steps:
        raise ValueError(f"no checkpoint in {directory}")
    if step is not None and step not in steps:
        listed = ", ".join(str(s) for s in steps)
        raise ValueError(f"no checkpoint {step} in {directory}; there are {listed}")
    return steps[-1] if step is None else step


def _read_json(directory: str | Path, step: int) -> dict[str, Any]:
    return _read(directory, step, _METADATA, ocp.args.JsonRestore())


def _read(directory: str | Path, step: int, item: str, args: ocp.args.CheckpointArgs) -> Any:
    try:
        with _manager(directory) as manager:
            return manager.restore(step, args=ocp.args.Composite(**{item: args}))[item]
    except Exception as error:  # orbax and tensorstore raise nearly anything on a damaged file
        reason = str(error).split("\n", 1)[0]
        raise ValueError(f"checkpoint {step} in {directory} cannot be read: {reason}") from error
