"""How two trees of arrays differ."""

import jax
import numpy as np

from dream_jax.types import is_key


def raw(leaf):
    """A leaf as numpy; typed keys as their bits."""
    if is_key(leaf):
        leaf = jax.random.key_data(leaf)
    return np.asarray(leaf)


def differing(a, b):
    """Paths of the leaves that differ in any bit."""
    pairs = zip(jax.tree_util.tree_leaves_with_path(a), jax.tree_util.tree_leaves(b), strict=True)
    return [
        jax.tree_util.keystr(path)
        for (path, left), right in pairs
        if raw(left).tobytes() != raw(right).tobytes()
    ]


def furthest(a, b):
    """Largest difference of two trees of floats: one program may round the same sum in two ways."""
    return max(jax.tree.leaves(jax.tree.map(lambda x, y: np.max(np.abs(x - y)), a, b)))
