"""The command line of every experiment: flags, overrides, output folder. Writes nothing."""

import json
import os
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

from absl import flags

from dream_jax import config as configs
from dream_jax import envs, validation
from dream_jax.config import Config, ConfigError
from dream_jax.logging import write_json
from experiments import presets

RUN_FILE = "config.json"
# All that a run writes into its folder, and all that --overwrite deletes.
RUN_NAMES = (
    RUN_FILE,
    "metrics.jsonl",
    "summary.json",
    "curves.png",
    "checkpoints",
    "videos",
    "tensorboard",
)


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

    plain, overrides = split_overrides(argv)
    rest = parse_flags(values, plain)
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
        if config.benchmark not in envs.ENVIRONMENTS:
            near = configs.nearest(config.benchmark, sorted(envs.ENVIRONMENTS))
            raise ConfigError(f"unknown benchmark {config.benchmark!r}; {near}")
        raise ConfigError(
            f"config benchmark {config.benchmark!r}: run it with `python -m experiments."
            f"{config.benchmark}`, or set --config.benchmark={benchmark}"
        )
    try:
        env = envs.from_config(benchmark, config.env)
    except ValueError as error:
        raise ConfigError(f"env.{error}") from error
    validation.validate(config, env.num_actions)
    if values.seeds < 1:
        raise ConfigError(f"--seeds={values.seeds} must be at least 1")
    if values.resume and values.overwrite:
        raise ConfigError("--resume and --overwrite exclude each other; give one")
    arguments = Arguments(
        config, Path(values.out), tuple(range(values.seeds)), values.resume, values.overwrite
    )
    _check_folder(arguments)
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


def parse_flags(values: flags.FlagValues, argv: list[str]) -> list[str]:
    """Sets the flags; returns what is left over. Raises ConfigError."""
    try:
        return values(["experiment", *argv], known_only=True)[1:]
    except flags.Error as error:
        raise ConfigError(str(error).replace("\n", " ")) from error


def prepare_folder(arguments: Arguments, saved: dict) -> None:
    """Make the output folder, rid of an old run if that was asked for, with its config.json."""
    out = arguments.out
    try:
        if arguments.overwrite:
            for path in (out / name for name in RUN_NAMES):
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)
        out.mkdir(parents=True, exist_ok=True)
        if not (out / RUN_FILE).exists():
            write_json(out / RUN_FILE, saved)
    except OSError as error:
        raise ConfigError(f"--out={out}: {error.strerror}; give a folder of your own") from error


def _load(benchmark: str, name: str) -> Config:
    if name not in presets.PRESETS and (os.path.sep in name or name.endswith(".json")):
        return configs.load(name)
    return presets.preset(benchmark, name)


def _check_folder(arguments: Arguments) -> None:
    try:
        _check_usable(arguments)
    except OSError as error:  # a name too long, a folder that may not be read
        raise ConfigError(
            f"--out={arguments.out}: {error.strerror}; give a folder of your own"
        ) from error


def _check_usable(arguments: Arguments) -> None:
    out = arguments.out
    for parent in out.parents:
        if parent.exists() and not parent.is_dir():
            raise ConfigError(f"--out={out}: {parent} is a file, not a folder")
    there = next(path for path in (out, *out.absolute().parents) if path.exists())
    if there.is_dir() and not os.access(there, os.W_OK | os.X_OK):
        raise ConfigError(f"--out={out}: {there} cannot be written to; give another folder")
    if not out.exists():
        return
    if not out.is_dir():
        raise ConfigError(f"--out={out} is a file; give a folder, for example {out}_run")
    if not any(out.iterdir()):
        return
    if not (arguments.resume or arguments.overwrite):
        raise ConfigError(f"--out={out} exists; give another, --resume or --overwrite")
    saved = saved_run(out)
    if arguments.resume:
        _check_same_run(arguments, saved)


def saved_run(out: Path) -> dict:
    """config.json of the run in a folder; whatever else has that name is not ours to touch."""
    try:
        saved = json.loads((out / RUN_FILE).read_text())
        if isinstance(saved["config"], dict) and isinstance(saved["seeds"], list):
            return saved
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise ConfigError(
        f"--out={out} holds files but no run of ours (no {RUN_FILE} of one); give another folder"
    )


def _check_same_run(arguments: Arguments, saved: dict) -> None:
    try:
        old = configs.from_dict(saved["config"])
    except ConfigError as error:
        raise ConfigError(f"--resume: {arguments.out / RUN_FILE}: {error}") from error
    seeds = tuple(saved["seeds"])
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
