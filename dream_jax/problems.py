"""The problems of a family: listed by id, or drawn without end by a function of a key.

A problem is always an id, [] int32. A listed family has `num_problems` ids and lists those of each
split (`problem_ids`). A procedural family has `num_problems = None` and `sample_problem(key,
split)`; its id is the seed that it makes a problem from. Splits of such a family must differ in the
ids that they draw, for example even and odd ones.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dream_jax import specs
from dream_jax.types import Array, Env, Key

LARGEST_ID = 2**31 - 1
_DRAWS = 20_210_720  # seed of `some`


def is_listed(env: Env) -> bool:
    """Whether the family lists its problems."""
    return getattr(env, "num_problems", None) is not None


def lists_instructions(env: Env) -> bool:
    """Whether `instructions(problem)` lists the instructions of a problem."""
    return callable(getattr(env, "instructions", None))


def has_descriptor_function(env: Env) -> bool:
    """Whether `descriptor(problem)` describes problems; otherwise the table `descriptors` does."""
    return callable(getattr(env, "descriptor", None))


def sample(env: Env, key: Key, split: str) -> Array:
    """[] int32 a problem of a split, uniformly."""
    if not is_listed(env):
        return jnp.asarray(env.sample_problem(key, split), jnp.int32)  # type: ignore[attr-defined]
    ids = env.problem_ids(split)
    return jnp.asarray(ids)[jax.random.randint(key, (), 0, len(ids))]


def some(env: Env, split: str, most: int) -> np.ndarray:
    """[n] int32: all problems of a split, or `most` of them if there are more; always the same."""
    if not is_listed(env):
        return _drawn(env, split, most)  # type: ignore[arg-type]  # hashed by identity
    ids = np.asarray(env.problem_ids(split), np.int32)
    if len(ids) <= most:
        return ids
    chosen = np.random.default_rng(_DRAWS).permutation(len(ids))[:most]
    return ids[np.sort(chosen)]


def first(env: Env, split: str) -> int:
    """The first problem of a split, or the first one drawn."""
    return int(env.problem_ids(split)[0] if is_listed(env) else some(env, split, 1)[0])


def draw_instructions(env: Env, problems: np.ndarray) -> Any:
    """An instruction for each problem [n], as the family draws it: leaves [n, ...], always the
    same."""
    space = specs.instruction(env)

    def one(key: Key, problem: Array) -> Any:
        return space.kept(env.sample_instruction(key, problem))

    keys = jax.random.split(jax.random.key(_DRAWS + 1), len(problems))
    return jax.tree.map(np.asarray, jax.jit(jax.vmap(one))(keys, jnp.asarray(problems)))


@functools.lru_cache(maxsize=16)
def _drawn(env: Any, split: str, count: int) -> np.ndarray:
    keys = jax.random.split(jax.random.key(_DRAWS), count)
    return np.asarray(jax.jit(jax.vmap(lambda key: sample(env, key, split)))(keys))
