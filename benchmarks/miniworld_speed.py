"""`python -m benchmarks.miniworld_speed [--steps=N] [--repeats=N] [--json]`: real Miniworld.

Steps per second of random episodes with their resets, one picture each. A process of its own,
because Miniworld keeps its OpenGL context as long as it lives; `benchmarks.render` starts it.
"""

import sys
import time
from collections.abc import Sequence

import numpy as np

from benchmarks import command
from benchmarks.command import BadInput
from dream_jax.envs.sign3d.miniworld_adapter import MiniworldSign, MiniworldUnavailable


def main(argv: Sequence[str]) -> None:
    parser = command.parser("miniworld_speed", "Time real Miniworld.")
    parser.add_argument(
        "--steps", type=command.count, default=600, help="per repeat (default: 600)"
    )
    parser.add_argument("--repeats", type=command.count, default=5, help="(default: 5)")
    arguments = parser.parse_args(argv)
    try:
        env = MiniworldSign()
    except MiniworldUnavailable as error:
        raise BadInput(str(error)) from None
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
