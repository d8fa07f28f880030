"""`python -m benchmarks.record_miniworld --out=DIR [--frames=N] [--episodes=N] [--seed=N]`

Records Miniworld in the format that `benchmarks.sign_parity` reads: DIR/frames.npz and
DIR/dynamics.npz, from random episodes in Farama's start region. Needs the extra `miniworld` and
OpenGL.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import command
from dream_jax.config import ConfigError
from dream_jax.envs.sign3d.miniworld_adapter import MiniworldSign, MiniworldUnavailable

HORIZON = 20
FILES = ("frames.npz", "dynamics.npz")
# Mostly forward, so that walks get far, and seldom "end episode".
ACTION_SHARES = (0.17, 0.17, 0.64, 0.02)


def main(argv: Sequence[str]) -> None:
    line = command.command_line("record_miniworld", "Record real Miniworld.")
    line.text("out", None, "the folder for two .npz files")
    line.count("frames", 200, "pictures")
    line.count("episodes", 200, "episodes")
    line.count("seed", 0, "of the random actions", least=0)
    arguments = line.read(argv)
    if not arguments.out:
        raise ConfigError("--out is missing: the folder for the recordings")
    out = Path(arguments.out)
    for name in FILES:
        if (out / name).exists():
            raise ConfigError(f"--out={out}: {name} is there already; give another folder")
    try:
        env = MiniworldSign(arguments.seed, "farama", HORIZON)
    except MiniworldUnavailable as error:
        raise ConfigError(str(error)) from None
    out.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(arguments.seed)
    pictures: Any = frames(env, random, arguments.frames)
    walks: Any = episodes(env, random, arguments.episodes)
    for name, arrays in zip(FILES, (pictures, walks), strict=True):
        np.savez_compressed(out / name, **arrays)
    command.show({"frames": arguments.frames, "episodes": arguments.episodes}, arguments.json)


def frames(env: MiniworldSign, random: np.random.Generator, count: int) -> dict[str, np.ndarray]:
    """Pictures of about a third of the steps of random walks, with their poses."""
    rows: dict[str, list] = {
        name: []
        for name in ("obs", "obs_untextured_rooms", "agent_pos", "agent_dir", "color_index")
    }
    rows["obj_dir"] = []
    now = env.reset()
    while len(rows["obs"]) < count:
        now = env.step(int(random.choice(4, p=ACTION_SHARES)))
        if random.random() < 0.7:
            continue
        scene, pose = env.view()
        rows["obs"].append(now.observation["observation"])
        rows["obs_untextured_rooms"].append(env.render_white_rooms())
        rows["agent_pos"].append([pose.position[0], 0.0, pose.position[1]])
        rows["agent_dir"].append(pose.heading)
        rows["color_index"].append(scene.colour)
        rows["obj_dir"].append(scene.object_yaw)
    return {name: np.array(values) for name, values in rows.items()}


def episodes(env: MiniworldSign, random: np.random.Generator, count: int) -> dict[str, np.ndarray]:
    """Random walks, padded to the horizon. The fields are those of `benchmarks.sign_parity`."""
    shape = (count, HORIZON)
    data = {
        "action": np.full(shape, -1, np.int8),
        "pos_after": np.full((*shape, 3), np.nan),
        "dir_after": np.full(shape, np.nan),
        "reward": np.full(shape, np.nan, np.float32),
        "terminated": np.zeros(shape, bool),
        "truncated": np.zeros(shape, bool),
        "blocked": np.zeros(shape, bool),
        "color_index": np.zeros(count, np.int8),
        "goal": np.zeros(count, np.int8),
        "length": np.zeros(count, np.int16),
        "start_pos": np.zeros((count, 3)),
        "start_dir": np.zeros(count),
        "obj_dir": np.zeros((count, 6)),
    }
    for e in range(count):
        problem, instruction = e % 3, e // 3 % 2
        env.begin(problem, [instruction])
        scene, before = env.view()
        data["color_index"][e], data["goal"][e] = problem, instruction
        data["start_pos"][e, [0, 2]], data["start_dir"][e] = before.position, before.heading
        data["obj_dir"][e] = scene.object_yaw
        for t in range(HORIZON):
            action = int(random.choice(4, p=ACTION_SHARES))
            now = env.step(action)
            _, after = env.view()
            data["action"][e, t], data["reward"][e, t] = action, now.reward
            data["pos_after"][e, t] = [after.position[0], 0.0, after.position[1]]
            data["dir_after"][e, t] = after.heading
            data["terminated"][e, t] = now.last() and now.discount == 0
            data["truncated"][e, t] = now.last() and now.discount == 1
            data["blocked"][e, t] = action >= 2 and np.array_equal(after.position, before.position)
            data["length"][e] = t + 1
            before = after
            if now.last():
                break
    return data


if __name__ == "__main__":
    sys.exit(command.run(main, sys.argv[1:]))
