"""Trained agents from disk: all seeds of a run's folder, or the file of one agent."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax

from dream_jax import config as configs
from dream_jax.agents import registry
from dream_jax.config import Config, ConfigError
from dream_jax.runs import agent_file, checkpoint, provenance
from dream_jax.runs.agent_programs import AgentPrograms
from dream_jax.runs.folder import RUN_FILE, saved_run
from dream_jax.runs.resolve import checked_env
from dream_jax.runs.trained_agent import TrainedAgent
from dream_jax.scaling import seeds as scaling
from dream_jax.training import evaluation, setup
from dream_jax.types import Agent, Env, Params


class LoadedRun(NamedTuple):
    """The newest checkpoint of a run."""

    programs: AgentPrograms
    params: Params  # the parameters to evaluate, leaves [seeds, ...]
    seeds: list[int]
    trials: int  # trained on

    @property
    def config(self) -> Config:
        return self.programs.config

    @property
    def env(self) -> Env:
        return self.programs.env

    @property
    def agent(self) -> Agent:
        """The agent's pure functions."""
        return self.programs.agent

    def trained_agent(self, seed: int | None = None) -> TrainedAgent:
        """The agent of a seed, by default of the first. Raises ConfigError for no such seed."""
        seed = self.seeds[0] if seed is None else seed
        if seed not in self.seeds:
            known = ", ".join(map(str, self.seeds))
            raise ConfigError(f"seed={seed}: the run has the seeds {known}")
        i = self.seeds.index(seed)
        params = jax.tree.map(lambda x: x[i], self.params)
        return TrainedAgent(self.programs, params, seed, self.trials)


def load_run(folder: str | Path, overrides: Mapping[str, Any] | None = None) -> LoadedRun:
    """The newest checkpoint of a run.

    Args:
      folder: of the run.
      overrides: settings to evaluate with, if not those of training: {"env.horizon": 30}.

    Raises:
      ConfigError: the folder has no checkpoint that can be read, or an override is not possible.
    """
    folder = Path(folder)
    if not (folder / RUN_FILE).is_file():
        raise ConfigError(f"{folder} holds no run (no {RUN_FILE})")
    saved = saved_run(folder, flag="")
    trained = provenance.config_of(saved)
    # Restored as it was trained, so that what overrides change never meets the replay's shape.
    trainer = setup.make_trainer(trained, checked_env(trained))
    seeds = list(saved["seeds"])
    try:
        shape = scaling.state_shape(trainer, len(seeds))
        state, metadata = checkpoint.restore(folder / "checkpoints", shape)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{folder}: {error}") from error
    params = evaluation.evaluation_params(trained, state)
    return _loaded(trainer.agent, params, seeds, metadata["trials"], overrides, folder)


def _check_same_params(agent: Agent, params: Params, folder: Path) -> None:
    """Raises ConfigError if an agent has other parameters than `params`, leaves [seeds, ...]."""
    wanted = jax.tree_util.tree_leaves_with_path(jax.eval_shape(agent.init, jax.random.key(0)))
    there = {jax.tree_util.keystr(k): x for k, x in jax.tree_util.tree_leaves_with_path(params)}
    for path, leaf in wanted:
        name = jax.tree_util.keystr(path)
        was = None if name not in there else there[name].shape[1:]
        if was != leaf.shape:
            raise ConfigError(
                f"{folder} holds other parameters: {name.lstrip('.')} is "
                f"{'missing' if was is None else list(was)}, these settings need "
                f"{list(leaf.shape)}; leave the networks as they were"
            )


def load_file(file: str | Path) -> TrainedAgent:
    """The agent of a file that `TrainedAgent.save` wrote. Raises ConfigError for other files."""
    return load_agent(file).trained_agent()


def load_agent(file: str | Path, overrides: Mapping[str, Any] | None = None) -> LoadedRun:
    """The agent of such a file as a run of one seed; otherwise as `load_run`."""
    saved = agent_file.read(file)
    agent = registry.make(saved.config, checked_env(saved.config))
    template = jax.eval_shape(agent.init, jax.random.key(0))
    params = jax.tree.map(lambda x: x[None], agent_file.params_of(saved, template, file))
    return _loaded(agent, params, [saved.seed], saved.trials, overrides, Path(file))


def _loaded(
    agent: Agent,
    params: Params,  # leaves [seeds, ...]
    seeds: list[int],
    trials: int,
    overrides: Mapping[str, Any] | None,
    path: Path,
) -> LoadedRun:
    """The run, with other settings where there are overrides."""
    if overrides:
        config = configs.override(agent.config, overrides)
        agent = registry.make(config, checked_env(config))
        _check_same_params(agent, params, path)
    return LoadedRun(AgentPrograms(agent), params, seeds, trials)
