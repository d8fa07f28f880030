"""Ablations of DREAM: exploration is paid for something else. All the rest is `dream`'s."""

import dataclasses
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dream_jax import specs
from dream_jax.agents import inputs
from dream_jax.agents.dream import Dream, Explored, prefix_mask
from dream_jax.agents.dream_networks import ExploitationParams
from dream_jax.config import Config, ConfigError
from dream_jax.data import pictures, rollout
from dream_jax.losses import dream as losses
from dream_jax.networks.policies import Decoder
from dream_jax.types import (
    Array,
    Env,
    Episode,
    Key,
    Learner,
    LossContext,
    LossTerm,
    LossTerms,
    Params,
    Trial,
)


class DynamicsParams(NamedTuple):
    exploitation: ExploitationParams
    exploration: Params
    identifier: Params  # q(mu | tau)


class DreamDynamics(Dream):
    """Exploration is paid for predicting the whole problem id, whether the task needs it or not.

    A decoder of its own predicts the id from the exploration, q(mu | tau). A step earns
    log q(mu | tau_:t+1) - log q(mu | tau_:t). z, its decoder and exploitation stay DREAM's.
    """

    name: ClassVar[str] = "dream_dynamics"
    loss_names = (*Dream.loss_names, "identification")

    def __init__(self, config: Config, env: Env):
        super().__init__(config, env)
        problems = inputs.listed_problems(env, "agent='dream_dynamics' predicts the problem id")
        networks = dataclasses.replace(config.networks, z_size=problems)
        shown = config.trial.rewards_in_exploration
        self._identifier = Decoder(networks, specs.observation(env), env.num_actions, shown)
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
        observation = inputs.example_observation(self.env, 2)
        action, reward = jnp.zeros(1, jnp.int32), jnp.zeros(1)
        identifier = self._identifier.init(identifier_key, observation, action, reward)
        return DynamicsParams(*super().init(key), identifier)

    def exploration_terms(
        self,
        params: Any,
        target: Any,
        trial: Trial,
        f: Array,
        context: LossContext,
        heads: Array | None = None,
    ) -> LossTerms:
        """DREAM's, and the cross-entropy of q(mu | tau_:t) for every prefix, [L + 1]."""
        terms = super().exploration_terms(params, target, trial, f, context, heads)
        seen = pictures.as_seen(self.env, trial.exploration)
        loss = -self._log_likelihood(params, trial.problem, seen)
        return terms | {"identification": LossTerm(loss, prefix_mask(seen))}

    def exploration_reward(self, params: Any, target: Any, explored: Explored) -> Array:
        """[L] growth of log q(mu | tau_:t), without gradient."""
        log_q = self._log_likelihood(params, explored.trial.problem, explored.episode)
        penalty = self.config.losses.exploration_step_penalty
        return losses.log_likelihood_gain(log_q, penalty, self._scale)

    def _log_likelihood(self, params: Any, problem: Array, seen: Episode) -> Array:
        """[L + 1] log q(mu | tau_:t) of every prefix."""
        action = seen.action.astype(jnp.int32)
        (logits,) = self._identifier.apply(params.identifier, seen.observation, action, seen.reward)
        return jax.nn.log_softmax(logits)[:, problem]


class DreamHalfCoupled(Dream):
    """Exploration is paid exploitation returns instead of information gain.

    Its last step earns the value of exploitation with z = g(tau), discount * V(s_0, i, z), by
    double Q-learning as across the two episodes of an RL^2 agent (mean over exploitation
    episodes). No other step earns anything. The values of z = g(tau) must be learned for this,
    so `losses.td_reaches_decoder` is required.

    Exploration needs good exploitation, but exploitation does not need good exploration: the
    encoder still teaches it. `DreamEndToEnd` has no such help.
    """

    name: ClassVar[str] = "dream_half_coupled"

    @classmethod
    def check(cls, config: Config) -> None:
        """Raises ConfigError unless TD errors reach the decoder."""
        if not config.losses.td_reaches_decoder:
            raise ConfigError(
                f"agent={cls.name!r} needs losses.td_reaches_decoder=true: exploration earns the "
                "value of what the decoder read, and nothing else trains that value"
            )

    def exploration_reward(self, params: Any, target: Any, explored: Explored) -> Array:
        """[L] the value of exploitation at the last step, 0 before it; without gradient."""
        trial, mask = explored.trial, explored.episode.mask
        steps = jnp.sum(mask)
        z = explored.g[steps]
        fraction = rollout.fraction_over(self.env.horizon)[:1]

        def value(episode: Episode, instruction: Array) -> Array:
            first = jax.tree.map(lambda x: x[:1], episode.observation)
            shown = pictures.as_seen(self.env, episode._replace(observation=first)).observation
            online, slow = (
                self._exploit.apply(p.exploitation.policy, shown, instruction, z, fraction)[0]
                for p in (params, target)
            )
            return slow[jnp.argmax(online)]

        worth = jnp.mean(rollout.over_episodes(value, trial.exploitation, trial.instruction))
        last = jnp.arange(mask.shape[0]) == steps - 1
        return jax.lax.stop_gradient(jnp.where(last, self.config.td.discount * worth, 0.0))


class DreamEndToEnd(DreamHalfCoupled):
    """Exploration and exploitation are coupled: each learns only from what the other does.

    DREAM's policies and decoder without its encoder. Every trial acts on z = g(tau), TD errors are
    all that trains the decoder, and exploration is paid as in `DreamHalfCoupled`. The problem id is
    never used.
    """

    name: ClassVar[str] = "dream_end_to_end"
    has_bottleneck: ClassVar[bool] = False
    loss_names = ("exploitation_td", "exploration_td")

    @property
    def learners(self) -> Any:
        learners = super().learners
        exploitation = learners.exploitation._replace(losses=("exploitation_td",))
        return learners._replace(exploitation=exploitation)

    def loss_terms(self, params: Any, target: Any, trial: Trial, context: LossContext) -> LossTerms:
        """The two TD errors."""
        terms = super().loss_terms(params, target, trial, context)
        return {name: term for name, term in terms.items() if name in self.loss_names}

    def collect(
        self,
        params: Any,
        key: Key,
        exploration_epsilon: Array,
        exploitation_epsilon: Array,
        acts_on_exploration: Array,
    ) -> Trial:
        """One trial, acted on its exploration whatever `acts_on_exploration` says."""
        always = jnp.ones_like(acts_on_exploration)
        return super().collect(params, key, exploration_epsilon, exploitation_epsilon, always)

    def informed_test(self, params: Any, key: Key, problem: Array, instructions: Array) -> None:
        """The agent cannot be told the problem id."""

    def step_information(
        self, params: Any, exploration: Episode, problem: Array, trained_on: bool
    ) -> tuple[str, Array]:
        """How far each step of exploration moved z, [L]."""
        g = self.decode(params, exploration)
        return "belief moved by", jnp.linalg.norm(g[1:] - g[:-1], axis=-1)
