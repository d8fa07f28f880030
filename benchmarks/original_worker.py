"""Measures a checkout of the authors' code, unchanged, for `benchmarks.throughput`.

Runs the checkout's own `main.py`; `original_stand_ins` replaces packages that it imports.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import torch

from benchmarks import original_stand_ins
from benchmarks.worker import Requests, peak_memory_bytes

ENVIRONMENTS = {"cooking": "cooking", "distracting_bus": "distraction"}
LEARNERS = ("instruction_agent", "exploration_agent")
WARMUP_TRIALS = 64


class Pace:
    """Yields the number of each trial to run, and answers requests in between."""

    def __init__(self) -> None:
        self.env_steps = 0

    def __call__(self, requests: Requests) -> Iterator[int]:
        numbers = original_stand_ins.trial_numbers()
        for what, arguments in requests:
            if what == "prepare":
                for _ in range(2 * WARMUP_TRIALS):
                    yield next(numbers)
                requests.answer({"compile_s": {}, "threads": torch.get_num_threads()})
            elif what == "measure":
                trials, steps, began = 0, self.env_steps, time.perf_counter()
                while time.perf_counter() - began < arguments["seconds"]:
                    yield next(numbers)
                    trials += 1
                taken = time.perf_counter() - began
                done = {"env_steps": self.env_steps - steps, "trials": trials}
                requests.answer({name: n / taken for name, n in done.items()})
            else:
                requests.answer({"peak_memory_bytes": peak_memory_bytes()})
        sys.exit(0)


def run(path: str, benchmark: str) -> None:
    """Trains in the checkout at `path` as requests say, until standard input ends."""
    requests, pace = Requests(), Pace()
    original_stand_ins.supply(pace(requests))
    vars(torch.utils).update(tensorboard=sys.modules["torch.utils.tensorboard"])
    os.chdir(path)
    sys.path.insert(0, path)
    import main as original

    run_episode = original.run_episode

    def counted(*arguments: Any, **options: Any) -> Any:
        result = run_episode(*arguments, **options)
        episode, *_ = result
        pace.env_steps += len(episode)
        return result

    vars(original).update(run_episode=counted)
    bindings = [f'environment="{ENVIRONMENTS[benchmark]}"']
    for learner in LEARNERS:  # updates from the start and random actions, as in `settings`
        bindings.append(f"{learner}.min_buffer_size={WARMUP_TRIALS}")
        bindings.append(f"{learner}.policy.epsilon_schedule.end=1.0")
    with tempfile.TemporaryDirectory() as folder:
        sys.argv = ["main.py", "-x", folder, "throughput"]
        for binding in bindings:
            sys.argv[1:1] = ["-b", binding]
        original.main()


if __name__ == "__main__":
    run(**json.loads(sys.argv[1]))
