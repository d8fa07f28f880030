"""The points that a sweep tries, from axes over fields, and which points share one program."""

import dataclasses
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from dream_jax import config as configs
from dream_jax.config import Config, ConfigError
from dream_jax.envs.splits import split_names
from dream_jax.types import Env

# Fields that are numbers inside the compiled program. Points that differ only in these are trained
# side by side in one program. Any other field needs a program for each of its values.
SHARED = (
    "losses.rho",
    "losses.bottleneck_weight",
    "losses.bottleneck_clip",
    "losses.exploration_step_penalty",
    "td.discount",
    "td.trace_lambda",
    "acting.epsilon_min",
    "acting.epsilon_max",
    "acting.random_suffix_fraction",
    "acting.time_shift_fraction",
    "optimizer.learning_rate",
    "optimizer.final_learning_rate_fraction",
    "optimizer.max_gradient_norm",
    "optimizer.weight_decay",
)


class Axis(NamedTuple):
    """One field that is swept: the values of a grid, or the range of a random search."""

    path: str
    values: tuple[str, ...] = ()  # empty for a random search
    low: float = 0.0
    high: float = 0.0
    log: bool = False

    @property
    def random(self) -> bool:
        """Whether this is the range of a random search."""
        return not self.values


class Job(NamedTuple):
    """Points that one program trains."""

    config: Config  # of all the points, except for their SHARED fields
    points: tuple[int, ...]  # numbers of the points


def ranking_split(env: Env) -> str:
    """The split that points are ranked by: "validation", or "train" where there is none."""
    return "validation" if "validation" in split_names(env) else "train"


def axes(argv: Sequence[str]) -> tuple[list[Axis], list[str]]:
    """The axes of --grid and --random, and the other arguments. Raises ConfigError."""
    found, others = [], []
    for argument in argv:
        name, equals, text = argument.partition("=")
        kind = next((k for k in ("grid", "random") if name.startswith(f"--{k}.")), None)
        if kind is None:
            others.append(argument)
            continue
        if not equals:
            raise ConfigError(f"{argument}: write it as {name}=VALUES")
        found.append(axis(name.removeprefix(f"--{kind}."), text, kind == "random"))
    return found, others


def check_axes(config: Config, swept: Sequence[Axis], overrides: Mapping[str, str]) -> None:
    """Raises ConfigError if there is no axis, or one that cannot be swept beside `overrides`."""
    if not swept:
        raise ConfigError("nothing to sweep; give --grid.GROUP.FIELD=VALUES or --random....")
    fields = configs.paths(configs.to_dict(config))
    every = [axis.path for axis in swept]
    for path in every:
        if every.count(path) > 1:
            raise ConfigError(f"{path} is swept twice; give one --grid or --random of it")
        if path in overrides:
            raise ConfigError(f"{path} is swept and set; leave out --config.{path}")
        if path == "preset":
            raise ConfigError("preset is only a name; sweep agent, or run a sweep of each --config")
        if isinstance(fields.get(path), list | tuple):
            raise ConfigError(f"{path} is a list and cannot be swept; give --config.{path}")


def axis(path: str, text: str, random: bool) -> Axis:
    """The axis of "1e-4,1e-3" for a grid, "1e-4:1e-2" or "1e-4:1e-2:log" for a random search.

    Raises:
      ConfigError: any other text.
    """
    if not random:
        values = tuple(word.strip() for word in text.split(",") if word.strip())
        if not values or len(set(values)) < len(values):
            raise ConfigError(f"--grid.{path}={text}: distinct values, separated by commas")
        return Axis(path, values)
    low, _, rest = text.partition(":")
    high, _, scale = rest.partition(":")
    try:
        ends = float(low), float(high)
    except ValueError:
        ends = math.nan, math.nan
    log = scale == "log"
    if not (0 < ends[1] - ends[0] < math.inf) or scale not in ("", "log") or (log and ends[0] <= 0):
        raise ConfigError(
            f"--random.{path}={text}: give LOW:HIGH or, with LOW above 0, LOW:HIGH:log"
        )
    return Axis(path, low=ends[0], high=ends[1], log=log)


def points(config: Config, swept: Sequence[Axis], samples: int) -> list[dict[str, str]]:
    """{path: value} of every point: the whole grid, or `samples` random points of it."""
    grid = [axis for axis in swept if not axis.random]
    ranges = [axis for axis in swept if axis.random]
    product = [
        dict(zip([axis.path for axis in grid], values, strict=True))
        for values in itertools.product(*(axis.values for axis in grid))
    ]
    if not ranges:
        return product
    random = np.random.default_rng(0)
    fields = configs.paths(configs.to_dict(config))
    found = []
    for _ in range(samples):
        point = dict(product[random.integers(len(product))])
        for axis in ranges:
            low, high = (math.log(x) if axis.log else x for x in (axis.low, axis.high))
            drawn = random.uniform(low, high)
            drawn = math.exp(drawn) if axis.log else drawn
            whole = isinstance(fields.get(axis.path), int)
            point[axis.path] = str(round(drawn)) if whole else f"{drawn:.6g}"
        found.append(point)
    return found


def shared_values(config: Config) -> dict[str, float]:
    """The SHARED fields of a config."""
    fields = configs.paths(configs.to_dict(config))
    return {path: float(fields[path]) for path in SHARED}


def with_values(config: Config, values: Mapping[str, Any]) -> Config:
    """`config` with SHARED fields replaced, by numbers or by traced arrays []; not validated."""
    for path, value in values.items():
        group, field = path.split(".")
        part = getattr(config, group)
        config = dataclasses.replace(config, **{group: dataclasses.replace(part, **{field: value})})
    return config


def jobs(every: Sequence[Config], points_per_job: int) -> list[Job]:
    """Jobs of points that share a program, each of at most `points_per_job` points."""
    groups: dict[str, list[int]] = {}
    for number, config in enumerate(every):
        common = with_values(config, dict.fromkeys(SHARED, 0.0))
        groups.setdefault(json.dumps(configs.to_dict(common), sort_keys=True), []).append(number)
    return [
        Job(every[group[0]], tuple(group[k : k + points_per_job]))
        for group in groups.values()
        for k in range(0, len(group), points_per_job)
    ]
