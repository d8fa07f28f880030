"""Measures the PyTorch baseline for `benchmarks.throughput`."""

from typing import Any

import torch

from benchmarks import settings
from benchmarks.torch_baseline.train import Trainer
from benchmarks.worker import Handlers, cores, peak_memory_bytes, repeat, serve


class Contender:
    """One seed, with `threads` threads, or if 0 with the number that trains fastest.

    On a GPU (`device` "cuda") the networks and the replay are there, and the environments here.
    """

    def __init__(
        self, benchmark: str, preset: str, quick: bool, threads: int = 0, device: str = "cpu"
    ):
        if device != "cpu":  # the default costs nothing
            torch.set_default_device(device)
        self.trainer = Trainer(settings.training(benchmark, preset, quick))
        self._threads = [threads] if threads else list(range(1, cores() + 1))
        self._quick = quick

    def prepare(self) -> dict[str, Any]:
        """Fills the replay, warms up and chooses the number of threads."""
        while self.trainer.trials < min(1_000, self.trainer.config.replay.capacity_trials):
            self.trainer.collect()
        speed = {}
        for threads in self._threads:
            torch.set_num_threads(threads)
            self.trainer.iterate()
            speed[threads] = self.measure("train", 0.1 if self._quick else 2.0)["env_steps"]
        torch.set_num_threads(max(speed, key=lambda n: speed[n]))
        return {
            "compile_s": {},
            "threads": torch.get_num_threads(),
            "replay_bytes": self.trainer.replay.size_bytes,
        }

    def measure(self, what: str, seconds: float) -> dict[str, float]:
        """Environment steps, trials and updates per second."""
        trainer = self.trainer
        call: Any = {
            "collect": trainer.collect,
            "update": trainer.update,
            "train": trainer.iterate,
        }[what]
        before = self._counts()
        _, taken = repeat(call, seconds)
        return {name: (n - before[name]) / taken for name, n in self._counts().items()}

    def matmul(self) -> dict[str, float]:
        """float32 operations per second of a large matrix product on all cores."""
        size, threads = 2_048, torch.get_num_threads()
        torch.set_num_threads(cores())
        a = torch.full((size, size), 1e-3)
        a @ a
        calls, taken = repeat(lambda: a @ a, 0.5)
        torch.set_num_threads(threads)
        return {"flops_per_s": 2.0 * size**3 * calls / taken}

    def finish(self) -> dict[str, float]:
        """Peak memory in bytes."""
        return {"peak_memory_bytes": peak_memory_bytes()}

    def _counts(self) -> dict[str, float]:
        trainer = self.trainer
        updates = sum(x.updates for x in trainer.learners.values()) / 2  # of both learners
        return {
            "env_steps": sum(trainer.steps.values()),
            "trials": trainer.trials,
            "updates": updates,
        }


def make(arguments: dict[str, Any]) -> Handlers:
    contender = Contender(**arguments)
    names = ("prepare", "measure", "matmul", "finish")
    return {name: getattr(contender, name) for name in names}


if __name__ == "__main__":
    serve(make)
