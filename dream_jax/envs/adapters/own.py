"""Your own problem family: loads MODULE:CLASS and checks it against the `Env` protocol."""

import importlib
from typing import Any

import numpy as np

from dream_jax.types import Env

LARGEST = 256  # size of a component: replay stores components as uint8


def is_own(name: str) -> bool:
    """Whether an environment's name has the form MODULE:CLASS."""
    return ":" in name


def load(name: str) -> type:
    """The class MODULE:CLASS. Raises ValueError if it does not exist or its import fails."""
    module, _, attribute = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute, None)
    except (Exception, SystemExit) as error:  # the user's module may raise anything
        hint = ""
        if isinstance(error, ModuleNotFoundError) or not module:
            hint = "; give MODULE:CLASS of a module that Python finds, as lamps:Lamps for lamps.py"
        raise ValueError(f"unknown environment {name!r}: {_line(error)}{hint}") from error
    if not isinstance(found, type):
        raise ValueError(f"unknown environment {name!r}: {module} has no class {attribute!r}")
    return found


def make(name: str, **options: Any) -> Env:
    """The environment MODULE:CLASS(**options), checked.

    Raises ValueError if the constructor fails, or if the result does not follow
    `dream_jax.types.Env`.
    """
    found = load(name)
    made_as = ", ".join(f"{key}={value!r}" for key, value in options.items())
    try:
        env = found(**options)
    except (Exception, SystemExit) as error:  # the user's class may raise anything
        call = f"{found.__name__}({made_as})"
        raise ValueError(f"{name}: {_line(error)}, raised by {call}") from error
    needed = set(Env.__annotations__) | {x for x in vars(Env) if not x.startswith("_")}
    missing = sorted(x for x in needed if not hasattr(env, x))
    if missing:
        raise ValueError(f"{name} lacks {', '.join(missing)}; see dream_jax.types.Env")
    _check(name, env, options)
    return env


def _check(name: str, env: Any, options: dict[str, Any]) -> None:
    """Raises ValueError for mistakes that would show late in training, or never."""

    def need(kept: Any, what: str, given: Any) -> None:
        if not kept:
            raise ValueError(f"{name}: {what}, not {given!r}")

    for key, value in options.items():
        found = getattr(env, key, value)
        need(found == value, f"{key} must be the {value!r} given", found)
    for key, least in (("num_actions", 2), ("num_problems", 1), ("end_episode_action", 0)):
        value = getattr(env, key)
        need(_whole(value) and value >= least, f"{key} must be an int, {least} or more", value)
    count, end = env.num_problems, env.end_episode_action
    need(end < env.num_actions, f"end_episode_action must be below {env.num_actions}", end)
    for key in ("observation_sizes", "instruction_sizes"):
        sizes = getattr(env, key)
        good = isinstance(sizes, tuple | list) and all(
            _whole(size) and 1 <= size <= LARGEST for size in sizes
        )
        need(good, f"{key} must be a tuple of ints from 1 to {LARGEST}", sizes)
    if env.descriptors is not None:
        shape = np.shape(env.descriptors)
        good = len(shape) == 2 and shape[0] == count
        need(good, f"descriptors must be None or [{count}, D]", f"an array {list(shape)}")
    known = getattr(env, "reference_returns", (0.0, 0.0))
    need(np.shape(known) == (2,), "reference_returns must be (optimal, no exploration)", known)
    need(type(env).__hash__, "it must be hashable (a dataclass: eq=False)", type(env).__name__)
    for split in ("train", "test"):
        try:
            ids = np.asarray(env.problem_ids(split))
        except Exception as error:
            raise ValueError(f"{name}: problem_ids({split!r}): {_line(error)}") from error
        some = ids.ndim == 1 and ids.size > 0 and np.issubdtype(ids.dtype, np.integer)
        good = some and ids.min() >= 0 and ids.max() < count
        need(good, f"problem_ids({split!r}) must be [n] ids from 0 to {count - 1}", ids.tolist())
    rows, columns = np.shape(env.instructions(int(ids[0]))), len(env.instruction_sizes)
    filled = len(rows) == 2 and rows[0] > 0 and rows[1] == columns
    need(filled, f"instructions(problem) must be [M, {columns}]", f"an array {list(rows)}")


def _line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def _whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
