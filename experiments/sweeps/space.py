"""What a sweep tries: axes over config fields -> points, and which points share one program."""

import dataclasses
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from dream_jax import config as configs
from dream_jax.config import Config, ConfigError

# Fields that are numbers inside the compiled program: points that differ in nothing else are
# trained side by side in one. Any other field may be swept too, at one program for each value.
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
    """One field: the values of a grid, or the range of a random search."""

    path: str
    values: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False

    @property
    def random(self) -> bool:
        return not self.values


class Job(NamedTuple):
    """Points that one program trains."""

    config: Config  # of them all, but for their SHARED fields
    points: tuple[int, ...]  # their numbers


def axis(path: str, text: str, random: bool) -> Axis:
    """From "1e-4,1e-3" for a grid, "1e-4:1e-2" or "1e-4:1e-2:log" for a random search.

    Raises ConfigError for any other text.
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


def points(config: Config, axes: Sequence[Axis], samples: int) -> list[dict[str, str]]:
    """{path: value} of every point: the grid; or that many random ones, each a draw of its grid."""
    grid = [axis for axis in axes if not axis.random]
    ranges = [axis for axis in axes if axis.random]
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
    """Points that share a program together, at most so many to a job."""
    groups: dict[str, list[int]] = {}
    for number, config in enumerate(every):
        common = with_values(config, dict.fromkeys(SHARED, 0.0))
        groups.setdefault(json.dumps(configs.to_dict(common), sort_keys=True), []).append(number)
    return [
        Job(every[group[0]], tuple(group[k : k + points_per_job]))
        for group in groups.values()
        for k in range(0, len(group), points_per_job)
    ]
