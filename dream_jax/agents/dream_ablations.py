"""What becomes of DREAM when exploration is paid for something else; all the rest is `dream`'s."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dream_jax.agents import recurrent_q
from dream_jax.agents.dream import Dream
from dream_jax.agents.dream_policy import ExploitationParams
from dream_jax.config import Config
from dream_jax.data import rollout
from dream_jax.losses import dream as losses
from dream_jax.losses.reduce import masked_mean
from dream_jax.networks.policies import Decoder
from dream_jax.training import shards as parallel
from dream_jax.types import Array, Env, Episode, Key, Learner, Params, Trial


class DynamicsParams(NamedTuple):
    exploitation: ExploitationParams
    exploration: Params
    identifier: Params  # q(mu | tau)


class DreamDynamics(Dream):
    """Exploration is paid for predicting all of mu, whether the task needs it or not.

    A decoder of its own reads the id from the exploration, q(mu | tau), and a step earns
    log q(mu | tau_:t+1) - log q(mu | tau_:t). z, its decoder and exploitation stay DREAM's.
    """

    loss_names = (*Dream.loss_names, "identification")

    def __init__(self, config: Config, env: Env):
        super().__init__(config, env)
        nets = dataclasses.replace(config.networks, z_size=env.num_problems)
        shown = config.trial.rewards_in_exploration
        self._identifier = Decoder(nets, env.observation_sizes, env.num_actions, shown)
        # Information gain as a share of what there is to know, as in `dream`.
        known = np.log(len(env.problem_ids("train")))
        self._scale = max(known, 1.0) if config.losses.normalise_information_gain else 1.0

    @property
    def learners(self) -> Any:
        exploitation, exploration = super().learners
        settings = self.config.optimizer
        return DynamicsParams(
            exploitation,
            exploration,
            Learner(
                exploitation.warmup_trials,
                ("exploitation",),
                settings.weight_decay,
                losses=("identification",),
            ),
        )

    def init(self, key: Key) -> Any:
        key, identifier_key = jax.random.split(key)
        observation = recurrent_q.example_observation(self.env, 2)
        action, reward = jnp.zeros(1, jnp.int32), jnp.zeros(1)
        identifier = self._identifier.init(identifier_key, observation, action, reward)
        return DynamicsParams(*super().init(key), identifier)

    def batch_loss(
        self,
        params: Any,
        target: Any,
        trials: Trial,
        key: Key,
        exploring: Trial | None = None,
        shards: parallel.Shards = parallel.ONE,
        bottleneck_weight: Array | None = None,
    ) -> tuple[Array, dict[str, Array]]:
        """DREAM's, and the cross-entropy of q(mu | tau_:t), the mean over prefixes."""
        total, parts = super().batch_loss(
            params, target, trials, key, exploring, shards, bottleneck_weight
        )
        exploring = trials if exploring is None else exploring

        def one(trial: Trial) -> tuple[Array, Array]:
            seen = rollout.seen(self.env, trial.exploration)
            mask = jnp.concatenate([jnp.ones_like(seen.mask[:1]), seen.mask])
            return -self._log_likelihood(params, trial.problem, seen), mask

        loss, mask = jax.vmap(one)(exploring)
        parts["identification"] = masked_mean(loss, mask, shards.total(jnp.sum(mask)))
        return total + parts["identification"], parts

    def _exploration_reward(
        self,
        params: Any,
        target: Any,
        trial: Trial,
        seen: Episode,
        g: Array,
        f: Array,
        gain_scale: Array,
    ) -> Array:
        del target, g, f, gain_scale
        log_q = self._log_likelihood(params, trial.problem, seen)
        penalty = self.config.losses.exploration_step_penalty
        return losses.log_likelihood_gain(log_q, penalty, self._scale)

    def _log_likelihood(self, params: Any, problem: Array, seen: Episode) -> Array:
        """[L + 1] log q(mu | tau_:t) of every prefix."""
        action = seen.action.astype(jnp.int32)
        (logits,) = self._identifier.apply(params.identifier, seen.observation, action, seen.reward)
        return jax.nn.log_softmax(logits)[:, problem]


class DreamEndToEnd(Dream):
    """Exploration is trained on exploitation returns, end to end, instead of information gain.

    Its last step is paid what exploitation is worth with the z that was read,
    discount * V(s_0, i, z = g(tau)), by double Q-learning as across the two episodes of an RL^2
    agent (mean over exploitation episodes); no other step is paid. Values of z = g(tau) must be
    learned for this, so `losses.td_reaches_decoder` is required.
    """

    def _exploration_reward(
        self,
        params: Any,
        target: Any,
        trial: Trial,
        seen: Episode,
        g: Array,
        f: Array,
        gain_scale: Array,
    ) -> Array:
        del f, gain_scale
        steps = jnp.sum(seen.mask)
        z = g[steps]
        fraction = rollout.fraction_over(self.env.horizon)[:1]

        def value(episode: Episode, instruction: Array) -> Array:
            first = jax.tree.map(lambda x: x[:1], episode.observation)
            shown = rollout.seen(self.env, episode._replace(observation=first)).observation
            online, slow = (
                self._exploit.apply(p.exploitation.policy, shown, instruction, z, fraction)[0]
                for p in (params, target)
            )
            return slow[jnp.argmax(online)]

        worth = jnp.mean(rollout.over_episodes(value, trial.exploitation, trial.instruction))
        last = jnp.arange(seen.mask.shape[0]) == steps - 1
        return jax.lax.stop_gradient(jnp.where(last, self.config.td.discount * worth, 0.0))
