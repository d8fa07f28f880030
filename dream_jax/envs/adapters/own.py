"""Your own problem family: loads MODULE:NAME and checks it against the `Env` protocol.

What is optional in the protocol gets its default here. `adapters.check` tries the family out.
"""

import importlib
import inspect
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from dream_jax import problems, specs
from dream_jax.envs.adapters import check
from dream_jax.types import Env

LARGEST = 2**31 - 1  # size of a component
_GUIDE = "see docs/own_problem.md"
_NEEDED = ("num_actions", "horizon", "num_problems", "sample_instruction", "reset", "step")
# Options with which a class was found good in this process.
_tried: weakref.WeakKeyDictionary[Any, set[str]] = weakref.WeakKeyDictionary()


def is_own(name: str) -> bool:
    """Whether an environment's name has the form MODULE:NAME."""
    return ":" in name


def load(name: str) -> Callable[..., Any]:
    """The class or function MODULE:NAME.

    Raises ValueError if it does not exist or its import fails.
    """
    module, _, attribute = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute, None)
    except (Exception, SystemExit) as error:  # the user's module may raise anything
        hint = ""
        if isinstance(error, ModuleNotFoundError) or not module:
            hint = "; give MODULE:CLASS of a module that Python finds, as lamps:Lamps for lamps.py"
        raise ValueError(f"unknown environment {name!r}: {_line(error)}{hint}") from error
    if not isinstance(found, type) and not inspect.isroutine(found):
        raise ValueError(f"unknown environment {name!r}: {module} has no class {attribute!r}")
    return found


def make(name: str, **options: Any) -> Env:
    """The environment MODULE:NAME(**options), with defaults filled in, checked and tried out.

    Raises ValueError if the constructor fails, or if the result does not follow
    `dream_jax.types.Env`, or does other things than it declares.
    """
    found, env = load(name), make_untried(name, **options)
    made_as = repr(sorted(options.items()))
    # Validation refuses other horizons, by the name of the setting.
    if env.horizon >= 1 and made_as not in _tried.setdefault(found, set()):
        check.quick(name, env)
        _tried[found].add(made_as)
    return env


def make_untried(name: str, **options: Any) -> Env:
    """As `make`, but nothing of it has been run."""
    found = load(name)
    made_as = ", ".join(f"{key}={value!r}" for key, value in options.items())
    try:
        env = found(**options)
    except (Exception, SystemExit) as error:  # the user's class may raise anything
        call = f"{found.__name__}({made_as})"
        foreign = _foreign(found)
        hint = f"; {foreign}" if foreign else ""
        raise ValueError(f"{name}: {_line(error)}, raised by {call}{hint}") from error
    foreign = _foreign(type(env))
    if foreign:
        raise ValueError(f"{name} is no problem family: {foreign}")
    missing = sorted(x for x in _needed(env) if not hasattr(env, x))
    if missing:
        raise ValueError(f"{name} lacks {', '.join(missing)}; see dream_jax.types.Env")
    _complete(env, name)
    _check(name, env, options)
    return env


def declares_markov(name: str) -> bool:
    """Whether a family says that (s, z, time) tells its exploitation all that matters.

    Raises ValueError if the family does not exist.
    """
    return bool(getattr(load(name), "markov", False))


def _needed(env: Any) -> list[str]:
    needed = list(_NEEDED)
    if not any(hasattr(env, x) for x in ("observation_spec", "observation_shape")):
        needed.append("observation_sizes")
    drawn = getattr(env, "num_problems", 0) is None
    return [*needed, "sample_problem" if drawn else "problem_ids"]


def _complete(env: Any, name: str) -> None:
    """Fill in what a family may leave out."""

    def as_text(state: Any) -> str:
        return str(state)

    def as_image(state: Any) -> np.ndarray:
        return picture_of(env.render_text(state))

    defaults: dict[str, Any] = {
        "name": name.partition(":")[2].lower(),
        "end_episode_action": None,
        "observation_sizes": (),
        "instruction_sizes": (),
        "descriptors": None,
        "render_text": as_text,
        "render_image": as_image,
    }
    for key, value in defaults.items():
        if not hasattr(env, key):
            setattr(env, key, value)


