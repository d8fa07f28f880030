"""The command line of every experiment: flags, overrides, output folder."""

import json
import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from absl import flags

from dream_jax import config as configs
from dream_jax import envs, validation
from dream_jax.config import Config, ConfigError
from dream_jax.envs.adapters import own
from dream_jax.presets import methods as presets
from dream_jax.runs.metrics import write_json

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
    "report.html",
    # of experiments.bandit
    "complexity.csv",
    "complexity.png",
    "complexity.svg",
    "curves.csv",
    "figure3.png",
    "figure3.svg",
)


class Arguments(NamedTuple):
    config: Any  # Config, or what an experiment has instead
    out: Path
    seeds: tuple[int, ...]
    resume: bool
    overwrite: bool


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
    names: Sequence[str] = presets.PRESETS,
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


def parse(benchmark: str, argv: list[str]) -> Arguments:
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


def checked_arguments(config: Any, given: Flags) -> Arguments:
    """Arguments of a run. Raises ConfigError if its folder is not one that they may use."""
    seeds = tuple(range(given.seeds))
    arguments = Arguments(config, given.out, seeds, given.resume, given.overwrite)
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


def refuse_files(out: Path) -> None:
    """Raises ConfigError if `out` cannot be written to, or it or what it would be in is a file."""
    try:
        if out.exists() and not out.is_dir():
            raise ConfigError(f"--out={out} is a file; give a folder, for example {out}_run")
        for parent in out.parents:
            if parent.exists() and not parent.is_dir():
                raise ConfigError(f"--out={out}: {parent} is a file, not a folder")
        there = next(path for path in (out, *out.absolute().parents) if path.exists())
    except OSError as error:  # a name too long, a folder that may not be read
        raise ConfigError(f"--out={out}: {error.strerror}; give a folder of your own") from error
    if there.is_dir() and not os.access(there, os.R_OK | os.W_OK | os.X_OK):
        raise ConfigError(f"--out={out}: {there} cannot be written to; give another folder")


def prepare_folder(arguments: Arguments, saved: dict) -> None:
    """Make the output folder, rid of an old run if that was asked for, with its config.json."""
    out = arguments.out
    try:
        if arguments.overwrite:
            delete(out, RUN_NAMES)
        out.mkdir(parents=True, exist_ok=True)
        if not (out / RUN_FILE).exists():
            write_json(out / RUN_FILE, saved)
    except OSError as error:
        raise ConfigError(f"--out={out}: {error.strerror}; give a folder of your own") from error


def refuse_differences(out: Path, old: Config, new: Config) -> None:
    """Raises ConfigError if a run with the one config cannot go on with the other."""
    differing = configs.differences(old, new)
    if differing:
        path, (was, now) = next(iter(differing.items()))
        raise ConfigError(
            f"--resume: {out} was trained with {path}={was!r}, not {now!r}"
            + (f" (and {len(differing) - 1} more)" if len(differing) > 1 else "")
        )


def delete(out: Path, names: Iterable[str]) -> None:
    """Files and folders of these names in `out`; what a link points at is left alone."""
    for path in (out / name for name in names):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _load(benchmark: str, name: str) -> Config:
    if name not in presets.PRESETS and (os.path.sep in name or name.endswith(".json")):
        return configs.load(name)
    return presets.preset(benchmark, name)


def _check_folder(arguments: Arguments) -> None:
    out = arguments.out
    refuse_files(out)
    if not out.exists() or not any(out.iterdir()):
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
        old = configs.from_dict(saved["config"], type(arguments.config))
    except ConfigError as error:
        raise ConfigError(f"--resume: {arguments.out / RUN_FILE}: {error}") from error
    seeds = tuple(saved["seeds"])
    if seeds != arguments.seeds:
        raise ConfigError(
            f"--resume: {arguments.out} was trained with --seeds={len(seeds)}, not "
            f"{len(arguments.seeds)}"
        )
    refuse_differences(arguments.out, old, arguments.config)
