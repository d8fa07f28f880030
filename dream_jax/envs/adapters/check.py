"""Does a problem family do what it declares? Tracing and random steps, before anything is trained.

Shapes and dtypes are found by tracing `reset` and `step`, values by some thousand random steps.
`quick` raises for the first mistake. `experiments.check` reports every finding.
"""

import pickle
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dream_jax import problems, specs
from dream_jax.types import Array, Env, Key, TimeStep, is_pixel_env

STEPS = 4_096  # random steps, about
HOST_STEPS = 256  # of worlds that JAX cannot run
_NOT_PURE = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
    jax.errors.UnexpectedTracerError,
)


class Walk(NamedTuple):
    """Random episodes: leaves [episodes, T + 1, ...]; entry 0 is what `reset` showed."""

    problem: np.ndarray  # [episodes] int32
    instruction: Any  # leaves [episodes, ...]
    shown: TimeStep
    action: np.ndarray  # [episodes, T + 1] int32, the one before; 0 before the first step
    alive: np.ndarray  # [episodes, T + 1] bool, false after the episode's end


def quick(name: str, env: Env) -> None:
    """Raises ValueError in one line for the first mistake: component, value and step."""
    for find in (shape_mistakes, process_mistakes, value_mistakes, picture_mistakes):
        for mistake in find(env):  # the later ones need what the earlier ones found good
            raise ValueError(f"{name}: {mistake}")


def shape_mistakes(env: Any) -> list[str]:
    """What tracing tells: at most one mistake of each function."""
    key, problem = jax.random.key(0), jnp.int32(0)
    try:
        instruction = _traced("sample_instruction", env.sample_instruction, key, problem)
        wrong = specs.mistake(specs.instruction(env), instruction)
        if wrong:
            return [f"sample_instruction: {wrong}"]
        described = specs.descriptor(env)
        if described is not None and problems.has_descriptor_function(env):
            wrong = specs.mistake(described, _traced("descriptor", env.descriptor, problem))
            if wrong:
                return [f"descriptor: {wrong}"]
        kept = jax.eval_shape(specs.instruction(env).kept, instruction)
        state, first = _outcome("reset", _traced("reset", env.reset, key, problem, kept))
        after, then = _outcome("step", _traced("step", env.step, state, jnp.int32(0)))
    except ValueError as error:
        return [str(error)]
    differ = _difference("observation", first.observation, then.observation)
    differ = differ or _difference("state", state, after)
    if differ:
        return [differ]
    for where, shown in (("reset", first), ("step", then)):
        wrong = specs.mistake(specs.observation(env), shown.observation)
        if wrong:
            return [f"{where}: {wrong}"]
        for field in ("reward", "terminated", "truncated", "goal"):
            value = getattr(shown, field)
            if value is not None and np.shape(value) != ():
                return [f"{where}: {field} has shape {list(np.shape(value))}; it must be a scalar"]
    return []


def process_mistakes(env: Env) -> list[str]:
    """Why a host family cannot be sent to the processes that step it."""
    if not getattr(env, "runs_on_host", False):
        return []
    try:
        pickle.dumps(env)
    except Exception as error:  # pickle raises nearly anything
        what = "it cannot be sent to the processes that step it; it may hold no lambda, no"
        return [f"{what} function within a function and no open file: {_line(error)}"]
    return []


def value_mistakes(env: Env) -> list[str]:
    """What random steps tell: the first value that is not allowed, and episodes without end."""
    try:
        walk = random_walk(env)
    except Exception as error:  # the user's functions may raise anything
        return [f"random steps: {_line(error)}"]
    return mistakes_of(env, walk)


def mistakes_of(env: Env, walk: Walk) -> list[str]:
    """The first mistake of each kind in random episodes."""
    found = []
    for i in range(len(walk.problem)):
        instruction = jax.tree.map(lambda x, i=i: x[i], walk.instruction)
        wrong = specs.outside(specs.instruction(env), instruction)
        if wrong:
            found.append(f"sample_instruction: {wrong}, for problem {walk.problem[i]}")
            break
    if not is_pixel_env(env):
        found += _first_outside(env, walk)
    rewards = np.where(walk.alive, walk.shown.reward, 0.0)
    for i, t in np.argwhere(~np.isfinite(rewards))[:1]:
        found.append(f"reward is {rewards[i, t]} at step {t} of problem {walk.problem[i]}")
    ended = np.asarray(walk.shown.terminated) | np.asarray(walk.shown.truncated)
    for i in np.flatnonzero(ended[:, 0])[:1]:
        found.append(f"reset of problem {walk.problem[i]} shows an episode that is over already")
    for i in np.flatnonzero(~ended.any(axis=1))[:1]:
        found.append(
            f"no end at the horizon: step {env.horizon} of problem {walk.problem[i]} is neither "
            "terminated nor truncated"
        )
    return found


def picture_mistakes(env: Env) -> list[str]:
    """`render_text` and `render_image` of a first state."""
    key = jax.random.key(0)
    problem = problems.first(env, "train")
    state, _ = jax.jit(env.reset)(key, problem, _first_instruction(env, problem))
    try:
        text = env.render_text(state)
    except Exception as error:
        return [f"render_text: {_line(error)}"]
    if not isinstance(text, str):
        return [f"render_text: must return text, not {type(text).__name__}"]
    try:
        image = np.asarray(env.render_image(state))
    except Exception as error:
        return [f"render_image: {_line(error)}"]
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        return [f"render_image: must return [H, W, 3] uint8, not {image.dtype} {list(image.shape)}"]
    return []