def _check(name: str, env: Any, options: dict[str, Any]) -> None:
    """Raises ValueError for mistakes that would show late in training, or never."""

    def need(kept: Any, what: str, given: Any) -> None:
        if not kept:
            raise ValueError(f"{name}: {what}, not {given!r}")

    for key, value in options.items():
        found = getattr(env, key, value)
        need(found == value, f"{key} must be the {value!r} given", found)
    space = getattr(env, "action_space", None)
    if space is not None and not hasattr(space, "n"):
        raise ValueError(f"{name}: actions must be discrete: DREAM learns by Q-learning")
    for key, least in (("num_actions", 2), ("num_problems", 1), ("end_episode_action", 0)):
        value = getattr(env, key)
        if value is None and key != "num_actions":
            continue
        need(_whole(value) and value >= least, f"{key} must be an int, {least} or more", value)
    end = env.end_episode_action
    below = end is None or end < env.num_actions
    need(below, f"end_episode_action must be below {env.num_actions}", end)
    for key in ("observation_sizes", "instruction_sizes"):
        sizes = getattr(env, key)
        good = isinstance(sizes, tuple | list) and all(
            _whole(size) and 1 <= size <= LARGEST for size in sizes
        )
        need(good, f"{key} must be a tuple of ints from 1 to {LARGEST}", sizes)
    try:
        spaces = specs.observation(env), specs.instruction(env), specs.descriptor(env)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    known = getattr(env, "reference_returns", (0.0, 0.0))
    need(np.shape(known) == (2,), "reference_returns must be (optimal, no exploration)", known)
    same = getattr(env, "same_returns_as", env)
    alike = [getattr(same, key, None) == getattr(env, key) for key in ("num_problems", "horizon")]
    need(
        all(alike) and not isinstance(same, type),
        f"same_returns_as must be a family with num_problems={env.num_problems} and "
        f"horizon={env.horizon}",
        same,
    )
    need(type(env).__hash__, "it must be hashable (a dataclass: eq=False)", type(env).__name__)
    if problems.is_listed(env):
        _check_lists(name, env, need)
    elif spaces[2] is None or not problems.has_descriptor_function(env):
        raise ValueError(
            f"{name}: problems that are drawn (num_problems = None) need `descriptor_spec` and a "
            f"function descriptor(problem), which tell them apart; {_GUIDE}"
        )


def _check_lists(name: str, env: Any, need: Callable[[Any, str, Any], None]) -> None:
    """Of a family that lists its problems."""
    count, table = env.num_problems, env.descriptors
    if table is not None and not hasattr(env, "descriptor_spec"):
        shape = np.shape(table)
        good = len(shape) == 2 and shape[0] == count
        need(good, f"descriptors must be None or [{count}, D]", f"an array {list(shape)}")
    splits = {}
    for split in ("train", "test"):
        try:
            ids = np.asarray(env.problem_ids(split))
        except Exception as error:
            raise ValueError(f"{name}: problem_ids({split!r}): {_line(error)}") from error
        some = ids.ndim == 1 and ids.size > 0 and np.issubdtype(ids.dtype, np.integer)
        good = some and ids.min() >= 0 and ids.max() < count
        shown = ids.tolist() if ids.size <= 200 else [*ids.ravel()[:5].tolist(), ...]
        need(good, f"problem_ids({split!r}) must be [n] ids from 0 to {count - 1}", shown)
        splits[split] = ids
    both = np.intersect1d(splits["train"], splits["test"])
    if both.size and set(splits["train"].tolist()) != set(splits["test"].tolist()):
        listed = ", ".join(map(str, both[:5])) + (", ..." if both.size > 5 else "")
        raise ValueError(
            f"{name}: {both.size} problem ids are in both splits ({listed}); the splits must be "
            "disjoint, or the same"
        )
    if specs.instruction(env).component_sizes is not None and problems.lists_instructions(env):
        rows, columns = np.shape(env.instructions(int(ids[0]))), len(env.instruction_sizes)
        if not hasattr(env, "instruction_spec"):
            filled = len(rows) == 2 and rows[0] > 0 and rows[1] == columns
            need(filled, f"instructions(problem) must be [M, {columns}]", f"an array {list(rows)}")


def _foreign(found: Any) -> str | None:
    """What to do with an environment that JAX cannot run, or with what makes one; else None."""
    parts = [found, *getattr(found, "__mro__", ())]
    modules = {str(getattr(part, "__module__", "")).partition(".")[0] for part in parts}
    for module in ("gymnasium", "gym", "dm_env"):
        if module in modules:
            return (
                f"{module} environments are not pure JAX; wrap a function that makes them in "
                f"dream_jax.HostFamily: {_GUIDE}"
            )
    return None


def picture_of(text: str) -> np.ndarray:
    """[H, W, 3] uint8: text on white, cut to a page."""
    from PIL import Image, ImageDraw

    lines = [line[:60] for line in text.splitlines()[:20]] or [""]
    image = Image.new("RGB", (380, 16 * len(lines) + 16), "white")
    ImageDraw.Draw(image).multiline_text((8, 8), "\n".join(lines), fill="black")
    return np.asarray(image)


def _line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def _whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
