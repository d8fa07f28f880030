"""An agent's compiled programs, shared by all its parameters: trials, and evaluations."""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dream_jax import problems, specs
from dream_jax.config import Config
from dream_jax.data import pictures
from dream_jax.oracles.bounds import Bounds
from dream_jax.runs import summary as summaries
from dream_jax.training import evaluation
from dream_jax.training.evaluation import Evaluation
from dream_jax.types import Agent, Array, Env, MetaTest, Params

KEY = 20_210_719  # of evaluations after training; learning curves use another key


class Rolled(NamedTuple):
    """A trial at meta-test, and what each exploration step told the agent."""

    test: MetaTest
    information: Array  # [L]


class AgentPrograms:
    """Trials and evaluations of an agent. Each is compiled at its first call and then kept."""

    def __init__(self, agent: Agent):
        self.agent = agent
        self.env: Env = agent.env
        self.config: Config = agent.config
        self._information_names: dict[bool, str] = {}
        self._evaluate = jax.jit(self._evaluate_seeds)
        self._roll = jax.jit(self._roll_one, static_argnums=4)

    @functools.cached_property
    def bounds(self) -> dict[str, Bounds]:
        """The exact returns of the oracles, by split."""
        return summaries.bounds_of(self.env)

    def evaluate(self, params: Params, trials: int, splits: Sequence[str]) -> dict[str, Any]:
        """Greedy returns on every problem of each split, as in summary.json, with a table.

        The table "problems" has a row for each problem, with means over its trials.

        Args:
          params: leaves [seeds, ...].
          trials: of each split and seed, at least.
          splits: names of the environment's splits.
        """
        results: dict[str, Any] = {}
        for split in splits:
            trial_set = self._trial_set(split, trials)
            got = jax.device_get(self._evaluate(params, trial_set))
            returns = got.trial_return.mean(axis=1).tolist()
            results[split] = summaries.split_summary(returns, self.bounds[split])
            results[split] |= {
                "trials": len(trial_set.problem),
                "exploration_length_per_seed": got.exploration_length.mean(axis=1).tolist(),
                "exploration_return_per_seed": got.exploration_return.mean(axis=1).tolist(),
                "from_the_start_per_seed": self._from_the_start(got).tolist(),
                "problems": _by_problem(trial_set.problem, got),
            }
        return results

    def _from_the_start(self, got: Evaluation) -> np.ndarray:
        """[seeds] mean return of an episode, where those of exploration count too."""
        trial = self.config.trial
        explorations, exploitations = trial.exploration_episodes, trial.exploitation_episodes
        total = got.exploration_return + exploitations * got.trial_return
        return np.mean(total, axis=1) / (explorations + exploitations)

    def roll(
        self, params: Params, problem: int, instructions: Any, seed: int
    ) -> tuple[Rolled, str]:
        """One greedy trial of one seed's parameters on the host, and the name of its information.

        instructions: [N, I].
        """
        trained_on = self._is_trained_on(problem)
        rolled = self._roll(
            params,
            jax.random.key(seed),
            jnp.int32(problem),
            specs.instruction(self.env).kept(instructions),
            trained_on,
        )
        return jax.device_get(rolled), self._information_names[trained_on]

    def _is_trained_on(self, problem: int) -> bool:
        """Whether a problem is a training problem; of a family without a list: no."""
        if not problems.is_listed(self.env):
            return False
        return bool(np.isin(problem, self.env.problem_ids("train")))

    def _trial_set(self, split: str, trials: int) -> evaluation.TrialSet:
        trial = self.config.trial
        return evaluation.trial_set(
            self.env, split, trials, trial.exploitation_episodes, True, trial.redraw_instruction
        )

    def _evaluate_seeds(self, params: Params, trials: evaluation.TrialSet) -> evaluation.Evaluation:
        key = jax.random.key(KEY)
        return jax.lax.map(lambda one: evaluation.evaluate(self.agent, one, key, trials), params)

    def _roll_one(
        self, params: Params, key: Array, problem: Array, instructions: Array, trained_on: bool
    ) -> Rolled:
        test = self.agent.meta_test(params, key, problem, instructions)
        test = test._replace(  # keys have no place on the host
            exploration_states=pictures.without_keys(test.exploration_states),
            exploitation_states=pictures.without_keys(test.exploitation_states),
        )
        name, information = self.agent.step_information(
            params, test.exploration, problem, trained_on
        )
        self._information_names[trained_on] = name  # noted when the program is traced
        return Rolled(test, information)


def _by_problem(problems: np.ndarray, got: evaluation.Evaluation) -> list[dict[str, Any]]:
    """Means over the trials of each problem. problems: [n]; got: leaves [seeds, n]."""
    rows = []
    for problem in np.unique(problems).tolist():
        mine = problems == problem
        per_seed = got.trial_return[:, mine].mean(axis=1)
        rows.append(
            {
                "problem": problem,
                "return_mean": float(per_seed.mean()),
                "return_per_seed": per_seed.tolist(),
                "exploration_length": float(got.exploration_length[:, mine].mean()),
            }
        )
    return rows
