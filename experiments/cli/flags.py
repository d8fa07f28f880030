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
from dream_jax.runs import provenance, resolve
from dream_jax.runs.folder import LARGEST_SEEDS, RunRequest, check_folder
from experiments.cli.command_line import CommandLine

_LARGEST_SEED = 2**31 - 1  # seeds are 32-bit integers on the device


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


def read_flags(
    benchmark: str,
    argv: Sequence[str],
    names: Sequence[str] = presets.names(),
    default_seeds: int = 1,
) -> Flags:
    """The flags of `python -m experiments.<benchmark>`.

    Args:
      benchmark: a name or MODULE:CLASS.
      argv: the arguments.
      names: of the presets; the first one is the default.
      default_seeds: how many seeds are trained by default.

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

    plain, overrides = split_overrides(argv)
    values = line.read(plain)
    if values.seeds > LARGEST_SEEDS:
        raise ConfigError(f"--seeds={values.seeds} must be at most {LARGEST_SEEDS:,}")
    last = values.first_seed + values.seeds - 1
    if last > _LARGEST_SEED:
        raise ConfigError(
            f"--first_seed={values.first_seed} with --seeds={values.seeds} reaches seed {last}; "
            f"the largest is {_LARGEST_SEED}"
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
    )


def define_folder_flags(line: CommandLine, default: str, kind: str) -> None:
    """Define --out, --resume and --overwrite."""
    line.text("out", default, "output folder")
    line.switch("resume", f"continue the {kind} in --out, or start it if there is none")
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
    config = resolve.finish(_load(benchmark, given.config), given.smoke, given.overrides)
    if config.benchmark != benchmark:
        resolve.check_benchmark(config.benchmark)
        raise ConfigError(
            f"config benchmark {config.benchmark!r}: run it with `python -m experiments."
            f"{module_of(config.benchmark)}`, or set --config.benchmark={benchmark}"
        )
    resolve.checked_env(config)
    return config


def run_request(config: Any, given: Flags) -> RunRequest:
    """The run that the flags ask for. Raises ConfigError if it may not use its folder."""
    request = RunRequest(config, given.out, given.seeds, given.resume, given.overwrite)
    check_folder(request)
    return request


def parse(benchmark: str, argv: Sequence[str]) -> RunRequest:
    """The run that a command line asks for. Raises ConfigError. Writes nothing."""
    given = read_flags(benchmark, argv)
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
