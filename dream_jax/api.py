"""The library's front door: make an environment, train, load a trained agent.

All functions raise `ConfigError`, with one line that names the value, for bad input.
"""

import contextlib
import functools
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dream_jax import envs
from dream_jax.config import ConfigError
from dream_jax.runs import jax_setup, pretrained, resolve
from dream_jax.runs import lines as reference_lines
from dream_jax.runs.analytic import ComputedRun
from dream_jax.runs.extend import StoppedWhileAdding, start
from dream_jax.runs.files import holds_files
from dream_jax.runs.folder import LARGEST_SEEDS, RunRequest, check_folder, saved_run
from dream_jax.runs.load import load_file, load_run
from dream_jax.runs.loop import OnEvaluation, Run
from dream_jax.runs.on_disk import OnDisk
from dream_jax.runs.signals import StopSignal
from dream_jax.runs.storage import InMemory
from dream_jax.runs.trained_agent import TrainedAgent
from dream_jax.types import Env


def make(name: str, **options: Any) -> Env:
    """The environment of a benchmark, or of MODULE:CLASS.

    Args:
      name: "cooking", "bus", "map", "distracting_bus", "sign", or a class of your own.
      options: of the environment, for example horizon=20. Its class docstring lists them.
    """
    _set_up_jax()
    resolve.check_benchmark(name)
    try:
        return envs.make(name, **options)
    except (TypeError, ValueError) as error:  # an option that there is not, or a bad value of one
        raise ConfigError(f"{name}: {error}") from error


def train(
    benchmark: str,
    preset: str = "dream",
    *,
    seeds: int | None = None,
    first_seed: int | None = None,
    smoke: bool = False,
    overrides: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    allow_changes: bool = False,
    init_from: str | Path | None = None,
    lines: Sequence[str | Path] = (),
    on_evaluation: OnEvaluation | None = None,
    verbose: bool = True,
) -> Run | ComputedRun:
    """Train agents, and return the run when it has finished or was stopped.

    A run stops after the current chunk when `on_evaluation` returns False. In the main thread it
    also stops at Ctrl-C or a notebook's Stop button. `run.train()` then goes on.

        import time
        import dream_jax as dj

        began = time.time()
        run = dj.train("map", on_evaluation=lambda event: time.time() - began < 60)
        run.rows[-1]["test_return"]
        run.train()  # to the end

    Args:
      benchmark: as for `make`.
      preset: one of `presets.names()`.
      seeds: how many seeds train side by side; by default 1, or those of the resumed run.
      first_seed: the first of them; by default 0, or that of the resumed run.
      smoke: train at a tiny size, for a test of the machinery.
      overrides: settings by dotted path: {"training.trials": 25_600}. Text is read as on the
        command line. `smoke` comes first.
      out: a folder for config.json, metrics.jsonl, checkpoints and so on, as the command line
        writes them. None: no file is written, except compiled programs in JAX's cache.
      resume: go on with the run in `out`, from its newest whole checkpoint. It may get more trials
        and more seeds.
      overwrite: replace the run in `out`.
      allow_changes: of a resumed run, of any setting that keeps the shapes of its arrays.
      init_from: the folder of a run, or the file of an agent, whose parameters come first.
      lines: folders of finished runs of the presets `told` and `never_explores`. They are drawn,
        and normalise returns where the exact ones are not known.
      on_evaluation: is called after each evaluation with an `Evaluation`: `run`, `rows`, `trials`
        and `line`.
      verbose: print lines of progress.

    Returns:
      A `Run`. Its `rows` are those of metrics.jsonl, its `summary` that of summary.json, and
      `agent(seed)` gives a trained agent. For presets that are computed, not trained: a
      `ComputedRun` with rows and summary.

    Raises:
      ConfigError: a setting, or the folder, cannot be used. Nothing has been written.
      FloatingPointError: a loss of every seed is NaN or infinite. Earlier checkpoints are good. A
        seed that fails alone is in `failed` of the run.
      OSError: a file cannot be written, for example because the disk is full.
    """
    started_s = time.time()
    _set_up_jax()
    with _in_python():
        config = resolve.preset(benchmark, preset, smoke, overrides)
        if out is None and (resume or overwrite):
            raise ConfigError("resume and overwrite need out=DIR")
        if resume and overwrite:
            raise ConfigError("resume and overwrite exclude each other; give one")
        if allow_changes and not resume:
            raise ConfigError("allow_changes is for resume=True; give both")
        folder = None if out is None else _path("out", out)
        numbers = _seeds(seeds, first_seed, folder if resume else None)
        source = None if init_from is None else str(_path("init_from", init_from))
        request = RunRequest(
            config, folder or Path(), numbers, resume, overwrite, allow_changes, source
        )
        if lines:
            folders = [str(_path("lines", path)) for path in lines]
            request = request._replace(lines=reference_lines.read(folders, config))
        if folder is not None:
            check_folder(request)
        if not request.extendable:
            storage = InMemory() if folder is None else OnDisk(request)
            return ComputedRun(config, numbers, storage, started_s)
        log: Callable[[str], None] = functools.partial(print, flush=True) if verbose else _quiet
        if folder is None:
            run = Run(config, numbers, InMemory(source, request.lines), started_s, log=log)
        else:
            try:
                run = start(request, started_s, StopSignal.of_library, log)
            except StoppedWhileAdding as stopped:
                raise ConfigError(str(stopped)) from stopped
    if run.finished:
        log(f"{run.out}: finished; nothing to do")
        return run
    return run.train(on_evaluation)


