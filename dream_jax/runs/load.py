"""Trained agents from disk: all seeds of a run's folder, or the file of one agent."""

import functools
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from dream_jax import config as configs
from dream_jax.agents import registry
from dream_jax.config import Config, ConfigError
from dream_jax.runs import agent_file, checkpoint, provenance
from dream_jax.runs.agent_programs import AgentPrograms
from dream_jax.runs.folder import RUN_FILE, saved_run
from dream_jax.runs.resolve import checked_env
from dream_jax.runs.rows import Failure, best_step, failures_of
from dream_jax.runs.trained_agent import TrainedAgent
from dream_jax.scaling import seeds as scaling
from dream_jax.training import evaluation, setup
from dream_jax.types import Agent, Env, Params

NEWEST, BEST = "newest", "best"  # checkpoints


class LoadedRun(NamedTuple):
    """A checkpoint of a run."""

    programs: AgentPrograms
    params: Params  # the parameters to evaluate, leaves [seeds, ...]
    seeds: list[int]
    trials: int  # trained on
    # Seeds that stopped training. Their parameters are those before the failure, if they are kept.
    failed: dict[int, Failure]

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
        failure = self.failed.get(seed)
        if failure is None:
            return TrainedAgent(self.programs, params, seed, self.trials)
        if failure.checkpoint is None:
            raise ConfigError(f"seed={seed} failed before the first checkpoint: {failure.reason}")
        return TrainedAgent(self.programs, params, seed, failure.checkpoint)


class Initial(NamedTuple):
    """What a run starts with, where another one came first."""

    params: Params  # leaves [seeds, ...]
    trials: int  # that they were trained on


def load_run(
    folder: str | Path, overrides: Mapping[str, Any] | None = None, at: str | int = NEWEST
) -> LoadedRun:
    """A checkpoint of a run.

    Args:
      folder: of the run.
      overrides: settings to evaluate with, if not those of training: {"env.horizon": 30}.
      at: which checkpoint: "newest"; "best", by the return on validation problems, or on training
        problems where there are none; or a number of trials.

    Raises:
      ConfigError: the folder has no such checkpoint that can be read, or an override is not
        possible.
    """
    folder = Path(folder)
    if not (folder / RUN_FILE).is_file():
        raise ConfigError(f"{folder} holds no run (no {RUN_FILE})")
    saved = saved_run(folder, flag="")
    try:
        trained = provenance.config_of(saved)
    except ConfigError as error:
        raise ConfigError(f"{folder / RUN_FILE}: {error}") from error
    # Restored as it was trained, so that what overrides change never meets the replay's shape.
    trainer = setup.make_trainer(trained, checked_env(trained))
    part = functools.partial(evaluation.evaluation_params, trained)  # the replay is not read
    try:
        step = _step(folder / "checkpoints", at)
        seeds = checkpoint.seeds_of(folder / "checkpoints", saved["seeds"], step)
        shape = scaling.state_shape(trainer, len(seeds))
        found = _restore(folder / "checkpoints", shape, step, part)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{folder}: {error}") from error
    for step, reason in found.damaged.items():
        print(f"checkpoint {step} is damaged ({reason}); {found.step} is used", file=sys.stderr)
    params = jax.tree.map(np.array, found.state)
    failed = failures_of(found.metadata)
    for seed, failure in failed.items():
        if failure.checkpoint is not None:
            good, _ = checkpoint.restore(folder / "checkpoints", shape, failure.checkpoint, part)
            place = seeds.index(seed)
            for leaf, was in zip(jax.tree.leaves(params), jax.tree.leaves(good), strict=True):
                leaf[place] = was[place]
    trials = found.metadata["trials"]
    loaded = LoadedRun(AgentPrograms(trainer.agent), params, seeds, trials, failed)
    return _with(loaded, overrides, folder)


def _step(directory: Path, at: str | int) -> int | None:
    """The checkpoint that is asked for; None: the newest whole one. ValueError for no such one."""
    if at == NEWEST:
        return None
    there = checkpoint.steps(directory)
    if at == BEST:
        step = best_step(checkpoint.read_metadata(directory)["metrics"], there) if there else None
    else:
        step = int(at) if str(at).isdecimal() and int(at) in there else None
    if step is None:
        known = ", ".join(map(str, (NEWEST, BEST, *there)))
        raise ValueError(f"there is no checkpoint {at!r}; valid: {known}")
    return step


def _restore(directory: Path, shape: Any, step: int | None, part: Any) -> checkpoint.Restored:
    if step is None:
        return checkpoint.restore_newest(directory, shape, part)
    state, metadata = checkpoint.restore(directory, shape, step, part)
    return checkpoint.Restored(state, metadata, step, {})


def initial_params(source: str, agent: Agent, seeds: Sequence[int]) -> Initial:
    """Parameters to start a run with.

    Args:
      source: the folder of a run, or the file of an agent.
      agent: of the new run.
      seeds: of the new run. Each gets the parameters of the same seed where there is one.

    Raises:
      ConfigError: there is no such run or agent, or its parameters have other shapes.
    """
    try:
        if Path(source).is_dir():
            loaded = load_run(source)
            params, there, trials = loaded.params, loaded.seeds, loaded.trials
        else:
            agent_there = load_file(source)
            params = jax.tree.map(lambda x: np.asarray(x)[None], agent_there.params)
            there, trials = [agent_there.seed], agent_there.trained_trials
    except ConfigError as error:
        raise ConfigError(f"--init_from={source}: {error}") from error
    template = jax.eval_shape(agent.init, jax.random.key(0))
    one = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), params)
    difference = agent_file.difference(one, template)
    if difference is not None:
        raise ConfigError(
            f"--init_from={source}: {difference}; agent, networks and the sizes of the environment "
            "must be the same"
        )
    places = np.array([there.index(s) if s in there else s % len(there) for s in seeds])
    return Initial(jax.tree.map(lambda x: np.asarray(x)[places], params), trials)


def load_file(file: str | Path) -> TrainedAgent:
    """The agent of a file that `TrainedAgent.save` wrote. Raises ConfigError for other files."""
    return load_agent(file).trained_agent()


def load_agent(file: str | Path, overrides: Mapping[str, Any] | None = None) -> LoadedRun:
    """The agent of such a file as a run of one seed; otherwise as `load_run`."""
    saved = agent_file.read(file)
    agent = registry.make(saved.config, checked_env(saved.config))
    template = jax.eval_shape(agent.init, jax.random.key(0))
    params = jax.tree.map(lambda x: x[None], agent_file.params_of(saved, template, file))
    loaded = LoadedRun(AgentPrograms(agent), params, [saved.seed], saved.trials, {})
    return _with(loaded, overrides, Path(file))


def _with(loaded: LoadedRun, overrides: Mapping[str, Any] | None, path: Path) -> LoadedRun:
    """The run with other settings. Raises ConfigError if they need other parameters."""
    if not overrides:
        return loaded
    config = configs.override(loaded.config, overrides)
    agent = registry.make(config, checked_env(config))
    template = jax.eval_shape(agent.init, jax.random.key(0))
    one = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), loaded.params)
    difference = agent_file.difference(one, template)
    if difference is not None:
        raise ConfigError(f"{path}: {difference}; leave the networks as they were")
    return loaded._replace(programs=AgentPrograms(agent))
