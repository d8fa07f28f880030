"""`python -m benchmarks.miniworld_speed [--steps=N] [--repeats=N] [--json]`

Prints steps per second of Miniworld in random episodes, including resets, with one picture per
step. `benchmarks.render` runs it in a process of its own, because Miniworld keeps its OpenGL
context until its process ends.
"""

import sys
import time
from collections.abc import Sequence

import numpy as np

from benchmarks import command
from dream_jax.config import ConfigError
from dream_jax.envs.sign3d.miniworld_adapter import MiniworldSign, MiniworldUnavailable


def main(argv: Sequence[str]) -> None:
    line = command.command_line("miniworld_speed", "Time real Miniworld.")
    line.count("steps", 600, "steps per repeat")
    line.count("repeats", 5, "measurements")
    arguments = line.read(argv)
    try:
        env = MiniworldSign()
    except MiniworldUnavailable as error:
        raise ConfigError(str(error)) from None
    actions = np.random.default_rng(0).integers(3, size=arguments.steps).tolist()
    env.reset()
    per_s = []
    for _ in range(arguments.repeats):
        begun = time.perf_counter()
        for action in actions:
            env.step(action)  # a step without a running episode is a reset
        per_s.append(arguments.steps / (time.perf_counter() - begun))
    command.show({"frames_per_s": per_s}, arguments.json)


if __name__ == "__main__":
    sys.exit(command.run(main, sys.argv[1:]))