def random_walk(env: Env, steps: int | None = None, seed: int = 0) -> Walk:
    """About `steps` random steps of training and test problems, as many episodes as that makes."""
    on_host = getattr(env, "runs_on_host", False)
    steps = steps or (HOST_STEPS if on_host else STEPS)
    count = max(2, steps // env.horizon)
    half = [problems.some(env, split, (count + 1) // 2) for split in ("train", "test")]
    problem = np.resize(np.concatenate(half), count).astype(np.int32)

    @jax.jit
    def walk(key: Key) -> Any:
        keys = jax.random.split(key, count)
        return jax.vmap(lambda k, p: _episode(env, k, p))(keys, jnp.asarray(problem))

    instruction, shown, action = jax.device_get(walk(jax.random.key(seed)))
    over = np.asarray(shown.terminated) | np.asarray(shown.truncated)
    alive = np.cumsum(over, axis=1) - over == 0
    return Walk(problem, instruction, shown, action, alive)


def _episode(env: Env, key: Key, problem: Array) -> Any:
    """A random episode: its instruction, time steps [T + 1, ...] and actions [T + 1]."""
    instruction_key, reset_key, action_key = jax.random.split(key, 3)
    instruction = env.sample_instruction(instruction_key, problem)
    state, first = env.reset(reset_key, problem, specs.instruction(env).kept(instruction))
    actions = jax.random.randint(action_key, (env.horizon,), 0, env.num_actions)

    def typed(shown: TimeStep) -> TimeStep:
        seen = () if is_pixel_env(env) else jax.tree.map(jnp.asarray, shown.observation)
        return TimeStep(
            seen,
            jnp.asarray(shown.reward, jnp.float32),
            jnp.asarray(shown.terminated, bool),
            jnp.asarray(shown.truncated, bool),
        )

    def step(state: Any, action: Array) -> Any:
        state, shown = env.step(state, action)
        return state, typed(shown)

    _, rest = jax.lax.scan(step, state, actions)
    shown = jax.tree.map(
        lambda a, b: jnp.concatenate([a[None].astype(b.dtype), b]), typed(first), rest
    )
    return instruction, shown, jnp.append(0, actions)


def _first_outside(env: Env, walk: Walk) -> list[str]:
    """The earliest observation with a value outside its spec."""
    space = specs.observation(env)
    first = None
    for part, leaf in zip(space.parts, jax.tree.leaves(walk.shown.observation), strict=True):
        values = leaf.reshape(*walk.alive.shape, -1)
        bad = np.zeros(values.shape, bool)
        if part.kind == "numbers":
            bad |= ~np.isfinite(values)
        if part.low:
            bad |= (values < np.array(part.low)) | (values > np.array(part.high))
        places = np.argwhere(bad.any(axis=-1) & walk.alive)
        for i, t in places[np.argsort(places[:, 1], kind="stable")][:1]:
            if first is None or t < first[1]:
                first = i, t
    if first is None:
        return []
    i, t = first
    seen = jax.tree.map(lambda x: x[i, t], walk.shown.observation)
    return [f"{specs.outside(space, seen)}, at step {t} of problem {walk.problem[i]}"]


def _first_instruction(env: Env, problem: int) -> Any:
    drawn = env.sample_instruction(jax.random.key(0), jnp.int32(problem))
    return specs.instruction(env).kept(drawn)


def _traced(name: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """The shapes of a result. Raises ValueError in one line if the function cannot be traced."""
    try:
        return jax.eval_shape(function, *arguments)
    except _NOT_PURE as error:
        said = str(error).splitlines()[0]
        raise ValueError(
            f"{name} is not pure JAX ({type(error).__name__}: {said}); use jax.numpy on what it is "
            "given, or wrap worlds that JAX cannot run in dream_jax.HostFamily: see "
            "docs/own_problem.md"
        ) from error
    except Exception as error:  # the user's functions may raise anything
        raise ValueError(f"{name}: {_line(error)}") from error


def _outcome(name: str, result: Any) -> tuple[Any, TimeStep]:
    good = isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], TimeStep)
    if not good:
        raise ValueError(f"{name} must return (state, dream_jax.types.TimeStep)")
    return result


def _difference(what: str, first: Any, then: Any) -> str | None:
    """Where the shapes, dtypes or structure of `reset` and `step` disagree; None if nowhere."""
    before, tree = jax.tree_util.tree_flatten_with_path(first)
    after, other = jax.tree_util.tree_flatten_with_path(then)
    if str(tree) != str(other):
        return f"{what} has another structure in reset, {tree}, than in step, {other}"
    for (path, a), (_, b) in zip(before, after, strict=True):
        title = what + jax.tree_util.keystr(path)
        if a.shape != b.shape:
            return f"{title} has shape {list(a.shape)} in reset and {list(b.shape)} in step"
        if a.dtype != b.dtype:
            return f"{title} is {a.dtype} in reset and {b.dtype} in step"
    return None


def _line(error: BaseException) -> str:
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text if len(text) <= 300 else text[:297] + "..."
