"""Runs of the agents that are computed, not trained: `optimal`, `no_exploration` and `pearl_ub`."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dream_jax import envs
from dream_jax.agents import registry
from dream_jax.config import Config, ConfigError
from dream_jax.envs.splits import split_names
from dream_jax.runs import milestones, page_data
from dream_jax.runs import summary as summaries
from dream_jax.runs.metrics import to_json
from dream_jax.runs.rows import Row, make_summary
from dream_jax.runs.run_page import PAGE, about_run
from dream_jax.runs.storage import InMemory, Storage
from dream_jax.viz import report_page


class ComputedRun:
    """A run whose returns are computed exactly. It has finished when it has been made.

    Attributes: as of `loop.Run`. All seeds have the same returns.
    """

    rows: list[Row]
    summary: dict[str, Any]

    def __init__(
        self,
        config: Config,
        seeds: Sequence[int],
        storage: Storage | None = None,
        started_s: float | None = None,
    ):
        """Raises ConfigError if the problems cannot be searched or the folder cannot be used."""
        self.config, self.seeds = config, tuple(seeds)
        storage = storage or InMemory()
        self.out: Path | None = storage.out
        there = storage.computed()
        self.was_there = there is not None  # the run was finished before
        if there is not None:
            self.rows, self.summary = there
            return
        started_s = time.time() if started_s is None else started_s
        env = envs.from_config(config.benchmark, config.env)
        agent = registry.find(config.agent)
        try:
            returns = {s: float(agent.returns(env, s, config).mean()) for s in split_names(env)}
        except ValueError as error:  # of a problem family of the user's
            raise ConfigError(f"agent={config.agent!r}: {error}") from error
        bounds = summaries.bounds_of(env)
        counts = {"env_steps": 0, "trials": 0, "updates": 0}
        wall_s = time.time() - started_s
        columns = {f"{split}_return": value for split, value in returns.items()}
        self.rows = [
            to_json({"seed": seed, **counts, "wall_s": wall_s, "compile_s": 0.0, **columns})
            for seed in self.seeds
        ]
        solved = all(summaries.solved(returns[s], bounds[s]) for s in milestones.SPLITS)
        at_once = {"time_to_95_s": wall_s, "env_steps_to_95": 0, "updates_to_95": 0}
        self.summary = make_summary(
            config,
            self.seeds,
            {split: [value] * len(self.seeds) for split, value in returns.items()},
            bounds,
            {name: [x if solved else None] * len(self.seeds) for name, x in at_once.items()}
            | {"return_at_env_steps": milestones.return_at_env_steps([], self.seeds)},
            counts,
            0.0,
            wall_s,
        )
        try:
            with storage.writer([]) as write:
                for row in self.rows:
                    write(row)
                storage.summarise(self.summary)
            if self.out is not None:
                about = about_run(self.out, config, self.seeds, self.rows, self.summary, bounds)
                report_page.write(self.out / PAGE, [page_data.of_run(about)])
        finally:
            storage.release()

    finished = True
    trials = 0

    def train(self, on_evaluation: Any = None) -> "ComputedRun":
        raise ConfigError(f"agent={self.config.agent!r} is computed, there is nothing to train")

    def agent(self, seed: int | None = None) -> Any:
        raise ConfigError(f"agent={self.config.agent!r} is computed, it does not act")

    def save(self) -> None:
        raise ConfigError(f"agent={self.config.agent!r} is computed, it has no parameters")

    def __repr__(self) -> str:
        return f"ComputedRun({self.config.preset} on {self.config.benchmark})"
