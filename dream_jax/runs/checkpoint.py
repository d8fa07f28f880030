"""Whole training states on disk (orbax): saved atomically, checked, restored bit for bit.

A checkpoint holds every array of the state, the state's tree (path, shape and dtype of each leaf),
a checksum of each array, and the caller's metadata. Leaves are restored as numpy arrays on the
host, and the caller places them. So the number of devices may differ between saving and restoring.
Typed PRNG keys stay typed. Reading one runs no code from it. If several processes train together,
all of them save: each writes the parts that it holds.
"""

import contextlib
import gc
import hashlib
import json
import re
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp

from dream_jax.runs.orbax_noise import quiet
from dream_jax.types import is_key

_ARRAYS, _METADATA = "arrays", "metadata"
# Fields by the name that they had in older checkpoints.
_RENAMED = {"z_from_decoder": "acts_on_exploration"}


class Damaged(ValueError):
    """A checkpoint cannot be read, or its arrays are not those that were saved."""


class Restored(NamedTuple):
    """A checkpoint that is whole."""

    state: Any
    metadata: dict[str, Any]
    step: int
    damaged: dict[int, str]  # newer checkpoints, and what is wrong with each


def save(
    directory: str | Path,
    step: int,
    state: Any,
    metadata: dict[str, Any],
    keep: int = 2,
    protected: Collection[int] = (),
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
      protected: checkpoints that stay besides.

    Raises:
      OSError: it cannot be written. Earlier checkpoints are as they were.
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
    about: dict[str, Any] = {"tree": tree, "generators": generators, "metadata": metadata}
    whole = [name for name, leaf in arrays.items() if isinstance(leaf, np.ndarray)]
    about["checksums"] = {name: _checksum(arrays[name]) for name in whole}
    about["checksum"] = _text_checksum(about)
    items = {_ARRAYS: ocp.args.StandardSave(arrays), _METADATA: ocp.args.JsonSave(about)}
    failure = _write(directory, step, ocp.args.Composite(**items), keep, protected)
    if failure is not None:
        for half in Path(directory).glob("*.orbax-checkpoint-tmp*"):
            shutil.rmtree(half, ignore_errors=True)  # it would take the room of other files
        raise OSError(f"checkpoint {step} cannot be written: {failure}")
    return True


def _write(
    directory: str | Path, step: int, args: Any, keep: int, protected: Collection[int]
) -> str | None:
    """Write a checkpoint and delete old ones. Returns why it cannot be written, or None."""
    failure = None
    with quiet():
        try:
            with _manager(directory, create=True) as manager:
                manager.save(step, args=args, force=True)
                for old in steps(directory)[:-keep]:
                    if old not in protected:
                        manager.delete(old)
        except Exception as error:  # orbax and tensorstore raise nearly anything on a full disk
            failure = _reason(error)
        if failure is not None:
            gc.collect()  # tasks that failed besides say so when they are deleted
    return failure


def delete_after(directory: str | Path, step: int) -> None:
    """Delete the checkpoints that are newer than `step`."""
    newer = [each for each in steps(directory) if each > step]
    if newer:
        with _manager(directory) as manager:
            for each in newer:
                manager.delete(each)


def restore_newest(
    directory: str | Path, template: Any, part: Callable[[Any], Any] | None = None
) -> Restored:
    """The newest checkpoint that is whole; arguments as of `restore`.

    Raises:
      Damaged: there are checkpoints, and none is whole.
      ValueError: there is no checkpoint, or the newest whole one is not of a state like this.
    """
    damaged: dict[int, str] = {}
    _existing_step(directory, None)
    for step in reversed(steps(directory)):
        try:
            return Restored(*restore(directory, template, step, part), step, damaged)
        except Damaged as error:
            damaged[step] = str(error)
    raise Damaged(f"no whole checkpoint in {directory}: {next(iter(damaged.values()))}")


def latest_step(directory: str | Path) -> int | None:
    """The newest complete checkpoint, or None."""
    return max(steps(directory), default=None)


def read_metadata(directory: str | Path, step: int | None = None) -> dict[str, Any]:
    """The metadata alone, of the newest checkpoint or of `step`."""
    return _read_json(directory, _existing_step(directory, step))["metadata"]


def seeds_of(directory: str | Path, otherwise: Sequence[int], step: int | None = None) -> list[int]:
    """The seeds in a checkpoint, by default in the newest that can be read; old ones do not say."""
    _existing_step(directory, step)
    for each in reversed(steps(directory)) if step is None else [step]:
        with contextlib.suppress(Damaged):
            return list(read_metadata(directory, each).get("seeds", otherwise))
    return list(otherwise)


def restore(
    directory: str | Path,
    template: Any,
    step: int | None = None,
    part: Callable[[Any], Any] | None = None,
) -> tuple[Any, dict[str, Any]]:
    """(state, metadata) of the newest checkpoint, or of `step`.

    Args:
      directory: where `save` wrote.
      template: a state of the same tree, shapes and dtypes; `jax.eval_shape` of the function that
        makes one is enough.
      step: which checkpoint; the newest by default.
      part: takes a tree of leaves out of a state. These arrays alone are read, checked and returned
        instead of the state, so the others may be of any shape. By default all are.

    Raises:
      Damaged: the checkpoint cannot be read, or its arrays are not those that were saved.
      ValueError: no such checkpoint, or not one of a state like this.
    """
    step = _existing_step(directory, step)
    saved = _read_json(directory, step)
    leaves = _named_leaves(template)
    named = jax.tree.unflatten(jax.tree.structure(template), leaves)  # a tree of names
    named = named if part is None else part(named)
    leaves = {name: leaves[name] for name in jax.tree.leaves(named)}
    tree = {name: _describe(name, leaf) for name, leaf in leaves.items()}
    names = {_name_today(name): name for name in saved["tree"]}  # in the checkpoint
    there = {n: saved["tree"][old] for n, old in names.items() if part is None or n in leaves}
    _check_same_tree(f"checkpoint {step} in {directory}", there, tree)
    shapes = {
        names[name]: jax.eval_shape(jax.random.key_data, leaf) if is_key(leaf) else leaf
        for name, leaf in leaves.items()
    }
    host: dict[str, Any] = {name: np.empty(x.shape, x.dtype) for name, x in shapes.items()}
    arrays = {name: x for name, x in host.items() if x.size}
    host |= _read(directory, step, _ARRAYS, _arguments(arrays, part is not None))
    for name, checksum in saved.get("checksums", {}).items():  # older checkpoints have none
        if name in host and _checksum(host[name]) != checksum:
            raise Damaged(f"checkpoint {step} in {directory} is damaged: {name.lstrip('.')}")
    for name, generator in saved["generators"].items():
        if name in host:
            host[name] = jax.random.wrap_key_data(host[name], impl=generator)
    return jax.tree.map(lambda name: host[names[name]], named), saved["metadata"]


def _arguments(arrays: dict[str, Any], alone: bool) -> Any:
    """To read all arrays of a checkpoint, or these alone."""
    if not alone:
        return ocp.args.StandardRestore(arrays)
    kinds = ocp.checkpoint_utils.construct_restore_args(arrays)
    return ocp.args.PyTreeRestore(item=arrays, restore_args=kinds, partial_restore=True)


def checksums(state: Any) -> dict[str, str]:
    """Of every array of a state, by its path: equal where the states are bit-equal."""
    return {name: _checksum(np.asarray(_to_save(x))) for name, x in _named_leaves(state).items()}


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


def _reason(error: Exception) -> str:
    """One line. tensorstore hides the system's reason at the end of a long one."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    found = re.search(r"([^:\[\]]+) \[os_error_code=", str(error))
    return found.group(1).strip() if found else str(error).split("\n", 1)[0]


def _checksum(array: np.ndarray) -> str:
    data: Any = np.ascontiguousarray(array).reshape(-1).view(np.uint8)  # bfloat16 is no buffer
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _text_checksum(about: Mapping[str, Any]) -> str:
    """Of everything but the arrays. Raises TypeError if it is not JSON."""
    rest = {name: value for name, value in about.items() if name != "checksum"}
    return hashlib.blake2b(json.dumps(rest, sort_keys=True).encode(), digest_size=16).hexdigest()


@contextlib.contextmanager
def _manager(directory: str | Path, create: bool = False) -> Iterator[ocp.CheckpointManager]:
    """An orbax manager that reads and deletes, and also writes if it may `create` the folder."""
    options = ocp.CheckpointManagerOptions(
        create=create,
        cleanup_tmp_directories=create,
        enable_async_checkpointing=False,
    )
    with (
        quiet(),
        ocp.CheckpointManager(Path(directory).absolute(), options=options) as manager,
    ):
        yield manager


def steps(directory: str | Path) -> list[int]:
    """The checkpoints there are, the oldest first."""
    return sorted(ocp.utils.checkpoint_steps(directory)) if Path(directory).is_dir() else []


def _existing_step(directory: str | Path, step: int | None) -> int:
    there = steps(directory)
    if not there:
        raise ValueError(f"no checkpoint in {directory}")
    if step is not None and step not in there:
        listed = ", ".join(str(s) for s in there)
        raise ValueError(f"no checkpoint {step} in {directory}; there are {listed}")
    return there[-1] if step is None else step


def _read_json(directory: str | Path, step: int) -> dict[str, Any]:
    about = _read(directory, step, _METADATA, ocp.args.JsonRestore())
    found = isinstance(about, dict) and {"tree", "generators", "metadata"} <= set(about)
    if not found or about.get("checksum", _text_checksum(about)) != _text_checksum(about):
        raise Damaged(f"checkpoint {step} in {directory} is damaged: its description")
    return about


def _read(directory: str | Path, step: int, item: str, args: ocp.args.CheckpointArgs) -> Any:
    try:
        with _manager(directory) as manager:
            return manager.restore(step, args=ocp.args.Composite(**{item: args}))[item]
    except Exception as error:  # orbax and tensorstore raise nearly anything on a damaged file
        reason = str(error).split("\n", 1)[0]
        raise Damaged(f"checkpoint {step} in {directory} cannot be read: {reason}") from error
