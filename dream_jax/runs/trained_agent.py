"""A trained agent: trials that can be looked at, evaluations, play in other worlds, one file."""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from dream_jax import problems, specs
from dream_jax.config import Config, ConfigError, nearest
from dream_jax.envs.splits import split_names
from dream_jax.runs import agent_file
from dream_jax.runs.agent_programs import AgentPrograms
from dream_jax.runs.trial_record import TrialRecord, make_record
from dream_jax.types import Agent, Env, Params


class TrainedAgent:
    """One seed's parameters, ready to act.

    The first trial, and the first evaluation, compile for some seconds. Later ones are fast.
    """

    def __init__(self, programs: AgentPrograms, params: Params, seed: int, trials: int):
        """
        Args:
          programs: of the agent.
          params: the parameters to act with, numpy arrays.
          seed: the seed that they were trained with.
          trials: how many trials they were trained on.
        """
        self._programs = programs
        self.params = params
        self.seed, self.trained_trials = seed, trials

    @property
    def config(self) -> Config:
        """The settings that the agent was trained with."""
        return self._programs.config

    @property
    def env(self) -> Env:
        """The environment that the agent was trained in."""
        return self._programs.env

    @property
    def functions(self) -> Agent:
        """The agent's pure functions of `params`."""
        return self._programs.agent

    def trial(
        self, problem: int | None = None, instruction: Any = None, seed: int = 0
    ) -> TrialRecord:
        """Roll one greedy trial: exploration, then exploitation.

        Args:
          problem: an id of any split; by default the first held-out problem,
            `env.problem_ids("test")[0]`.
          instruction: [I] for all exploitation episodes, or [N, I]; by default one of
            `env.instructions(problem)`.
          seed: of the environment's random draws, and of the agent's if it explores at random.

        Raises:
          ConfigError: there is no such problem, or it has no such instruction.
        """
        problem = problems.first(self.env, "test") if problem is None else problem
        self._check_problem(problem)
        instructions = self._instructions(problem, instruction)
        rolled, name = self._programs.roll(self.params, problem, instructions, seed)
        return make_record(self.env, problem, instructions, rolled, name)

    def evaluate(self, trials: int = 100, split: str | None = None) -> dict[str, Any]:
        """Greedy returns on every problem of a split, beside the oracles' returns.

        Args:
          trials: of each split, at least.
          split: "train", "test" or, where there is one, "validation"; by default all.

        Returns:
          A dict as in summary.json under "splits", with "trials" and "exploration_length_per_seed".
          With `split`, the part of that split alone.
        """
        if trials < 1:
            raise ConfigError(f"trials={trials} must be at least 1")
        known = split_names(self.env)
        if split is not None and split not in known:
            raise ConfigError(f"unknown split {split!r}; {nearest(split, known)}")
        params = jax.tree.map(lambda x: x[None], self.params)
        results = self._programs.evaluate(params, trials, known if split is None else (split,))
        return results if split is None else results[split]

    def play(
        self,
        world: Any,
        problem: int,
        instruction: Any = None,
        hidden: Any = None,
        seed: int = 0,
        watch: Callable[[], Any] | None = None,
    ) -> Any:
        """One trial of a DREAM agent in a dm_env world, which need not run in JAX.

        For example, in the same problem family behind the dm_env interface:

            from dream_jax.envs.adapters.dm_env import DmEnvAdapter

            played = agent.play(DmEnvAdapter(agent.env), problem=3)
            played.exploration.action, played.exploitation[0].reward.sum()

        Args:
          world: has `begin(problem, instruction)` and `step(action)`, both of which return a
            `dm_env.TimeStep` whose observation has the entry "observation".
          problem: the id that the world begins with. The agent does not see it.
          instruction: as for `trial`.
          hidden: [I] the instruction that the exploration episode pays for, by default the first
            one of the problem. The agent does not see it.
          seed: of the agent's random actions, if it has any.
          watch: is called after each step, for example to keep a picture. The results are in the
            record.

        Returns:
          A `training.host_player.PlayedTrial`.

        Raises:
          ConfigError: the agent cannot be played so, or there is no such problem or instruction.
        """
        self._check_problem(problem)
        instructions = self._instructions(problem, instruction)
        rows = np.asarray(self.env.instructions(problem))
        secret = rows[0] if hidden is None else _shaped(hidden, rows, problem)
        player = self._player if watch is None else self._make_player(watch)
        return player.trial(world, jax.random.key(seed), problem, instructions, secret)

    def save(self, file: str | Path) -> None:
        """Write the parameters and the config to a small file for `dream_jax.load`.

        The file is a NumPy archive without pickles. An existing file is replaced.
        """
        agent_file.write(file, self.config, self.params, self.seed, self.trained_trials)

    def __repr__(self) -> str:
        config = self.config
        return (
            f"TrainedAgent({config.preset} on {config.benchmark}, seed {self.seed}, "
            f"{self.trained_trials:,} trials)"
        )

    @functools.cached_property
    def _player(self) -> Any:
        return self._make_player(lambda: None)

    def _make_player(self, watch: Callable[[], Any]) -> Any:
        from dream_jax.agents.dream_policy import DreamPolicy
        from dream_jax.training.host_player import Player

        agent = self.functions
        if not isinstance(agent, DreamPolicy):
            raise ConfigError(
                f"agent={self.config.agent!r} cannot be played in a dm_env world; valid: dream"
            )
        return Player(agent, self.params, watch)

    def _check_problem(self, problem: Any) -> None:
        whole = isinstance(problem, int | np.integer) and not isinstance(problem, bool)
        last = self.env.num_problems - 1 if problems.is_listed(self.env) else problems.LARGEST_ID
        if not whole or not 0 <= problem <= last:
            raise ConfigError(f"problem={problem!r}: valid: 0 to {last} on {self.config.benchmark}")

    def _instructions(self, problem: int, instruction: Any) -> Any:
        """For the exploitation episodes: [N, I], or leaves [N, ...].

        Instructions that the family does not list are drawn, or taken as they are given.
        """
        count, space = self.config.trial.exploitation_episodes, specs.instruction(self.env)
        if space.component_sizes is None or not problems.lists_instructions(self.env):
            if instruction is None:
                return problems.draw_instructions(self.env, np.full(count, problem, np.int32))
            wrong = specs.mistake(space, instruction) or specs.outside(space, instruction)
            if wrong:
                raise ConfigError(f"instruction={instruction!r}: {wrong}")
            kept = jax.tree.map(np.asarray, space.kept(instruction))
            return jax.tree.map(lambda x: np.stack([x] * count), kept)
        trial, rows = self.config.trial, np.asarray(self.env.instructions(problem))
        size = rows.shape[1]
        if instruction is None:
            # From the middle on, the first with the most different parts: two ingredients.
            order = [(len(rows) // 2 + k) % len(rows) for k in range(len(rows))]
            first = max(order, key=lambda k: len(set(rows[k].tolist())))
            chosen = [first + n * trial.redraw_instruction for n in range(count)]
            return rows[np.array(chosen) % len(rows)]
        if np.ndim(instruction) < 2:
            return np.tile(_shaped(instruction, rows, problem), (count, 1))
        if np.shape(instruction) != (count, size):
            raise ConfigError(
                f"instruction={_plain(instruction)}: give {size} numbers, or {count} x {size}"
            )
        return np.stack([_shaped(one, rows, problem) for one in instruction])


def _shaped(instruction: Any, rows: np.ndarray, problem: int) -> np.ndarray:
    """An instruction as an array [I]. Raises ConfigError if it is not one of `rows` [M, I]."""
    given = np.atleast_1d(np.asarray(instruction))
    if given.shape != rows.shape[1:] or not np.any(np.all(rows == given, axis=1)):
        valid = [list(row) for row in dict.fromkeys(tuple(row.tolist()) for row in rows)]
        shown = ", ".join(map(str, valid[:4])) + (", ..." if len(valid) > 4 else "")
        raise ConfigError(
            f"instruction={_plain(instruction)} is not one of problem {problem}; valid: {shown}"
        )
    return given.astype(rows.dtype)


def _plain(value: Sequence[Any] | Any) -> Any:
    return np.asarray(value).tolist()
