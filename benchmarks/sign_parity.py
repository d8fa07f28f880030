"""`python -m benchmarks.sign_parity --frames=FILE --dynamics=FILE [--quality=reference] [--json]`

Compares the sign world with recordings of Miniworld: the pixels of the frames in one file, and the
steps of the episodes in the other. Either file may be left out. Both are .npz files:

frames     obs [N, 60, 80, 3] uint8, obs_untextured_rooms (the same with white rooms; optional),
           agent_pos [N, 3], agent_dir [N], color_index [N], obj_dir [N, 6]
dynamics   action [E, T], pos_after [E, T, 3], dir_after [E, T], reward, terminated, truncated
           [E, T], color_index, goal, length, start_pos [E, 3], start_dir [E], obj_dir [E, 6],
           blocked [E, T] (optional)

An error is the absolute difference of a colour channel, 0 to 255. Episodes are replayed from their
recorded start with the recorded actions. A step is a mismatch if one of these differs: place (by
more than 1e-3 m), heading (1e-3 rad), reward, terminated, truncated, blocked.
"""

import sys
import zipfile
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks import command
from dream_jax.config import ConfigError

BATCH = 16
TOLERANCE = 1e-3
FRAME_SHAPE = (60, 80, 3)
N, E, T = "N", "E", "T"  # sizes that the file determines
FRAME_FIELDS: dict[str, tuple] = {
    "obs": (N, *FRAME_SHAPE),
    "agent_pos": (N, 3),
    "agent_dir": (N,),
    "color_index": (N,),
    "obj_dir": (N, 6),
}
DYNAMICS_FIELDS: dict[str, tuple] = {
    "action": (E, T),
    "pos_after": (E, T, 3),
    "dir_after": (E, T),
    "reward": (E, T),
    "terminated": (E, T),
    "truncated": (E, T),
    "color_index": (E,),
    "goal": (E,),
    "length": (E,),
    "start_pos": (E, 3),
    "start_dir": (E,),
    "obj_dir": (E, 6),
}


def main(argv: Sequence[str]) -> None:
    line = command.command_line(
        "sign_parity", "Compare the sign world with recordings of Miniworld."
    )
    line.text("frames", None, "a file of recorded frames, .npz")
    line.text("dynamics", None, "a file of recorded episodes, .npz")
    line.text("quality", "reference", "of the rendered frames")
    arguments = line.read(argv)
    if arguments.frames is None and arguments.dynamics is None:
        raise ConfigError("nothing to compare: give --frames=FILE, --dynamics=FILE or both")
    result: dict[str, Any] = {}
    if arguments.frames is not None:
        data = load(arguments.frames, FRAME_FIELDS, {"obs_untextured_rooms": (N, *FRAME_SHAPE)})
        result["quality"] = arguments.quality
        result |= compare_frames(data, arguments.quality, arguments.frames)
    if arguments.dynamics is not None:
        data = load(arguments.dynamics, DYNAMICS_FIELDS, {"blocked": (E, T)})
        result |= compare_dynamics(data, arguments.dynamics)
    command.show(result, arguments.json)


def load(path: str, fields: dict[str, tuple], optional: dict[str, tuple]) -> dict[str, np.ndarray]:
    """The arrays of a file by name, checked against the expected shapes. Raises ConfigError."""
    try:
        # Opened here, because numpy leaves its own handle of a damaged file open.
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
            data = {name: file[name] for name in {**fields, **optional} if name in file.files}
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise ConfigError(f"{path}: not a readable .npz file: {error}") from None
    missing = [name for name in fields if name not in data]
    if missing:
        raise ConfigError(f"{path}: missing arrays: {', '.join(missing)}")
    sizes: dict[str, int] = {}
    for name, array in data.items():
        wanted = {**fields, **optional}[name]
        expected = [sizes.get(size, size) if isinstance(size, str) else size for size in wanted]
        fits = array.ndim == len(wanted) and all(
            isinstance(size, str) or size == length
            for size, length in zip(expected, array.shape, strict=True)
        )
        if not fits or array.dtype.kind not in "biuf":
            shown = ", ".join(str(size) for size in expected)
            raise ConfigError(
                f"{path}: {name} has shape {array.shape} and type {array.dtype}, expected numbers "
                f"of shape ({shown})"
            )
        sizes |= {s: n for s, n in zip(wanted, array.shape, strict=True) if isinstance(s, str)}
    if 0 in sizes.values():
        raise ConfigError(f"{path}: holds no recordings")
    return data


