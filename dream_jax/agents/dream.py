"""DREAM (Liu et al., 2021): decoupled exploration and exploitation; the losses of ONE trial.

`agents.dream_policy` has the networks and how they act. `training.objective` averages these losses
over a batch. Callers vmap over trials.
"""

from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from dream_jax.agents import inputs
from dream_jax.agents.dream_networks import DreamParams
from dream_jax.agents.dream_policy import DreamPolicy
from dream_jax.data import pictures, rollout
from dream_jax.losses import dream as losses
from dream_jax.losses.td import double_q_lambda
from dream_jax.types import Array, Episode, Gather, LossContext, LossTerm, LossTerms, Trial


class Explored(NamedTuple):
    """The exploration of one trial, with what its rewards are computed from."""

    trial: Trial
    episode: Episode  # its exploration, with observations as networks take them
    g: Array  # [L + 1, Z] the decoder's reading of every prefix
    f: Array  # [Z] the encoding of its problem
    spread: Array  # [] of the encodings of the batch, or 1


class Dream(DreamPolicy):
    """DREAM for an environment: pure functions of its parameters."""

    name: ClassVar[str] = "dream"
    loss_names: tuple[str, ...] = ("exploitation_td", "bottleneck", "decoder", "exploration_td")

    @property
    def loss_weights(self) -> dict[str, float]:
        """Lambda of Eq. 2 for the bottleneck; 1 for all others."""
        weights = dict.fromkeys(self.loss_names, 1.0)
        return weights | {"bottleneck": self.config.losses.bottleneck_weight}

    def batch_statistics(self, params: DreamParams, trials: Trial, gather: Gather) -> Array:
        """[] the spread of the encodings in the batch, the unit of information gain; or 1."""
        c = self.config.losses
        if not c.normalise_information_gain:
            return jnp.ones(())
        f = jax.vmap(lambda problem: self.encode(params, problem))(trials.problem)
        return losses.spread(gather(f), c.rho)

    def loss_terms(
        self, params: DreamParams, target: DreamParams, trial: Trial, context: LossContext
    ) -> LossTerms:
        """Eq. 2 for "exploitation"; Eqs. 4 and 5 for "exploration"."""
        f = self.encode(params, trial.problem)
        heads = None  # [F, L + 1, Z], the decoder's reading by each of its heads
        if self.config.losses.td_reaches_decoder and len(context.phases) > 1:
            seen = pictures.as_seen(self.env, trial.exploration)  # one decoding serves both phases
            heads = self._decode(params.exploitation.decoder, seen)
        terms: LossTerms = {}
        if "exploitation" in context.phases:
            terms |= self.exploitation_terms(params, target, trial, f, context, heads)
        if "exploration" in context.phases:
            terms |= self.exploration_terms(params, target, trial, f, context, heads)
        return terms

    def exploitation_terms(
        self,
        params: DreamParams,
        target: DreamParams,
        trial: Trial,
        f: Array,
        context: LossContext,
        heads: Array | None = None,
    ) -> LossTerms:
        """What trains pi_task and the encoder (Eq. 2): squared TD errors [N, T], the penalty [].

        f: [Z] encoding of the trial's problem. heads: [F, L + 1, Z] if they are computed already.
        """
        c = self.config.losses
        z = losses.sample_encoding(context.key, f, c.rho)
        if c.td_reaches_decoder:
            if heads is not None:
                g = jnp.mean(heads[:, jnp.sum(trial.exploration.mask)], axis=0)
            else:
                g = self.read(params, trial.exploration)
            z = jnp.where(trial.acts_on_exploration, g, z)
        if c.bottleneck == "kl":
            bottleneck = losses.bottleneck_kl(f, c.rho)
        else:
            bottleneck = losses.bottleneck_clipped(f, c.bottleneck_clip)
        td = rollout.over_episodes(
            lambda episode, instruction: self._exploitation_td(
                params, target, pictures.as_seen(self.env, episode), instruction, z
            ),
            trial.exploitation,
            trial.instruction,
        )
        return {
            "exploitation_td": LossTerm(jnp.square(td), trial.exploitation.mask),
            "bottleneck": LossTerm(bottleneck, jnp.ones_like(bottleneck, bool)),
        }

    def exploration_terms(
        self,
        params: DreamParams,
        target: DreamParams,
        trial: Trial,
        f: Array,
        context: LossContext,
        heads: Array | None = None,
    ) -> LossTerms:
        """What trains the decoder (Eq. 4), [L + 1], and pi_exp, squared TD errors [L].

        f, heads: as in `exploitation_terms`.
        """
        seen = pictures.as_seen(self.env, trial.exploration)
        if heads is None:
            heads = self._decode(params.exploitation.decoder, seen)
        own, others = self._heads_of(trial.problem)
        explored = Explored(trial, seen, heads[own], f, context.statistics)
        reward = self.exploration_reward(params, target, explored)
        decoder = others @ jax.vmap(losses.decoder_loss, in_axes=(0, None))(heads, f)
        td = self._exploration_td(params, target, seen, reward)
        return {
            "decoder": LossTerm(decoder, prefix_mask(seen)),
            "exploration_td": LossTerm(jnp.square(td), seen.mask),
        }

    def exploration_reward(
        self, params: DreamParams, target: DreamParams, explored: Explored
    ) -> Array:
        """[L] the rewards of pi_exp (Eq. 5), without gradient.

        They are recomputed from the current f and g. The ablations of DREAM pay for something else.
        """
        penalty = self.config.losses.exploration_step_penalty
        return losses.information_gain(explored.g, explored.f, penalty, explored.spread)

    # TD errors

    def _exploitation_td(
        self,
        params: DreamParams,
        target: DreamParams,
        episode: Episode,
        instruction: Array,
        z: Array,
    ) -> Array:
        """[T] TD errors of pi_task. Their gradient also reaches whatever made z."""
        fraction = rollout.fraction_over(episode.action.shape[0])

        def values(weights, z):
            return self._exploit.apply(weights, episode.observation, instruction, z, fraction)

        q = values(params.exploitation.policy, z)
        q_target = values(target.exploitation.policy, jax.lax.stop_gradient(z))
        return self._td(q, q_target, episode, episode.reward)

    def _exploration_td(
        self, params: DreamParams, target: DreamParams, episode: Episode, reward: Array
    ) -> Array:
        """[L] TD errors of pi_exp on rewards [L]."""
        action = episode.action.astype(jnp.int32)
        fraction = rollout.fraction_over(action.shape[0])
        previous_action = jnp.concatenate([jnp.array([self.env.num_actions]), action])
        previous_reward = jnp.concatenate([jnp.zeros(1), episode.reward])

        seen = episode.observation, previous_action, previous_reward, fraction

        def values(weights):
            return self._explore.apply(weights, *seen)

        q, q_target = values(params.exploration), values(target.exploration)
        return self._td(q, q_target, episode, jnp.where(episode.mask, reward, 0.0))

    def _td(self, q: Array, q_target: Array, episode: Episode, reward: Array) -> Array:
        """[T] TD errors, from values [T + 1, A] and rewards [T]."""
        td = self.config.td
        return double_q_lambda(
            q,
            q_target,
            episode.action.astype(jnp.int32),
            reward,
            inputs.discounts(td, episode.terminated, episode.truncated),
            episode.mask,
            td.trace_lambda,
        )

    def _heads_of(self, problem: Array) -> tuple[Array, Array]:
        """The decoder's head that measures information gain on a problem, and the [F] weights of
        the heads that are trained on it.

        With several folds these are different heads (cross-fitting). Evidence that only identifies
        a training problem then earns nothing; evidence that generalises does.
        """
        folds = self.config.losses.decoder_folds
        own = self._fold(problem)
        if folds == 1:
            return own, jnp.ones(1)
        return own, (jnp.arange(folds) != own) / (folds - 1.0)


def prefix_mask(episode: Episode) -> Array:
    """[T + 1] which prefixes of an episode there are; the empty one always."""
    return jnp.concatenate([jnp.ones_like(episode.mask[:1]), episode.mask])
