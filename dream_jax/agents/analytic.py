"""Agents whose returns are computed exactly. They act nowhere, and nothing is trained."""

from typing import ClassVar

import numpy as np

from dream_jax.config import Config
from dream_jax.oracles import bounds, pearl_ub
from dream_jax.types import Env


class Analytic:
    """What the analytic agents share. A subclass computes `returns`."""

    name: ClassVar[str]
    analytic: ClassVar[bool] = True
    acts_on_whole_trial: ClassVar[bool] = False
    has_bottleneck: ClassVar[bool] = False

    @classmethod
    def check(cls, config: Config) -> None:
        """Every config can be computed."""

    @staticmethod
    def returns(env: Env, split: str, config: Config) -> np.ndarray:
        """[n] returns on the problems of a split. Raises ValueError where no search is possible."""
        raise NotImplementedError


class Optimal(Analytic):
    """The best possible return: dynamic programming with the problem known."""

    name: ClassVar[str] = "optimal"

    @staticmethod
    def returns(env: Env, split: str, config: Config) -> np.ndarray:
        return bounds.optimal(env, split)


class NoExploration(Analytic):
    """The best return of an agent that has no exploration episode."""

    name: ClassVar[str] = "no_exploration"

    @staticmethod
    def returns(env: Env, split: str, config: Config) -> np.ndarray:
        return bounds.no_exploration(env, split)


class PearlUb(Analytic):
    """Thompson sampling with the exact posterior: an upper bound on PEARL (Section 6)."""

    name: ClassVar[str] = "pearl_ub"

    @staticmethod
    def returns(env: Env, split: str, config: Config) -> np.ndarray:
        return pearl_ub.returns(env, split, config.pearl_ub)