def compare_frames(data: dict[str, np.ndarray], quality: str, path: str) -> dict[str, Any]:
    """Errors of `obs` ("textured") and of `obs_untextured_rooms` ("untextured", None if absent).

    Raises ConfigError for values out of range, and for a quality that cannot be used.
    """
    import jax
    import jax.numpy as jnp

    from dream_jax.envs.sign3d import raycast
    from dream_jax.envs.sign3d.world import Pose, Scene

    place = data["agent_pos"][:, [0, 2]]
    _check(data["color_index"], 0, 2, "color_index", path)
    for name in ("agent_dir", "obj_dir"):
        _finite(data[name], name, path)
    try:
        raycast.check_pose(place)
    except ValueError as error:
        raise ConfigError(f"{path}: agent_pos: {error}") from None
    colour, yaw = (
        jnp.asarray(data["color_index"], jnp.int32),
        jnp.asarray(data["obj_dir"], jnp.float32),
    )
    scenes = Scene(colour, yaw)
    poses = Pose(jnp.asarray(place, jnp.float32), jnp.asarray(data["agent_dir"], jnp.float32))
    result: dict[str, Any] = {"frames": len(place)}
    for name, field in (("textured", "obs"), ("untextured", "obs_untextured_rooms")):
        if field not in data:
            result[name] = None
            continue
        try:
            render = jax.jit(jax.vmap(raycast.make_renderer(quality, name == "textured")))
        except (ValueError, ImportError) as error:
            raise ConfigError(f"--quality={quality}: {error}") from None
        drawn = []
        for start in range(0, len(place), BATCH):
            # The last batch repeats its last row, so that one compiled shape serves all.
            rows = np.arange(BATCH) + start
            rows = np.minimum(rows, len(place) - 1)
            batch = jax.tree.map(lambda leaf, rows=rows: leaf[rows], (scenes, poses))
            drawn.append(np.asarray(render(*batch)))
        pictures = np.concatenate(drawn)[: len(place)]
        result[name] = errors(pictures, data[field])
    return result


def errors(drawn: np.ndarray, recorded: np.ndarray) -> dict[str, float | int]:
    """Errors of pictures, both arguments [N, 60, 80, 3] uint8."""
    error = np.abs(drawn.astype(np.int32) - recorded.astype(np.int32))
    by_frame = error.mean(axis=(1, 2, 3))
    return {
        "mean_error": float(error.mean()),
        "worst_error": int(error.max()),
        "worst_frame": int(np.argmax(by_frame)),
        "worst_frame_mean_error": float(np.max(by_frame)),
    }


def compare_dynamics(data: dict[str, np.ndarray], path: str) -> dict[str, Any]:
    """Mismatches and errors of replayed episodes. Raises ConfigError for values out of range."""
    import jax
    import jax.numpy as jnp

    from dream_jax.envs.sign3d.sign import Sign, SignState

    episodes, most = data["action"].shape
    _check(data["color_index"], 0, 2, "color_index", path)
    _check(data["goal"], 0, 1, "goal", path)
    _check(data["length"], 1, most, "length", path)
    taken = np.arange(most) < data["length"][:, None]  # [E, T]
    _check(np.where(taken, data["action"], 0), 0, 3, "action", path)
    for name in ("start_pos", "start_dir", "obj_dir"):
        _finite(data[name], name, path)
    for name in ("pos_after", "dir_after", "reward"):
        wide = taken if data[name].ndim == 2 else taken[:, :, None]
        _finite(np.where(wide, data[name], 0), name, path)

    env = Sign()
    start = SignState(
        jnp.asarray(data["color_index"], jnp.int32),
        jnp.asarray(data["goal"], jnp.int32)[:, None],
        jnp.asarray(data["start_pos"][:, [0, 2]], jnp.float32),
        jnp.asarray(data["start_dir"], jnp.float32),
        jnp.asarray(data["obj_dir"], jnp.float32),
        jnp.zeros(episodes, jnp.int32),
    )

    def play(state: SignState, actions: jax.Array) -> Any:
        def body(state: SignState, action: jax.Array) -> Any:
            after, outcome = env.advance(state, action)
            return after, (after.position, after.heading, outcome)

        return jax.lax.scan(body, state, actions)[1]

    actions = np.where(taken, data["action"], 0).astype(np.int32)
    place, heading, outcome = jax.device_get(jax.jit(jax.vmap(play))(start, actions))

    offset = np.where(taken, np.abs(place - data["pos_after"][:, :, [0, 2]]).max(-1), 0.0)
    turned = np.where(taken, np.abs(heading - data["dir_after"]), 0.0)
    terminated = data["terminated"].astype(bool)
    truncated = data["truncated"].astype(bool) & ~terminated  # both at once: an end, not a time-out
    differing = {
        "place": offset > TOLERANCE,
        "heading": turned > TOLERANCE,
        "reward": outcome.reward != data["reward"],
        "terminated": outcome.terminated != terminated,
        "truncated": outcome.truncated != truncated,
    }
    if "blocked" in data:
        before = np.concatenate([start.position[:, None], place[:, :-1]], axis=1)
        still = np.all(place == before, axis=-1) & (actions >= 2)
        differing["blocked"] = still != data["blocked"].astype(bool)
    differing = {name: wrong & taken for name, wrong in differing.items()}
    return {
        "episodes": episodes,
        "steps": int(taken.sum()),
        "dynamics_mismatches": int(np.any(list(differing.values()), axis=0).sum()),
        "mismatches_by_field": {name: int(wrong.sum()) for name, wrong in differing.items()},
        "worst_place_error_m": float(offset.max()),
        "worst_heading_error_rad": float(turned.max()),
    }


def _check(values: np.ndarray, low: int, high: int, name: str, path: str) -> None:
    if np.any(values != np.round(values)) or values.min() < low or values.max() > high:
        raise ConfigError(f"{path}: {name} must be whole numbers from {low} to {high}")


def _finite(values: np.ndarray, name: str, path: str) -> None:
    if not np.all(np.isfinite(values)):
        raise ConfigError(f"{path}: {name} has values that are not finite")


if __name__ == "__main__":
    sys.exit(command.run(main, sys.argv[1:]))
