"""IMPORT (Kamienny et al., 2020): E-RL2 that may also act on an embedding of the problem id.

In alternate trials of meta-training the context is the id's embedding f(mu) in place of that of the
history; TD errors reach whichever was used. An auxiliary loss draws the history's embedding
towards f(mu) at every step, so that what informed trials learned is of use without the id.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from dream_jax.agents import recurrent_q
from dream_jax.agents.whole_trial import Informed, Terms, WholeTrial
from dream_jax.config import Config
from dream_jax.losses.dream import squared_distances
from dream_jax.networks.policies import Encoder
from dream_jax.types import Array, Env, Key, Learner, Params, Trial


class InformedPolicy(NamedTuple):
    history: Params
    q: Params
    encoder: Params  # f


class ImportParams(NamedTuple):
    policy: InformedPolicy


class Import(WholeTrial):
    """The context is h(tau_:t), or f(mu)."""

    loss_names = ("td", "distance")

    def __init__(self, config: Config, env: Env):
        size = config.networks.z_size
        super().__init__(config, env, history_size=size, context_size=size)
        self._encoder = Encoder(config.networks, env.num_problems)

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
        problem = recurrent_q.problem_input(self.env, jnp.zeros((), jnp.int32))
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
        problem = recurrent_q.problem_input(self.env, problem)
        return self._encoder.apply(params.policy.encoder, problem)

    def informed(self, params: ImportParams, problem: Array, use: Array | bool) -> Informed:
        return Informed(use, self.encode(params, problem))

    def terms(self, params: ImportParams, target: ImportParams, trial: Trial, key: Key) -> Terms:
        """Squared TD errors [L + N T], and squared distances |h(tau_:t) - f(mu)|^2 of all slots."""
        del key  # nothing is random
        stream = self.stream(trial)
        history, f = self.remember(params, stream), self.encode(params, trial.problem)

        def used(history: Array, f: Array) -> Array:
            return jnp.where(trial.z_from_decoder, history, f)

        slow = used(self.remember(target, stream), self.encode(target, trial.problem))
        errors, mask = self.td_errors(params, target, stream, used(history, f), slow)
        # f is a constant there: the history follows the id's embedding, not the other way round.
        distance = squared_distances(history, f), stream.mask
        return {"td": (jnp.square(errors), mask), "distance": distance}
