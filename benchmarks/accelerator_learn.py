"""The part of the accelerator campaign that trains until every seed has reached 0.95."""

import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from benchmarks.device_use import memory
from dream_jax import config as configs
from dream_jax import presets
from dream_jax.runs import milestones
from dream_jax.runs.loop import Run

Row = dict[str, Any]
FIRST_SEED = 100


class Learning:
    """A run of the library that writes nothing. It is compiled when it is made.

    Seconds to 0.95 count from then on, with the time in which the part waited for its turn; the
    rows also have the seconds of training alone.
    """

    def __init__(
        self, benchmark: str, preset: str, seeds: int, quick: bool, changes: Mapping[str, Any]
    ):
        began = time.time()
        config = presets.get(benchmark, preset)
        if quick:
            config = configs.override(presets.smoke(config), {"env.horizon": 4})
        self.config = configs.override(config, changes)
        self._run = Run(
            self.config, range(FIRST_SEED, FIRST_SEED + seeds), started_s=began, log=_log
        )
        self._run.compile()
        self.prepare_s = time.time() - began
        self._what = {"benchmark": benchmark, "preset": preset, "seeds": seeds}
        if changes:
            self._what["changes"] = dict(changes)
        self._rows: list[Row] = []
        self._began = self._until = 0.0

    def measure(self, seconds: float) -> Iterator[Row]:
        """A row for each evaluation, and one at the end. It stops after `seconds`."""
        run, training = self._run, self.config.training
        self._began = time.time()
        self._until = self._began + seconds
        # In pieces, so that rows come as they are measured.
        while run.trials < training.trials and time.time() < self._until:
            run.train(self._evaluated, until_trials=run.trials + training.evaluation_period_trials)
            yield from self._rows
            done = self._rows and self._rows[-1]["seeds_without_95"] == 0
            self._rows.clear()
            if done:
                break
        yield self._what | {
            "what": "learned",
            "training_s": time.time() - self._began,
            "compile_s": run.rows[-1]["compile_s"],
            **milestones.reached_95(run.rows, run.seeds, run.bounds),
            **memory(),
        }

    def _evaluated(self, event: Any) -> bool:
        run, new = self._run, event.rows
        found = milestones.reached_95(run.rows, run.seeds, run.bounds)
        missing = sum(each is None for each in found["env_steps_to_95"])
        self._rows.append(
            self._what
            | {
                "what": "evaluation",
                "training_s": time.time() - self._began,
                "trials": event.trials,
                "env_steps": float(np.mean([row["env_steps"] for row in new])),
                "updates": new[0]["updates"],
                "train_return": [round(row["train_return"], 3) for row in new],
                "test_return": [round(row["test_return"], 3) for row in new],
                "seeds_without_95": missing,
            }
        )
        return missing > 0 and time.time() < self._until


def _log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
