"""Stand-ins for what the authors' code imports and today's packages lack.

Nothing here is copied from those packages. It provides the parts of gym that the code needs,
NumPy's old type names, and objects that accept any call in place of Git and TensorBoard. The
progress bar of the code decides when a trial starts.
"""

import sys
import types
from collections.abc import Iterator
from importlib import machinery
from typing import Any
from unittest import mock

import numpy as np


class Box:
    def __init__(self, low: Any, high: Any, dtype: Any):
        self.low, self.high, self.dtype = np.asarray(low), np.asarray(high), dtype
        self.shape = self.low.shape


class Discrete:
    def __init__(self, n: int):
        self.n = n


class Env:
    @property
    def unwrapped(self) -> Any:
        return self


class Wrapper:
    """Passes on to the wrapped environment whatever it does not define."""

    def __init__(self, env: Any):
        self.env = env

    def __getattr__(self, name: str) -> Any:
        return getattr(self.env, name)

    def reset(self) -> Any:
        return self.env.reset()

    def step(self, action: Any) -> Any:
        return self.env.step(action)


def supply(steps: Iterator[int]) -> None:
    """Puts the stand-ins where the code's imports find them. `steps` drives its training loop."""
    spaces = _module("gym.spaces", Box=Box, Dict=dict, Discrete=Discrete)
    anything = mock.MagicMock()
    for module in (
        spaces,
        _module("gym", Env=Env, Wrapper=Wrapper, spaces=spaces),
        _module("git", Repo=anything),
        _module("tqdm", tqdm=lambda _: steps),
        _module("torch.utils.tensorboard", SummaryWriter=anything),
    ):
        sys.modules[module.__name__] = module
    for name, kind in (("int", int), ("float", float), ("bool", bool)):
        vars(np).setdefault(name, kind)


def _module(name: str, **contents: Any) -> types.ModuleType:
    module = types.ModuleType(name)
    vars(module).update(contents, __spec__=machinery.ModuleSpec(name, None))
    return module


def trial_numbers() -> Iterator[int]:
    """Numbers without the multiples of 100, after which the code logs and evaluates. Even and odd
    numbers alternate."""
    return (n for n in range(2, 10**9) if n % 100 > 1)
