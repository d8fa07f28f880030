"""Frames per second of the sign world: `python -m benchmarks.render [--json]`.

`--qualities`, `--batches` and `--repeats` say what is timed, `--jaxenstein=PATH` what beside it.
Draws with the sign world's renderers under vmap, and with Miniworld in a process of its own. With a
checkout of JAXenstein its worlds are timed beside them, one step and one picture each. Each figure
is the median over repeats, with the lowest and the highest, without compilation. Large batches are
drawn in slices, one call for each. On a CPU (SLICE) intermediate arrays then stay in the cache, and
in memory that the process has already touched.
"""

import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks import command
from dream_jax.config import ConfigError

SLICE = {"fast": 64, "fast_miniworld": 64, "reference": 16}  # pictures, on a CPU
ACCELERATOR_SLICE = 8_192  # of any quality
SECONDS_PER_REPEAT = 0.5  # at least, since one call may take longer
WALK = 8  # random steps from the start, so that the views differ


def main(argv: Sequence[str]) -> None:
    line = command.command_line("render", "Time the renderers of the sign world.")
    line.text("qualities", ",".join(SLICE), "comma-separated")
    line.counts("batches", "1,64,1024", "numbers of pictures at once, comma-separated")
    line.count("repeats", 5, "measurements of each")
    line.text("jaxenstein", "", "checkout of JAXenstein, to be timed too")
    arguments = line.read(argv)
    qualities = arguments.qualities.split(",")
    unknown = [quality for quality in qualities if quality not in SLICE]
    if unknown:
        raise ConfigError(f"unknown quality {unknown[0]!r}; valid: {', '.join(SLICE)}")

    maze = jaxenstein_world(arguments.jaxenstein) if arguments.jaxenstein else None

    import jax

    result: dict[str, Any] = {
        "device": jax.devices()[0].device_kind,
        "cpus": len(os.sched_getaffinity(0)),
        "jax": jax.__version__,
        "miniworld": miniworld(arguments.repeats),
    }
    for quality in qualities:
        result[quality] = time_quality(quality, arguments.batches, arguments.repeats)
    if maze is not None:
        result["jaxenstein"] = time_jaxenstein(maze, arguments.batches, arguments.repeats)
    command.show(result, arguments.json)


def time_quality(
    quality: str, batches: Sequence[int], repeats: int, size: int | None = None
) -> dict[str, Any]:
    """By batch size: frames per second (median, low, high) and seconds to compile.

    size: of a slice; by default SLICE[quality] on a CPU, elsewhere ACCELERATOR_SLICE.
    """
    from dream_jax.envs.sign3d import raycast

    try:
        render = raycast.make_renderer(quality)
    except ImportError as error:
        return {"not_installed": str(error)}
    size = size or _slice(quality)
    return {
        f"batch_{batch}": _timed(render, random_views(batch), size, repeats) for batch in batches
    }


def jaxenstein_world(path: str) -> Any:
    """The world "simple" of a checkout. Raises ConfigError if there is none."""
    sys.path.insert(0, path)
    try:
        return importlib.import_module("jaxenstein").make_jaxenstein_env("simple")
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"--jaxenstein={path}: {error}; give a checkout of JAXenstein, with jaxenstein/ in it"
        ) from None
    finally:
        sys.path.remove(path)


def time_jaxenstein(env: Any, batches: Sequence[int], repeats: int) -> dict[str, Any]:
    """Steps with a picture each per second, as `time_quality`."""
    import jax

    picture, _ = jax.eval_shape(env.reset, jax.random.key(0))

    def worlds(batch: int) -> Any:
        """(states, actions): the ends of random walks."""

        def walk(key: jax.Array) -> Any:
            reset_key, action_key = jax.random.split(key)
            actions = jax.random.randint(action_key, (WALK + 1,), 0, 3)
            _, state = env.reset(reset_key)
            state, _ = jax.lax.scan(lambda s, a: (env.step(s, a)[1], None), state, actions[1:])
            return state, actions[0]

        return jax.jit(jax.vmap(walk))(jax.random.split(jax.random.key(0), batch))

    def draw(state: Any, action: Any) -> Any:
        return env.step(state, action)[0]

    size = _slice("fast")
    found = {f"batch_{batch}": _timed(draw, worlds(batch), size, repeats) for batch in batches}
    return {"picture": list(picture.shape)} | found


def _timed(draw: Callable[..., Any], inputs: Any, size: int, repeats: int) -> dict[str, Any]:
    """Pictures per second of `draw` over the first axis of inputs, in slices of `size`."""
    import jax

    batch = _length(inputs)
    parts = [
        jax.tree.map(lambda leaf, i=i: leaf[i : i + size], inputs) for i in range(0, batch, size)
    ]
    begun = time.perf_counter()
    programs = {  # for all slices, and for a smaller last one
        length: jax.jit(jax.vmap(draw)).lower(*part).compile()
        for length, part in {_length(part): part for part in parts}.items()
    }
    compile_s = time.perf_counter() - begun
    work = [(programs[_length(part)], part) for part in parts]
    _seconds(work, 1)  # the first call includes one-time set-up
    calls = max(1, round(SECONDS_PER_REPEAT / _seconds(work, 1)))
    per_s = [batch * calls / _seconds(work, calls) for _ in range(repeats)]
    return _summary(per_s) | {"compile_s": round(compile_s, 2)}


def random_views(batch: int) -> Any:
    """(Scene, Pose), leaves [batch, ...]: the ends of random walks."""
    import jax

    from dream_jax.envs.sign3d.sign import FORWARD, Sign, view

    env = Sign(start_region="farama")

    def walk(key: jax.Array) -> Any:
        problem_key, reset_key, action_key = jax.random.split(key, 3)
        problem = jax.random.randint(problem_key, (), 0, env.num_problems)
        state, _ = env.reset(reset_key, problem, jax.numpy.zeros(1, jax.numpy.int32))
        actions = jax.random.randint(action_key, (WALK,), 0, FORWARD + 1)
        state, _ = jax.lax.scan(lambda s, a: (env.advance(s, a)[0], None), state, actions)
        return view(state)

    return jax.jit(jax.vmap(walk))(jax.random.split(jax.random.key(0), batch))


def miniworld(repeats: int) -> dict[str, Any]:
    """Frames per second of Miniworld, one picture per step, or the reason why it cannot run."""
    run = [sys.executable, "-m", "benchmarks.miniworld_speed", f"--repeats={repeats}", "--json"]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        return {"not_available": lines[-1]}
    return _summary(json.loads(done.stdout.strip().splitlines()[-1])["frames_per_s"])


def _slice(quality: str) -> int:
    import jax

    return SLICE[quality] if jax.default_backend() == "cpu" else ACCELERATOR_SLICE


def _length(inputs: Any) -> int:
    import jax

    return len(jax.tree.leaves(inputs)[0])


def _seconds(work: Sequence[tuple[Any, Any]], calls: int) -> float:
    """To draw all slices `calls` times; pictures of a whole batch are kept meanwhile."""
    begun = time.perf_counter()
    for _ in range(calls):
        drawn = [program(*views) for program, views in work]
    for pictures in drawn:
        pictures.block_until_ready()
    return time.perf_counter() - begun


def _summary(per_s: Sequence[float]) -> dict[str, Any]:
    return {
        "frames_per_s": round(float(np.median(per_s)), 1),
        "low": round(min(per_s), 1),
        "high": round(max(per_s), 1),
        "repeats": len(per_s),
    }


if __name__ == "__main__":
    sys.exit(command.run(main, sys.argv[1:]))