def load(path: str | Path, seed: int | None = None) -> TrainedAgent:
    """A trained agent.

    Args:
      path: the folder of a run, whose newest checkpoint is read; a file of `agent.save`; or
        "pretrained:NAME" for an agent that ships with the library, for example
        "pretrained:cooking".
      seed: of a folder, which seed's agent; by default the first.
    """
    _set_up_jax()
    with _in_python():
        if str(path).startswith(pretrained.PREFIX):
            return _of_seed(pretrained.load(str(path).removeprefix(pretrained.PREFIX)), path, seed)
        path = Path(path)
        if path.is_dir():
            return load_run(path).trained_agent(seed)
        if not path.exists():
            raise ConfigError(
                f"{path} does not exist; give the folder of a run, or an agent's file"
            )
        return _of_seed(load_file(path), path, seed)


def _of_seed(agent: TrainedAgent, path: str | Path, seed: int | None) -> TrainedAgent:
    if seed not in (None, agent.seed):
        raise ConfigError(f"seed={seed}: {path} holds the agent of seed {agent.seed}")
    return agent


def _seeds(seeds: Any, first_seed: Any, resumed: Path | None) -> tuple[int, ...]:
    """The seeds to train. resumed: the folder of the run that goes on."""
    there = [0]
    if resumed is not None and resumed.is_dir() and holds_files(resumed):
        there = saved_run(resumed)["seeds"]
    seeds = len(there) if seeds is None else seeds
    first_seed = there[0] if first_seed is None else first_seed
    for name, value, least in (("seeds", seeds, 1), ("first_seed", first_seed, 0)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ConfigError(f"{name}={value!r} must be a whole number, {least} or more")
    if seeds > LARGEST_SEEDS:
        raise ConfigError(f"seeds={seeds} must be at most {LARGEST_SEEDS:,}")
    if first_seed + seeds > 2**31:
        raise ConfigError(f"first_seed={first_seed} must be at most {2**31 - seeds}")
    return tuple(range(first_seed, first_seed + seeds))


def _path(name: str, value: Any) -> Path:
    if not isinstance(value, str | Path):
        raise ConfigError(f"{name}={value!r} is not a path; for example {name}='runs/map'")
    return Path(value)


@functools.cache
def _set_up_jax() -> None:
    """Once, before JAX touches its devices."""
    jax_setup.set_up_jax(len(jax_setup.cores()))


def _quiet(line: str) -> None:
    pass


@contextlib.contextmanager
def _in_python() -> Iterator[None]:
    """Messages about flags of the command line, such as --resume, name arguments instead."""
    try:
        yield
    except ConfigError as error:
        text = re.sub(r"--(resume|overwrite|allow_changes)\b", r"\1=True", str(error))
        text = re.sub(r"--config\.", "", text)
        text = re.sub(r"--(out|seeds|first_seed|config|init_from|lines)=", r"\1=", text)
        if text == str(error):
            raise
        raise ConfigError(text) from error
