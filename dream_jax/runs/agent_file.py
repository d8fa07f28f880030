"""Parameters of one agent in one file: a NumPy archive without pickles.

The archive has one array for each leaf of the parameters, under its path, and the array `about`:
JSON as UTF-8 bytes, with the format's version, the config, the seed and the number of trials that
it trained on. Reading a file runs no code from it. If the benchmark or the agent is MODULE:CLASS,
that module is imported, so it must be installed, and trusted, where the file is read.

Version 2 of the format has packed parameters (`packing`), version 1 has them as they are.
"""

import json
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from dream_jax.config import Config, ConfigError
from dream_jax.runs import packing, provenance
from dream_jax.runs.files import whole_file
from dream_jax.types import Params

FORMAT, VERSION, PACKED = "dream_jax agent", 1, 2
_ABOUT = "about"


class Saved(NamedTuple):
    """The contents of a file."""

    config: Config
    seed: int
    trials: int  # that the agent trained on
    arrays: dict[str, np.ndarray]  # leaves of the parameters by path


def write(
    file: str | Path,
    config: Config,
    params: Params,
    seed: int,
    trials: int,
    smaller: bool = False,
) -> None:
    """Write a file, or replace it. A reader never sees half of it.

    Args:
      file: the path.
      config: of the agent.
      params: a tree of arrays.
      seed: that they were trained with.
      trials: that they were trained on.
      smaller: pack the parameters, which rounds them.

    Raises:
      ConfigError: `file` is a folder, or cannot be written.
    """
    file = Path(file)
    version = PACKED if smaller else VERSION
    about = {"format": FORMAT, "version": version, "seed": seed, "trials": trials}
    about |= provenance.record(config, [seed])
    text = np.frombuffer(json.dumps(about).encode(), np.uint8)
    arrays: dict[str, Any] = {_ABOUT: text}
    leaves = {name: np.asarray(leaf) for name, leaf in _named(params).items()}
    arrays |= packing.packed(leaves) if smaller else leaves
    if file.is_dir():
        raise ConfigError(f"{file} is a folder; give a file, for example {file / 'agent.npz'}")
    try:
        with whole_file(file) as opened:
            # Without `allow_pickle`, which numpy below 2.1 would store as an array.
            np.savez_compressed(opened, **arrays)
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error.strerror}") from error


def read(file: str | Path) -> Saved:
    """Raises ConfigError, one line, if `file` is not one that `write` wrote."""
    try:
        if not zipfile.is_zipfile(file):
            raise ValueError("it is no NumPy archive")
        with np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        about = json.loads(arrays.pop(_ABOUT).tobytes())
        if about["format"] != FORMAT:
            raise ValueError(f"its format is {about['format']!r}")
        if about["version"] not in (VERSION, PACKED):
            raise ConfigError(
                f"{file} has version {about['version']} of the format, this code reads {VERSION} "
                f"and {PACKED}"
            )
        if about["version"] == PACKED:
            arrays = packing.unpacked(arrays)
        config = provenance.config_of(about)
        return Saved(config, int(about["seed"]), int(about["trials"]), arrays)
    except ConfigError:
        raise
    except Exception as error:  # zipfile, zlib and numpy raise nearly anything on a damaged file
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        what = " ".join(str(reason).split())
        message = f"{file} holds no agent of ours ({what}); give a file of agent.save"
        raise ConfigError(message) from error


def params_of(saved: Saved, template: Params, file: str | Path) -> Params:
    """The parameters as a tree.

    Args:
      saved: the contents of the file.
      template: a tree of the same shapes and dtypes, arrays or jax.ShapeDtypeStructs.
      file: for messages.

    Raises:
      ConfigError: the file holds other parameters.
    """
    wanted = _named(template)
    found = _first_difference(saved.arrays, wanted)
    if found is not None:
        raise ConfigError(f"{file} holds other parameters: {found}")
    leaves = [saved.arrays[name] for name in wanted]
    return jax.tree.unflatten(jax.tree.structure(template), leaves)


def difference(there: Params, wanted: Params) -> str | None:
    """The first leaf whose path, shape or dtype differs between two trees; None if none does."""
    return _first_difference(_named(there), _named(wanted))


def _first_difference(there: dict[str, Any], wanted: dict[str, Any]) -> str | None:
    for name in [*wanted, *(there.keys() - wanted.keys())]:
        was, now = (_described(leaves.get(name)) for leaves in (there, wanted))
        if was != now:
            return f"{name} is {was}, not {now}"
    return None


def _named(tree: Any) -> dict[str, Any]:
    return {jax.tree_util.keystr(k): x for k, x in jax.tree_util.tree_flatten_with_path(tree)[0]}


def _described(leaf: Any) -> str:
    if leaf is None:
        return "missing"
    return f"{leaf.dtype}[{','.join(str(n) for n in leaf.shape)}]"
