"""DREAM (Liu et al., 2021): decoupled exploration and exploitation; the losses of ONE trial.

`dream_acting` has the networks and how they act. Callers vmap over trials.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from dream_jax.agents import recurrent_q
from dream_jax.agents.dream_policy import DreamActor, DreamParams
from dream_jax.data import rollout
from dream_jax.losses import dream as losses
from dream_jax.losses.reduce import masked_mean
from dream_jax.losses.td import double_q_lambda
from dream_jax.training import shards as parallel
from dream_jax.types import Array, Episode, Key, Trial


class ExploitationTerms(NamedTuple):
    """Loss terms of one trial, to be averaged over a batch with their masks."""

    exploitation_td: Array  # [N, T] squared TD errors
    exploitation_mask: Array  # [N, T]
    bottleneck: Array  # []


class ExplorationTerms(NamedTuple):
    """Loss terms of one trial, to be averaged over a batch with their masks."""

    decoder: Array  # [L + 1]
    decoder_mask: Array  # [L + 1]
    exploration_td: Array  # [L] squared TD errors
    exploration_mask: Array  # [L]


class Dream(DreamActor):
    """DREAM for an environment: pure functions of its parameters."""

    loss_names: tuple[str, ...] = ("exploitation_td", "bottleneck", "decoder", "exploration_td")

    # Learning

    def exploitation_terms(
        self,
        params: DreamParams,
        target: DreamParams,
        trial: Trial,
        f: Array,
        key: Key,
        heads: Array | None = None,
    ) -> ExploitationTerms:
        """What trains pi_task and the encoder, of one trial. f: [Z] encoding of its problem.

        `heads`: the decoder's reading of its exploration, [F, L + 1, Z], where it is there already.
        """
        c = self.config.losses
        z = losses.sample_encoding(key, f, c.rho)
        if c.td_reaches_decoder:
            if heads is not None:
                g = jnp.mean(heads[:, jnp.sum(trial.exploration.mask)], axis=0)
            else:
                g = self.read(params, trial.exploration)
            z = jnp.where(trial.z_from_decoder, g, z)
        if c.bottleneck == "kl":
            bottleneck = losses.bottleneck_kl(f, c.rho)
        else:
            bottleneck = losses.bottleneck_clipped(f, c.bottleneck_clip)
        td = rollout.over_episodes(
            lambda episode, instruction: self._exploitation_td(
                params, target, rollout.seen(self.env, episode), instruction, z
            ),
            trial.exploitation,
            trial.instruction,
        )
        return ExploitationTerms(jnp.square(td), trial.exploitation.mask, bottleneck)

    def exploration_terms(
        self,
        params: DreamParams,
        target: DreamParams,
        trial: Trial,
        f: Array,
        gain_scale: Array,
        heads: Array | None = None,
    ) -> ExplorationTerms:
        """What trains the decoder and pi_exp, of one trial. f, `heads`: as `exploitation_terms`."""
        seen = rollout.seen(self.env, trial.exploration)
        mask = seen.mask
        if heads is None:
            heads = self._decode(params.exploitation.decoder, seen)
        own, others = self._heads_of(trial.problem)
        reward = self._exploration_reward(params, target, trial, seen, heads[own], f, gain_scale)
        return ExplorationTerms(
            others @ jax.vmap(losses.decoder_loss, in_axes=(0, None))(heads, f),
            jnp.concatenate([jnp.ones_like(mask[:1]), mask]),
            jnp.square(self._exploration_td(params, target, seen, reward)),
            mask,
        )

    def batch_loss(
        self,
        params: DreamParams,
        target: DreamParams,
        trials: Trial,
        key: Key,
        exploring: Trial | None = None,
        shards: parallel.Shards = parallel.ONE,
        bottleneck_weight: Array | None = None,
    ) -> tuple[Array, dict[str, Array]]:
        """Mean loss of a batch of trials (leaves [B, ...]) and its parts by name.

        `exploring`: trials for the decoder and the exploration policy, if not the same ones.
        `bottleneck_weight`: lambda [], if not the config's.
        With `shards`, both are this device's part of a batch, and the results are its share:
        their sum over devices is the mean over the whole batch, and so is that of gradients.
        """
        c = self.config.losses
        heads = None
        if c.td_reaches_decoder and exploring is None:  # one decoding serves both
            heads = jax.vmap(
                lambda e: self._decode(params.exploitation.decoder, rollout.seen(self.env, e))
            )(trials.exploration)
        exploring = trials if exploring is None else exploring
        keys = shards.mine(jax.random.split(key, trials.problem.shape[0] * shards.devices))
        encode = jax.vmap(lambda problem: self.encode(params, problem))
        f, f_exploring = encode(trials.problem), encode(exploring.problem)
        scale = jnp.ones(())
        if c.normalise_information_gain:
            scale = losses.spread(shards.gather(f), c.rho)
        task = jax.vmap(self.exploitation_terms, in_axes=(None, None, 0, 0, 0, 0))(
            params, target, trials, f, keys, heads
        )
        explore = jax.vmap(self.exploration_terms, in_axes=(None, None, 0, 0, None, 0))(
            params, target, exploring, f_exploring, scale, heads
        )

        def mean(values: Array, mask: Array) -> Array:
            return masked_mean(values, mask, shards.total(jnp.sum(mask)))

        parts = {
            "exploitation_td": mean(task.exploitation_td, task.exploitation_mask),
            "bottleneck": mean(task.bottleneck, jnp.ones_like(task.bottleneck)),
            "decoder": mean(explore.decoder, explore.decoder_mask),
            "exploration_td": mean(explore.exploration_td, explore.exploration_mask),
        }
        weight = c.bottleneck_weight if bottleneck_weight is None else bottleneck_weight
        total = (
            parts["exploitation_td"]
            + weight * parts["bottleneck"]
            + parts["decoder"]
            + parts["exploration_td"]
        )
        return total, parts

    def _exploitation_td(
        self,
        params: DreamParams,
        target: DreamParams,
        episode: Episode,
        instruction: Array,
        z: Array,
    ) -> Array:
        """[T] TD errors; reach pi_task and, through z, the encoder (or the decoder)."""
        fraction = rollout.fraction_over(episode.action.shape[0])

        def values(weights, z):
            return self._exploit.apply(weights, episode.observation, instruction, z, fraction)

        q = values(params.exploitation.policy, z)
        q_target = values(target.exploitation.policy, jax.lax.stop_gradient(z))
        return self._td(q, q_target, episode, episode.reward)

    def _exploration_reward(
        self,
        params: DreamParams,
        target: DreamParams,
        trial: Trial,
        seen: Episode,
        g: Array,
        f: Array,
        gain_scale: Array,
    ) -> Array:
        """[L] what pi_exp is paid, without gradient: information gain with the current f and g.

        Of one trial, its exploration as networks take it, `seen`, what the decoder reads from its
        prefixes, g [L + 1, Z], and the encoding of its problem, f [Z].
        """
        del params, target, trial, seen
        penalty = self.config.losses.exploration_step_penalty
        return losses.information_gain(g, f, penalty, gain_scale)

    def _exploration_td(
        self, params: DreamParams, target: DreamParams, episode: Episode, reward: Array
    ) -> Array:
        """[L] TD errors of pi_exp on rewards [L]."""
        action = episode.action.astype(jnp.int32)
        fraction = rollout.fraction_over(action.shape[0])
        previous_action = jnp.concatenate([jnp.array([self.env.num_actions]), action])
        previous_reward = jnp.concatenate([jnp.zeros(1), episode.reward])

        def values(weights):
            return self._explore.apply(
                weights, episode.observation, previous_action, previous_reward, fraction
            )

        q, q_target = values(params.exploration), values(target.exploration)
        return self._td(q, q_target, episode, jnp.where(episode.mask, reward, 0.0))

    def _td(self, q: Array, q_target: Array, episode: Episode, reward: Array) -> Array:
        """[T] TD errors, from values [T + 1, A] and rewards [T]."""
        return double_q_lambda(
            q,
            q_target,
            episode.action.astype(jnp.int32),
            reward,
            recurrent_q.discounts(self.config, episode.terminated, episode.truncated),
            episode.mask,
            self.config.td.trace_lambda,
        )

    def _heads_of(self, problem: Array) -> tuple[Array, Array]:
        """The head that measures information gain on a problem, and the [F] weights of those that
        are trained on it.

        With folds these are apart (cross-fitting): evidence that only identifies a training
        problem is then worth nothing to exploration, evidence that generalises is.
        """
        folds = self.config.losses.decoder_folds
        own = jnp.asarray(self._fold)[problem]
        if folds == 1:
            return own, jnp.ones(1)
        return own, (jnp.arange(folds) != own) / (folds - 1.0)
