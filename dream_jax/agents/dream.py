"""DREAM (Liu et al., 2021): decoupled exploration and exploitation, of ONE trial.

Two learners. "exploitation": pi_task, the encoder f and the decoder g. "exploration": pi_exp.
Callers vmap over trials; parameters are explicit; nothing is stored here.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from dream_jax import parallel, rollout
from dream_jax.agents import recurrent_q
from dream_jax.agents.folds import problem_folds
from dream_jax.config import Config
from dream_jax.losses import dream as losses
from dream_jax.losses.reduce import masked_mean
from dream_jax.losses.td import double_q_lambda
from dream_jax.nets.embed import check_observations
from dream_jax.nets.heads import Decoder, Encoder, ExploitationPolicy, ExplorationPolicy
from dream_jax.types import (
    Array,
    Env,
    Episode,
    ExploitationTerms,
    ExplorationTerms,
    Key,
    Params,
    Trial,
    is_pixel_env,
)

LOSS_NAMES = ("exploitation_td", "bottleneck", "decoder", "exploration_td")


class ExploitationParams(NamedTuple):
    policy: Params
    encoder: Params
    decoder: Params


class DreamParams(NamedTuple):
    exploitation: ExploitationParams
    exploration: Params


class Dream:
    """The networks of DREAM for an environment, and pure functions of their parameters."""

    def __init__(self, config: Config, env: Env):
        check_observations(config.networks, env)
        self.config, self.env = config, env
        nets, shown = config.networks, config.trial.rewards_in_exploration
        self._explore = ExplorationPolicy(nets, env.observation_sizes, env.num_actions, shown)
        self._exploit = ExploitationPolicy(
            nets, env.observation_sizes, env.instruction_sizes, env.num_actions
        )
        folds = config.losses.decoder_folds
        self._decoder = Decoder(nets, env.observation_sizes, env.num_actions, shown, folds)
        self._fold = problem_folds(env, folds)
        self._encoder = Encoder(nets, env.num_problems)
        self._random_actions = recurrent_q.random_action_set(config.acting, env.num_actions)

    def init(self, key: Key) -> DreamParams:
        keys = jax.random.split(key, 4)
        env, nets = self.env, self.config.networks
        if is_pixel_env(env):
            observation = jnp.zeros((2, *env.observation_shape), jnp.uint8)
        else:
            observation = jnp.zeros((2, len(env.observation_sizes)), jnp.int32)
        instruction = jnp.zeros(len(env.instruction_sizes), jnp.int32)
        action, reward, time = jnp.zeros(2, jnp.int32), jnp.zeros(2), jnp.zeros(2)
        z = jnp.zeros(nets.z_size)
        return DreamParams(
            ExploitationParams(
                self._exploit.init(keys[0], observation, instruction, z, time),
                self._encoder.init(keys[1], self._problem_input(jnp.zeros((), jnp.int32))),
                self._decoder.init(keys[2], observation, action[:1], reward[:1]),
            ),
            self._explore.init(keys[3], observation, action, reward, time),
        )

    # Acting

    def encode(self, params: DreamParams, problem: Array) -> Array:
        """f(mu): [] id -> [Z]."""
        return self._encoder.apply(params.exploitation.encoder, self._problem_input(problem))

    def decode(self, params: DreamParams, exploration: Episode) -> Array:
        """g(tau_:t) of every prefix, the mean of the decoder's heads: [L + 1, Z]."""
        seen = self._see(exploration)
        return jnp.mean(self._decode(params.exploitation.decoder, seen), axis=0)

    def read(self, params: DreamParams, exploration: Episode) -> Array:
        """z = g(tau) of the whole exploration: [Z]. Knows nothing of the problem id."""
        steps, seen = jnp.sum(exploration.mask), self._see(exploration)
        return jnp.mean(self._decode(params.exploitation.decoder, seen, steps), axis=0)

    def explore(self, params: DreamParams, key: Key, problem: Array, epsilon: Array) -> Episode:
        """Exploration of one trial; `problem` drives the environment and nothing else."""
        actor, carry = self.exploration_actor(params, epsilon)
        return rollout.explore(self.env, actor, carry, key, problem, self.config.trial)[0]

    def exploration_actor(
        self, params: DreamParams, epsilon: Array
    ) -> tuple[rollout.ExplorationActor, Any]:
        """pi_exp one step at a time, and what it carries from step to step at first."""
        net, weights = self._explore, params.exploration

        def actor(carry, observation, action, reward, fraction, key):
            carry, q = net.apply(
                weights, carry, observation, action, reward, fraction, method="step"
            )
            return carry, recurrent_q.epsilon_greedy(key, q, epsilon, self._random_actions)

        return actor, net.apply(weights, method="initial")

    def exploit(
        self,
        params: DreamParams,
        key: Key,
        problem: Array,
        instruction: Array,
        z: Array,
        epsilon: Array,
        suffix_start: Array | None = None,
        time_shift: Array | float = 0.0,
    ) -> Episode:
        """One exploitation episode conditioned on z.

        For data collection: from step `suffix_start` on, act randomly; `time_shift` is added to
        the share of the episode that the policy takes to be over.
        """
        actor, carry = self.exploitation_actor(
            params, instruction, z, epsilon, suffix_start, time_shift
        )
        return rollout.exploit(self.env, actor, carry, key, problem, instruction)[0]

    def exploitation_actor(
        self,
        params: DreamParams,
        instruction: Array,
        z: Array,
        epsilon: Array,
        suffix_start: Array | None = None,
        time_shift: Array | float = 0.0,
    ) -> tuple[rollout.ExploitationActor, Any]:
        """pi_task one step at a time, and what it carries from step to step at first."""
        net, weights = self._exploit, params.exploitation.policy

        def actor(carry, observation, fraction, step, key):
            fraction = jnp.minimum(fraction + time_shift, 1.0)
            carry, q = net.apply(
                weights, carry, observation, instruction, z, fraction, method="step"
            )
            rate = epsilon
            if suffix_start is not None:
                rate = jnp.where(step >= suffix_start, jnp.maximum(epsilon, 0.9), epsilon)
            return carry, recurrent_q.epsilon_greedy(key, q, rate, self._random_actions)

        return actor, net.apply(weights, method="initial")

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
        td = jax.vmap(
            lambda episode, instruction: self._exploitation_td(
                params, target, self._see(episode), instruction, z
            )
        )(trial.exploitation, trial.instruction)
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
        seen = self._see(trial.exploration)
        mask = seen.mask
        if heads is None:
            heads = self._decode(params.exploitation.decoder, seen)
        own, others = self._heads_of(trial.problem)
        penalty = self.config.losses.exploration_step_penalty
        gain = losses.information_gain(heads[own], f, penalty, gain_scale)
        return ExplorationTerms(
            others @ jax.vmap(losses.decoder_loss, in_axes=(0, None))(heads, f),
            jnp.concatenate([jnp.ones_like(mask[:1]), mask]),
            jnp.square(self._exploration_td(params, target, seen, gain)),
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
    ) -> tuple[Array, dict[str, Array]]:
        """Mean loss of a batch of trials (leaves [B, ...]) and its parts by name.

        `exploring`: trials for the decoder and the exploration policy, if not the same ones.
        With `shards`, both are this device's part of a batch, and the results are its share:
        their sum over devices is the mean over the whole batch, and so is that of gradients.
        """
        c = self.config.losses
        heads = None
        if c.td_reaches_decoder and exploring is None:  # one decoding serves both
            decode = jax.vmap(lambda e: self._decode(params.exploitation.decoder, self._see(e)))
            heads = decode(trials.exploration)
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
        total = (
            parts["exploitation_td"]
            + c.bottleneck_weight * parts["bottleneck"]
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

    def _exploration_td(
        self, params: DreamParams, target: DreamParams, episode: Episode, gain: Array
    ) -> Array:
        """[L] TD errors on information gain [L], recomputed with the current f and g."""
        action = episode.action.astype(jnp.int32)
        fraction = rollout.fraction_over(action.shape[0])
        previous_action = jnp.concatenate([jnp.array([self.env.num_actions]), action])
        previous_reward = jnp.concatenate([jnp.zeros(1), episode.reward])

        def values(weights):
            return self._explore.apply(
                weights, episode.observation, previous_action, previous_reward, fraction
            )

        q, q_target = values(params.exploration), values(target.exploration)
        return self._td(q, q_target, episode, jnp.where(episode.mask, gain, 0.0))

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

    def _see(self, episode: Episode) -> Episode:
        """An episode with its observations as the networks take them: pictures are drawn now,
        unless they were seen elsewhere and are there already."""
        if not is_pixel_env(self.env) or isinstance(episode.observation, jax.Array):
            return episode
        return episode._replace(observation=rollout.draw(self.env, episode.observation))

    def _decode(self, weights: Any, episode: Episode, prefix: Array | None = None) -> Array:
        action = episode.action.astype(jnp.int32)
        return self._decoder.apply(weights, episode.observation, action, episode.reward, prefix)

    def _problem_input(self, problem: Array) -> Array:
        """The id itself (one-hot inside the encoder), or its descriptor."""
        if self.env.descriptors is None:
            return problem
        return jnp.asarray(self.env.descriptors)[problem]
