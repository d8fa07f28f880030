"""The command line of every experiment: flags, overrides, output folder. Writes nothing."""

import json
import os
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

from absl import flags

from dream_jax import config as configs
from dream_jax import envs
from dream_jax.config import Config, ConfigError
from experiments import presets

RUN_FILE = "config.json"


class Arguments(NamedTuple):
    config: Config
    out: Path
    seeds: tuple[int, ...]
    resume: bool
    overwrite: bool


def parse(benchmark: str, argv: list[str]) -> Arguments:
    """Arguments of `python -m experiments.<benchmark>`. Raises ConfigError, one clear line."""
    values = flags.FlagValues()
    flags.DEFINE_string(
        "config",
        "dream",
        f"a preset ({', '.join(presets.PRESETS)}) or a JSON file; --config.GROUP.FIELD=VALUE "
        "overrides any field",
        flag_values=values,
    )
    flags.DEFINE_string("out", f"runs/{benchmark}", "output folder", flag_values=values)
    flags.DEFINE_integer("seeds", 1, "how many seeds, trained side by side", flag_values=values)
    flags.DEFINE_bool("smoke", False, "tiny sizes, ends within seconds", flag_values=values)
    flags.DEFINE_bool("resume", False, "go on from the newest checkpoint", flag_values=values)
    flags.DEFINE_bool("overwrite", False, "delete an existing run in --out", flag_values=values)
    flags.DEFINE_bool("help", False, "show this", short_name="h", flag_values=values)

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
    try:
        rest = values(["experiment", *plain], known_only=True)[1:]
    except flags.Error as error:
        raise ConfigError(str(error).replace("\n", " ")) from error
    if values.help:
        print(f"python -m experiments.{benchmark} [flags]\n{values.get_help()}")
        sys.exit(0)
    if rest:
        known = [f"--{name}" for name in values]
        raise ConfigError(f"unknown argument {rest[0]!r}; {configs.nearest(rest[0], known)}")

    config = _load(benchmark, values.config)
    if values.smoke:
        config = presets.smoke(config)
    config = configs.override(config, overrides)
    if config.benchmark != benchmark:
        raise ConfigError(
            f"config benchmark {config.benchmark!r}: run it with `python -m experiments."
            f"{config.benchmark}`"
        )
    try:
        env = envs.make(benchmark, horizon=config.env.horizon)
    except ValueError as error:
        raise ConfigError(f"env.{error}") from error
    configs.validate(config, env.num_actions)
    if values.seeds < 1:
        raise ConfigError(f"--seeds={values.seeds} must be at least 1")
    if values.resume and values.overwrite:
        raise ConfigError("--resume and --overwrite exclude each other; give one")
    arguments = Arguments(
        config, Path(values.out), tuple(range(values.seeds)), values.resume, values.overwrite
    )
    _check_folder(arguments)
    return arguments


def prepare_folder(arguments: Arguments, saved: dict) -> None:
    """Make the output folder, emptied if that was asked for, with `saved` as its config.json."""
    from dream_jax.logging import write_json

    if arguments.overwrite and arguments.out.exists():
        shutil.rmtree(arguments.out)
    arguments.out.mkdir(parents=True, exist_ok=True)
    if not (arguments.out / RUN_FILE).exists():
        write_json(arguments.out / RUN_FILE, saved)


def _load(benchmark: str, name: str) -> Config:
    if name not in presets.PRESETS and (os.path.sep in name or name.endswith(".json")):
        return configs.load(name)
    return presets.preset(benchmark, name)


def _check_folder(arguments: Arguments) -> None:
    out = arguments.out
    for parent in out.parents:
        if parent.exists() and not parent.is_dir():
            raise ConfigError(f"--out={out}: {parent} is a file, not a folder")
    if not out.exists():
        return
    if not out.is_dir():
        raise ConfigError(f"--out={out} is a file; give a folder, for example {out}_run")
    if not any(out.iterdir()):
        return
    if not (arguments.resume or arguments.overwrite):
        raise ConfigError(f"--out={out} exists; give another, --resume or --overwrite")
    if not (out / RUN_FILE).is_file():
        raise ConfigError(f"--out={out} holds files but no run of ours; give another folder")
    if arguments.resume:
        _check_same_run(arguments)


def _check_same_run(arguments: Arguments) -> None:
    try:
        saved = json.loads((arguments.out / RUN_FILE).read_text())
        old = configs.from_dict(saved["config"])
        seeds = tuple(saved["seeds"])
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"--out={arguments.out}: unreadable {RUN_FILE}: {error}") from error
    if seeds != arguments.seeds:
        raise ConfigError(
            f"--resume: {arguments.out} was trained with --seeds={len(seeds)}, not "
            f"{len(arguments.seeds)}"
        )
    differing = configs.differences(old, arguments.config)
    if differing:
        path, (was, now) = next(iter(differing.items()))
        raise ConfigError(
            f"--resume: {arguments.out} was trained with {path}={was!r}, not {now!r}"
            + (f" (and {len(differing) - 1} more)" if len(differing) > 1 else "")
        )
