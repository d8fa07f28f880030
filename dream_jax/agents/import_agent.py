"""IMPORT (Kamienny et al., 2020): E-RL2 that may also act on an embedding of the problem id.

In every other trial of meta-training the context is the id's embedding f(mu) instead of the
history's. TD errors reach the one that was used. An auxiliary loss draws the history's embedding
towards f(mu) at every step, so that what informed trials taught also serves without the id.
"""

from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from dream_jax.agents import inputs
from dream_jax.agents.whole_trial import WholeTrial
from dream_jax.agents.whole_trial_networks import Informed
from dream_jax.config import Config
from dream_jax.losses.dream import squared_distances
from dream_jax.types import (
    Array,
    Env,
    Key,
    Learner,
    LossContext,
    LossTerm,
    LossTerms,
    Params,
    Trial,
)


class InformedPolicy(NamedTuple):
    history: Params
    q: Params
    encoder: Params  # f


class ImportParams(NamedTuple):
    policy: InformedPolicy


class Import(WholeTrial):
    """The context is h(tau_:t), or f(mu)."""

    name: ClassVar[str] = "import"
    loss_names = ("td", "distance")

    def __init__(self, config: Config, env: Env):
        size = config.networks.z_size
        super().__init__(config, env, history_size=size, context_size=size)
        self._encoder = inputs.make_encoder(config.networks, env)

    @property
    def learners(self) -> Any:
        settings = self.config.optimizer
        decayed = InformedPolicy(history=True, q=True, encoder=settings.decay_encoder)
        warmup = self.config.replay.warmup_trials_exploitation
        learner = Learner(warmup, weight_decay=settings.weight_decay, decayed=decayed)
        return ImportParams(learner)  # type: ignore[arg-type]

    @property
    def loss_weights(self) -> dict[str, float]:
        return {"td": 1.0, "distance": self.config.end_to_end.distance_weight}

    def init(self, key: Key) -> ImportParams:
        keys = jax.random.split(key, 3)
        problem = inputs.problem_input(self.env, jnp.zeros((), jnp.int32))
        return ImportParams(
            InformedPolicy(
                self.init_history(keys[0]),
                self.init_policy(keys[1]),
                self._encoder.init(keys[2], problem),
            )
        )

    def history_weights(self, params: ImportParams) -> Params:
        return params.policy.history

    def policy_weights(self, params: ImportParams) -> Params:
        return params.policy.q

    def encode(self, params: ImportParams, problem: Array) -> Array:
        """f(mu): [] id -> [C]."""
        problem = inputs.problem_input(self.env, problem)
        return self._encoder.apply(params.policy.encoder, problem)

    def informed(self, params: ImportParams, problem: Array, use: Array | bool) -> Informed:
        return Informed(use, self.encode(params, problem))

    def loss_terms(
        self, params: ImportParams, target: ImportParams, trial: Trial, context: LossContext
    ) -> LossTerms:
        """Squared TD errors [L + N T], and squared distances |h(tau_:t) - f(mu)|^2 of all slots."""
        sequence = self.sequence(trial)
        history, f = self.remember(params, sequence), self.encode(params, trial.problem)

        def used(history: Array, f: Array) -> Array:
            return jnp.where(trial.acts_on_exploration, history, f)

        slow = used(self.remember(target, sequence), self.encode(target, trial.problem))
        errors, mask = self.td_errors(params, target, sequence, used(history, f), slow)
        # f is a constant in it: the history follows the id's embedding, not the reverse.
        distance = LossTerm(squared_distances(history, f), sequence.mask)
        return {"td": LossTerm(jnp.square(errors), mask), "distance": distance}
