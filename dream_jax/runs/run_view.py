"""What a training run shows of itself: its progress, its agents, a picture for notebooks."""

from collections.abc import Sequence
from typing import IO, Any

import jax
import numpy as np

from dream_jax.config import Config, ConfigError
from dream_jax.oracles.bounds import Bounds
from dream_jax.runs.agent_programs import AgentPrograms
from dream_jax.runs.clock import Pace
from dream_jax.runs.device_training import DeviceTraining
from dream_jax.runs.lines import laid_over
from dream_jax.runs.metrics import progress_line
from dream_jax.runs.rows import Failure, Row
from dream_jax.runs.storage import Progress, Storage, lines_of
from dream_jax.runs.trained_agent import TrainedAgent
from dream_jax.training import setup
from dream_jax.viz import page, plots


class RunView:
    """A training run, without its training.

    Attributes:
      config: all settings.
      seeds: in the order of the rows of each evaluation.
      rows: one dict per evaluation and seed, with the columns of metrics.jsonl.
      failed: the seeds that train no more, because of a number that is not finite.
      summary: the contents of summary.json; None until the run has finished.
    """

    config: Config
    seeds: tuple[int, ...]
    rows: list[Row]
    failed: dict[int, Failure]
    summary: dict[str, Any] | None
    _training: DeviceTraining
    _agent_programs: AgentPrograms
    _progress: Progress
    _storage: Storage
    _compiled: bool

    @property
    def bounds(self) -> dict[str, Bounds]:
        """The oracles' returns and trained lines by split, once the run has been compiled."""
        return laid_over(self._training.programs.bounds, self._storage.lines)

    @property
    def finished(self) -> bool:
        """Whether all trials of the config are done, and the final evaluation too."""
        return self.summary is not None

    @property
    def trials(self) -> int:
        """Trials that each seed has trained on."""
        return self._progress.trials

    def agent(self, seed: int | None = None) -> TrainedAgent:
        """The agent as it was at the newest evaluation.

        Args:
          seed: one of `seeds`; the first by default.
        """
        params = self._training.params
        seed = self.seeds[0] if seed is None else seed
        if seed not in self.seeds:
            raise ConfigError(f"seed={seed}: the run has the seeds {self._listed}")
        if params is None:
            raise ConfigError("the run has not been evaluated yet; train it first")
        i = self.seeds.index(seed)
        mine = jax.tree.map(lambda x: x[i], params)
        if seed in self.failed and not all(np.isfinite(x).all() for x in jax.tree.leaves(mine)):
            raise ConfigError(f"seed={seed} failed: {self.failed[seed].reason}")
        return TrainedAgent(self._agent_programs, mine, seed, self.trials)

    def __repr__(self) -> str:
        total = self.config.training.trials
        state = "finished" if self.finished else f"at {self.trials:,} of {total:,} trials"
        return f"Run({self._title}, seeds {self._listed}, {state})"

    def _repr_html_(self) -> str:
        """For notebooks: the learning curves."""
        if not self.rows or not self._compiled:
            return page.caption(repr(self))
        return page.picture(page.written(self._draw), "image/png", repr(self))

    # Small parts

    @property
    def _title(self) -> str:
        return f"{self.config.preset} on {self.config.benchmark}"

    @property
    def _listed(self) -> str:
        return ", ".join(map(str, self.seeds))

    def _env_steps(self) -> int:
        """Of all seeds that train, at the newest evaluation."""
        newest = self.rows[-len(self.seeds) :]
        return sum(row["env_steps"] for row in newest if row["trials"] == newest[-1]["trials"])

    def _line(self, rows: Sequence[Row], pace: Pace) -> str:
        total, env_steps = self.config.training.trials, self._env_steps()
        speed = pace.speed(self.trials, total, env_steps)
        return progress_line(rows, setup.total_updates(self.config), *speed)

    def _draw(self, file: IO[bytes]) -> None:
        plots.curves(file, self.rows, lines_of(self.bounds), self._title)
