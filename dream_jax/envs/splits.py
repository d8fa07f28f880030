"""Splits of problem ids: "train", "test" and, while settings are chosen, "validation"."""

import copy
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from dream_jax import problems as problem_sets
from dream_jax.types import Env

_SEED = 20_200_806  # of the draw, the same in every run


_ORDER = ("train", "validation", "test")


def in_order(found: Iterable[str]) -> list[str]:
    """Names of splits as files and messages list them. A jitted function sorts them by letter."""
    return sorted(found, key=_ORDER.index)


def split_names(env: Env) -> tuple[str, ...]:
    """The splits of a family: "train" and "test", and "validation" where it has one."""
    return getattr(env, "split_names", ("train", "test"))


def held_out(env: Env) -> bool:
    """Whether test problems differ from those of training."""
    if not problem_sets.is_listed(env):
        return True
    ids = [set(env.problem_ids(split).tolist()) for split in ("train", "test")]
    return ids[0] != ids[1]


def with_validation(env: Env, problems: int) -> Env:
    """The same family with a "validation" split, taken out of the training problems.

    The draw depends only on the training ids and on `problems`, so all runs of a sweep share it.
    "test" stays as it is. Where the family trains and tests on the same ids, it keeps those that
    are now for validation.

    Args:
      env: a family without this split. It is not changed.
      problems: how many to take.

    Raises:
      ValueError: there is such a split already, or no training problem would be left.
    """
    if "validation" in split_names(env):
        raise ValueError(f"validation_problems={problems}: {env.name} has such a split; use 0")
    train = env.problem_ids("train")
    if not 1 <= problems < len(train):
        raise ValueError(
            f"validation_problems={problems}: {env.name} trains on {len(train)} problems, so it "
            f"must be at most {len(train) - 1}"
        )
    drawn = np.random.default_rng(_SEED).choice(train, problems, replace=False)
    splits = {"train": np.setdiff1d(train, drawn), "validation": np.sort(drawn)}

    getattr(env, "close", lambda: None)()  # processes of a host family; the copy starts its own
    # A copy keeps the class and whatever else the family offers.
    changed = copy.copy(env)
    changed.problem_ids = _ProblemIds(env, splits)  # type: ignore[assignment]
    changed.split_names = ("train", "validation", "test")  # type: ignore[attr-defined]
    return changed


class _ProblemIds(NamedTuple):
    """`problem_ids` of a family with other splits; no closure, so that it can go to processes."""

    env: Env
    splits: dict[str, np.ndarray]

    def __call__(self, split: str) -> np.ndarray:
        return self.splits[split] if split in self.splits else self.env.problem_ids(split)
