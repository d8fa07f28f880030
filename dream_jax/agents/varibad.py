"""VariBAD (Zintgraf et al., 2020): E-RL2 whose context is a belief that predicts the trial.

Two learners. "belief": a recurrent encoder q(m | tau_:t), a Gaussian at every slot, and the
decoders of rewards and next states, trained on the evidence lower bound (`losses.elbo`).
"policy": Q(s, i, mean, log variance), whose TD errors do not reach the encoder.

`end_to_end.posterior="point"` is the variant that the authors of DREAM compare with: standard
deviation 1e-6, no KL, and TD errors do reach the encoder.
"""

from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dream_jax import specs
from dream_jax.agents import trial_sequence
from dream_jax.agents.trial_sequence import TrialSequence
from dream_jax.agents.whole_trial import WholeTrial
from dream_jax.config import Config
from dream_jax.losses import elbo
from dream_jax.networks.history import TrialDecoder, decoded_sizes
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

POINT_STD = 1e-6
LOG_VARIANCE_LIMIT = 10.0


class BeliefParams(NamedTuple):
    encoder: Params
    decoder: Params


class VariBadParams(NamedTuple):
    policy: Params
    belief: BeliefParams


class VariBad(WholeTrial):
    """The context is the mean and the log variance of the belief."""

    name: ClassVar[str] = "varibad"

    def __init__(self, config: Config, env: Env):
        size = config.end_to_end.latent_size
        super().__init__(config, env, history_size=2 * size, context_size=2 * size)
        self._point = config.end_to_end.posterior == "point"
        self._decoder = TrialDecoder(
            config.networks,
            specs.observation(env),
            trial_sequence.instruction_values(env),
            env.num_actions,
        )
        names = ["td", "kl", "reward_decoder", "state_decoder"]
        if self._point:
            names.remove("kl")
        self._decoded = decoded_sizes(specs.observation(env))
        if not self._decoded:  # pictures and numbers are not decoded
            names.remove("state_decoder")
        self.loss_names = tuple(names)

    @property
    def learners(self) -> Any:
        settings = self.config.optimizer
        warmup = self.config.replay.warmup_trials_exploitation
        policy, belief = (
            Learner(warmup, weight_decay=settings.weight_decay, losses=names)
            for names in (self.loss_names[:1], self.loss_names[1:])
        )
        return VariBadParams(policy, belief)  # type: ignore[arg-type]

    @property
    def loss_weights(self) -> dict[str, float]:
        c = self.config.end_to_end
        return {
            "td": 1.0,
            "kl": c.kl_weight,
            "reward_decoder": c.reward_weight,
            "state_decoder": 1.0,
        }

    def init(self, key: Key) -> VariBadParams:
        keys = jax.random.split(key, 3)
        slots = self._example()
        m = jnp.zeros((1, self.config.end_to_end.latent_size))
        decoder = self._decoder.init(
            keys[2], slots.observation, slots.instruction, slots.action, slots.observation, m
        )
        return VariBadParams(
            self.init_policy(keys[0]), BeliefParams(self.init_history(keys[1]), decoder)
        )

    def history_weights(self, params: VariBadParams) -> Params:
        return params.belief.encoder

    def policy_weights(self, params: VariBadParams) -> Params:
        return params.policy

    def belief(self, history: Array) -> tuple[Array, Array]:
        """Mean and log variance of q(m | tau_:t), of what `History` returns: [..., Z] each."""
        mean, log_variance = jnp.split(history, 2, axis=-1)
        # Bounded: the next belief's KL divides by this variance.
        log_variance = LOG_VARIANCE_LIMIT * jnp.tanh(log_variance / LOG_VARIANCE_LIMIT)
        if self._point:
            log_variance = jnp.full_like(mean, 2.0 * np.log(POINT_STD))
        return mean, log_variance

    def context(self, history: Array) -> Array:
        mean, log_variance = self.belief(history)
        if self._point:  # a constant tells nothing
            return jnp.concatenate([mean, jnp.zeros_like(mean)], axis=-1)
        return jax.lax.stop_gradient(jnp.concatenate([mean, log_variance], axis=-1))

    def decode(
        self, params: VariBadParams, sequence: TrialSequence, m: Array
    ) -> tuple[Array, Array]:
        """The trial as beliefs m [P, Z] predict it: rewards [P, S - 1], logits [P, S - 1, ...]."""
        slots = sequence.slots
        before = jax.tree.map(lambda x: x[:-1], (slots.observation, slots.instruction))
        after = jax.tree.map(lambda x: x[1:], slots.observation)
        return self._decoder.apply(params.belief.decoder, *before, sequence.action[:-1], after, m)

    def loss_terms(
        self, params: VariBadParams, target: VariBadParams, trial: Trial, context: LossContext
    ) -> LossTerms:
        """Squared TD errors [L + N T]; the KL and the decoders' errors of P beliefs, each [P].

        The P beliefs are drawn evenly from those of the trial. Errors are sums over its steps.
        """
        c = self.config.end_to_end
        sequence = self.sequence(trial)
        history = self.remember(params, sequence)
        belief = self.context(history)
        # The target network is given the online belief, as a constant.
        errors, mask = self.td_errors(
            params, target, sequence, belief, jax.lax.stop_gradient(belief)
        )
        mean, log_variance = self.belief(history)

        which_key, noise_key = jax.random.split(context.key)
        order = jnp.argsort(~sequence.mask, stable=True)  # padding comes last
        share = jax.random.uniform(which_key, (c.beliefs_per_trial,))
        which = order[jnp.floor(share * jnp.sum(sequence.mask)).astype(jnp.int32)]
        m = elbo.sample_gaussian(noise_key, mean[which], log_variance[which])

        reward, logits = self.decode(params, sequence, m)
        acted = sequence.acted[:-1]
        known = acted
        if not self.config.trial.rewards_in_exploration:  # hidden from all of the agent
            known = acted & ~sequence.exploring[:-1]
        reward_error = jnp.square(reward - sequence.reward[:-1])
        found = {"reward_decoder": jnp.sum(jnp.where(known, reward_error, 0.0), axis=-1)}
        if "state_decoder" in self.loss_names:
            after = sequence.slots.observation[1:]
            log_p = elbo.component_log_likelihood(logits, after, self._decoded)
            found["state_decoder"] = -jnp.sum(jnp.where(acted, log_p, 0.0), axis=-1)
        if "kl" in self.loss_names:
            # Padding leaves the memory as it is, so that the slot before has the belief before.
            found["kl"] = elbo.filtering_kl(mean, log_variance)[which]
        every = jnp.ones(c.beliefs_per_trial, bool)
        terms = {name: LossTerm(values, every) for name, values in found.items()}
        return {"td": LossTerm(jnp.square(errors), mask)} | terms
