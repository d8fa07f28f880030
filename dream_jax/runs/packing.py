"""Parameters in a quarter to a half of their bytes: for agents that ship and would be too large.

Weights of at least `LARGE` numbers become 8-bit integers, with a scale for each column. The other
trained weights become float16. Everything else, such as running means and their counts, stays.
Rounding changes what the agent does a little, so returns are measured with the packed parameters.
"""

from collections.abc import Mapping

import numpy as np

LARGE = 32_768  # numbers in an array
_SCALE = "|scale"
_TRAINED = "['params']"


def packed(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays by name, smaller. Large ones get a neighbour with their scales, [columns]."""
    found: dict[str, np.ndarray] = {}
    for name, array in arrays.items():
        if array.dtype != np.float32 or _TRAINED not in name:
            found[name] = array
        elif array.size >= LARGE:
            columns = array.reshape(-1, array.shape[-1])
            scale = np.maximum(np.abs(columns).max(axis=0) / 127, np.finfo(np.float32).tiny)
            found[name] = np.rint(array / scale).astype(np.int8)
            found[name + _SCALE] = scale.astype(np.float32)
        else:
            limit = float(np.finfo(np.float16).max)
            small = np.abs(array).max(initial=0) <= limit
            found[name] = array.astype(np.float16) if small else array
    return found


def unpacked(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays of `packed` as float32 again."""
    found = {}
    for name, array in arrays.items():
        if name.endswith(_SCALE):
            continue
        scale = arrays.get(name + _SCALE)
        if scale is not None:
            found[name] = array.astype(np.float32) * scale
        elif array.dtype == np.float16:
            found[name] = array.astype(np.float32)
        else:
            found[name] = array
    return found
