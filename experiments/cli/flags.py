"""The flags of a training command: which config, which seeds, which folder."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from dream_jax import config as configs
from dream_jax import presets
from dream_jax.config import Config, ConfigError
from dream_jax.envs.adapters import own
from dream_jax.runs import lines as reference_lines
from dream_jax.runs import loggers, provenance, resolve
from dream_jax.runs.files import holds_files
from dream_jax.runs.folder import (
    LARGEST_SEED,
    LARGEST_SEEDS,
    RUN_FILE,
    RunRequest,
    check_folder,
    refuse_files,
    saved_run,
)
from experiments.cli.command_line import CommandLine


class Flags(NamedTuple):
    """What the command line of a training command says."""

    config: str  # a preset or a file
    overrides: dict[str, str]  # by dotted path, from --config.PATH=VALUE
    out: Path
    seeds: tuple[int, ...]
    smoke: bool
    print_config: bool
    resume: bool
    overwrite: bool
    # What is in the folder of a run that is resumed: it stands for flags that are not given.
    there: dict[str, Any] | None = None
    allow_changes: bool = False
    init_from: str | None = None
    log: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()  # folders


def read_flags(
    benchmark: str,
    argv: Sequence[str],
    names: Sequence[str] = presets.names(),
    default_seeds: int = 1,
    trains: bool = False,
) -> Flags:
    """The flags of `python -m experiments.<benchmark>`.

    Args:
      benchmark: a name or MODULE:CLASS.
      argv: the arguments.
      names: of the presets; the first one is the default.
      default_seeds: how many seeds are trained by default.
      trains: there are flags that only a training run has.

    Raises:
      ConfigError: a bad flag.
    """
    line = CommandLine(f"experiments.{module_of(benchmark)}")
    line.text(
        "config",
        names[0],
        f"a preset ({', '.join(names)}) or a JSON file; --config.GROUP.FIELD=VALUE sets any field",
    )
    line.count("seeds", default_seeds, "number of seeds, trained side by side")
    line.count("first_seed", 0, "the smallest seed; the others follow it", least=0)
    line.switch("smoke", "tiny sizes: learns nothing and ends within seconds")
    line.switch("print_config", "print the resolved config as JSON and exit; writes nothing")
    define_folder_flags(line, f"runs/{benchmark.replace(':', '.')}", "run")
    if trains:
        line.switch("allow_changes", "with --resume: go on with settings that differ")
        line.text(
            "init_from", None, "start with the parameters of this run's folder or agent's file"
        )
        line.text(
            "lines",
            "",
            "finished runs with --config=told and --config=never_explores, separated by a comma; "
            "they are drawn, and normalise returns where the exact ones are not known",
        )
        line.text("log", "", f"where metrics go too, of {', '.join(loggers.NAMES)}: csv,wandb")

    plain, overrides = split_overrides(argv)
    values = line.read(plain)
    there = _there(values)
    if there is not None:  # flags that are not given are as they were
        given_seeds = there["seeds"]
        values.first_seed = values.first_seed if line.given("first_seed") else given_seeds[0]
        values.seeds = values.seeds if line.given("seeds") else len(given_seeds)
    if values.seeds > LARGEST_SEEDS:
        raise ConfigError(f"--seeds={values.seeds} must be at most {LARGEST_SEEDS:,}")
    last = values.first_seed + values.seeds - 1
    if last > LARGEST_SEED:
        raise ConfigError(
            f"--first_seed={values.first_seed} with --seeds={values.seeds} reaches seed {last}; "
            f"the largest is {LARGEST_SEED}"
        )
    return Flags(
        config=values.config,
        overrides=overrides,
        out=Path(values.out),
        seeds=tuple(range(values.first_seed, last + 1)),
        smoke=values.smoke,
        print_config=values.print_config,
        resume=values.resume,
        overwrite=values.overwrite,
        there=None if line.given("config") else there,
        allow_changes=trains and _allow_changes(values),
        init_from=values.init_from if trains else None,
        log=loggers.check(values.log.split(",")) if trains and values.log else (),
        lines=tuple(values.lines.split(",")) if trains and values.lines else (),
    )


def _there(values: Any) -> dict[str, Any] | None:
    """config.json of the run that is to be resumed, if there is one."""
    out = Path(values.out)
    if not values.resume:
        return None
    refuse_files(out)
    return saved_run(out) if holds_files(out) else None


def _allow_changes(values: Any) -> bool:
    if values.allow_changes and not values.resume:
        raise ConfigError("--allow_changes is for --resume; give both")
    return values.allow_changes


def define_folder_flags(line: CommandLine, default: str, kind: str) -> None:
    """Define --out, --resume and --overwrite."""
    line.text("out", default, "output folder")
    line.switch(
        "resume",
        f"continue the {kind} in --out, or start it if there is none; flags that are not given are "
        "as they were",
    )
    line.switch("overwrite", f"delete the {kind} in --out first")
    line.exclusive("resume", "overwrite")


def split_overrides(argv: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """The other arguments, and {"td.discount": "0.9"} for --config.td.discount=0.9."""
    overrides: dict[str, str] = {}
    plain = []
    for argument in argv:
        if argument.startswith("--config."):
            path, equals, value = argument[len("--config.") :].partition("=")
            if not equals:
                raise ConfigError(f"{argument}: write it as --config.{path}=VALUE")
            overrides[path] = value
        else:
            plain.append(argument)
    return plain, overrides


def read_config(benchmark: str, given: Flags) -> Config:
    """The preset or file that the flags name, with its overrides, checked.

    Raises:
      ConfigError: there is none, it is of another benchmark, or a value is not possible.
    """
    if given.there is None:
        config = resolve.finish(_load(benchmark, given.config), given.smoke, given.overrides)
    else:  # whatever it was, also of --smoke
        config = resolve.finish(saved_config(given), False, given.overrides)
    if config.benchmark != benchmark:
        resolve.check_benchmark(config.benchmark)
        raise ConfigError(
            f"config benchmark {config.benchmark!r}: run it with `python -m experiments."
            f"{module_of(config.benchmark)}`, or set --config.benchmark={benchmark}"
        )
    resolve.checked_env(config)
    return config


def saved_config(given: Flags, kind: type = Config) -> Any:
    """The config of the run that is resumed. Raises ConfigError if it cannot be read."""
    try:
        return provenance.config_of(given.there or {}, kind)
    except ConfigError as error:
        raise ConfigError(f"--resume: {given.out / RUN_FILE}: {error}") from error


def run_request(config: Any, given: Flags) -> RunRequest:
    """The run that the flags ask for. Raises ConfigError if it may not use its folder."""
    request = RunRequest(
        config,
        given.out,
        given.seeds,
        given.resume,
        given.overwrite,
        given.allow_changes,
        given.init_from,
        given.log,
    )
    for flag, value in (("init_from", given.init_from), ("lines", ",".join(given.lines))):
        if value and not request.extendable:
            raise ConfigError(f"--{flag}={value}: this preset is computed, not trained")
    if given.lines:
        request = request._replace(lines=reference_lines.read(given.lines, config))
    check_folder(request)
    return request


def parse(benchmark: str, argv: Sequence[str]) -> RunRequest:
    """The run that a command line asks for. Raises ConfigError. Writes nothing."""
    given = read_flags(benchmark, argv, trains=True)
    return run_request(read_config(benchmark, given), given)


def as_json(config: Any) -> str:
    """What --print_config prints; `--config=FILE` reads it back."""
    return json.dumps(configs.to_dict(config), indent=2)


def module_of(benchmark: str) -> str:
    """What follows `python -m experiments.` to train on a benchmark."""
    return f"own_problem {benchmark}" if own.is_own(benchmark) else benchmark


def _load(benchmark: str, name: str) -> Config:
    if name not in presets.names() and (os.path.sep in name or name.endswith(".json")):
        return provenance.load(name)
    return presets.get(benchmark, name)
