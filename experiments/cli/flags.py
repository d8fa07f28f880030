"""The command line of every experiment: flags, overrides, output folder."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from absl import flags

from dream_jax import config as configs
from dream_jax import envs, presets, validation
from dream_jax.config import Config, ConfigError
from dream_jax.envs.adapters import own
from dream_jax.runs.folder import RunRequest, check_folder


class Flags(NamedTuple):
    config: str
    overrides: dict[str, str]  # by dotted path, from --config.PATH=VALUE
    out: Path
    seeds: int
    smoke: bool
    resume: bool
    overwrite: bool


def read_flags(
    benchmark: str,
    argv: list[str],
    names: Sequence[str] = presets.names(),
    default_seeds: int = 1,
) -> Flags:
    """Flags of `python -m experiments.<benchmark>`; the first of `names` is the default config."""
    values = flags.FlagValues()
    flags.DEFINE_string(
        "config",
        names[0],
        f"a preset ({', '.join(names)}) or a JSON file; --config.GROUP.FIELD=VALUE "
        "overrides any field",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "seeds", default_seeds, "how many seeds, trained side by side", flag_values=values
    )
    flags.DEFINE_bool("smoke", False, "tiny sizes, ends within seconds", flag_values=values)
    define_folder_flags(values, f"runs/{benchmark.replace(':', '.')}", "run")

    plain, overrides = split_overrides(argv)
    parse_flags(module_of(benchmark), values, plain)
    if values.seeds < 1:
        raise ConfigError(f"--seeds={values.seeds} must be at least 1")
    return Flags(
        values.config,
        overrides,
        Path(values.out),
        values.seeds,
        values.smoke,
        values.resume,
        values.overwrite,
    )


def parse(benchmark: str, argv: list[str]) -> RunRequest:
    """Arguments of `python -m experiments.<benchmark>`. Raises ConfigError, one clear line."""
    given = read_flags(benchmark, argv)
    return checked_arguments(read_config(benchmark, given), given)


def read_config(benchmark: str, given: Flags) -> Config:
    """The preset or file that was asked for, with its overrides. Raises ConfigError."""
    config = _load(benchmark, given.config)
    if given.smoke:
        config = presets.smoke(config)
    config = configs.override(config, given.overrides)
    if config.benchmark != benchmark:
        check_benchmark(config.benchmark)
        raise ConfigError(
            f"config benchmark {config.benchmark!r}: run it with `python -m experiments."
            f"{module_of(config.benchmark)}`, or set --config.benchmark={benchmark}"
        )
    checked_env(config)
    return config


def check_benchmark(name: str) -> None:
    """Raises ConfigError for one that there is not."""
    if name not in envs.ENVIRONMENTS and not own.is_own(name):
        near = configs.nearest(name, sorted(envs.ENVIRONMENTS))
        raise ConfigError(f"unknown benchmark {name!r}; {near}, or MODULE:CLASS of your own")


def module_of(benchmark: str) -> str:
    """What `python -m experiments.` runs for it."""
    return f"own_problem {benchmark}" if own.is_own(benchmark) else benchmark


def checked_arguments(config: Any, given: Flags) -> RunRequest:
    """Arguments of a run. Raises ConfigError if its folder is not one that they may use."""
    seeds = tuple(range(given.seeds))
    arguments = RunRequest(config, given.out, seeds, given.resume, given.overwrite)
    check_folder(arguments)
    return arguments


def split_overrides(argv: list[str]) -> tuple[list[str], dict[str, str]]:
    """The other arguments, and {"td.discount": "0.9"} of --config.td.discount=0.9."""
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


def define_folder_flags(values: flags.FlagValues, default: str, what: str) -> None:
    """--out, and what is to be done with a folder that has something in it."""
    flags.DEFINE_string("out", default, "output folder", flag_values=values)
    flags.DEFINE_bool("resume", False, f"go on with the {what} in --out", flag_values=values)
    flags.DEFINE_bool("overwrite", False, f"delete the {what} in --out", flag_values=values)
    flags.register_multi_flags_validator(
        ["resume", "overwrite"],
        lambda given: not (given["resume"] and given["overwrite"]),
        "--resume and --overwrite exclude each other; give one",
        flag_values=values,
    )


def parse_flags(module: str, values: flags.FlagValues, argv: list[str]) -> None:
    """Sets the flags of `python -m experiments.<module>`; with --help shows them and exits.

    Raises ConfigError for a bad value and for what is left over.
    """
    rest = known_flags(module, values, argv)
    if rest:
        known = [f"--{name}" for name in values]
        raise ConfigError(f"unknown argument {rest[0]!r}; {configs.nearest(rest[0], known)}")


def known_flags(
    module: str, values: flags.FlagValues, argv: list[str], about: str = ""
) -> list[str]:
    """The same, but what `values` does not know is returned; `about`: more to show for --help."""
    flags.DEFINE_bool("help", False, "show this", short_name="h", flag_values=values)
    try:
        rest = values(["experiment", *argv], known_only=True)[1:]
    except flags.Error as error:
        raise ConfigError(str(error).replace("\n", " ")) from error
    if values.help:
        print(f"python -m experiments.{module} [flags]\n{about}{values.get_help()}")
        sys.exit(0)
    return rest


def checked_env(config: Config) -> Any:
    """The environment of a config. Raises ConfigError if it cannot be made, or trained on so."""
    try:
        env = envs.from_config(config.benchmark, config.env)
    except (ValueError, ImportError) as error:  # the latter: textures of a package that is missing
        whole = own.is_own(config.benchmark)  # else the message begins with the option's name
        raise ConfigError(f"{error}" if whole else f"env.{error}") from error
    validation.validate(config, env.num_actions)
    return env


def _load(benchmark: str, name: str) -> Config:
    if name not in presets.names() and (os.path.sep in name or name.endswith(".json")):
        return configs.load(name)
    return presets.get(benchmark, name)
