"""E-RL2: RL^2 (Duan et al., 2016; Wang et al., 2016) trained on exploitation returns only.

One recurrent policy acts in the whole trial, and the return of exploration does not count, as in
Stadie et al. (2018) and the comparison of Liu et al. (2021, Section 6).
"""

from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from dream_jax.agents.whole_trial import WholeTrial
from dream_jax.config import Config
from dream_jax.types import Env, Key, Learner, LossContext, LossTerm, LossTerms, Params, Trial


class RecurrentPolicy(NamedTuple):
    history: Params
    q: Params


class ERl2Params(NamedTuple):
    policy: RecurrentPolicy


class ERl2(WholeTrial):
    """The context is the history itself. TD errors reach all parameters."""

    name: ClassVar[str] = "e_rl2"

    def __init__(self, config: Config, env: Env):
        size = config.networks.z_size
        super().__init__(config, env, history_size=size, context_size=size)

    @property
    def learners(self) -> Any:
        warmup = self.config.replay.warmup_trials_exploitation
        learner = Learner(warmup, weight_decay=self.config.optimizer.weight_decay)
        return ERl2Params(learner)  # type: ignore[arg-type]

    def init(self, key: Key) -> ERl2Params:
        keys = jax.random.split(key)
        return ERl2Params(RecurrentPolicy(self.init_history(keys[0]), self.init_policy(keys[1])))

    def history_weights(self, params: ERl2Params) -> Params:
        return params.policy.history

    def policy_weights(self, params: ERl2Params) -> Params:
        return params.policy.q

    def loss_terms(
        self, params: ERl2Params, target: ERl2Params, trial: Trial, context: LossContext
    ) -> LossTerms:
        """Squared TD errors of all actions of the trial, [L + N T]."""
        sequence = self.sequence(trial)
        history, slow = self.remember(params, sequence), self.remember(target, sequence)
        errors, mask = self.td_errors(params, target, sequence, history, slow)
        return {"td": LossTerm(jnp.square(errors), mask)}
