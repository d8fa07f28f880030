"""Ablations of DREAM: exploration is paid for something else. All the rest is `dream`'s."""

import dataclasses
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dream_jax import problems, specs
from dream_jax.agents import inputs
from dream_jax.agents.dream import Dream, Explored, prefix_mask
from dream_jax.agents.dream_networks import ExploitationParams
from dream_jax.config import Config, ConfigError
from dream_jax.data import pictures, rollout
from dream_jax.losses import dream as losses
from dream_jax.losses import elbo
from dream_jax.networks.history import NextStates, decoded_sizes
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


class PredictorParams(NamedTuple):
    summary: Params  # m(tau)
    transitions: Params  # p(s' | s, a, m)


class NextStatesParams(NamedTuple):
    exploitation: ExploitationParams
    exploration: Params
    predictor: PredictorParams


class _Predicting(Dream):
    """Exploration is paid for what each step adds to a prediction, by networks of its own.

    A step earns log q(x | tau_:t+1) - log q(x | tau_:t), where x is what the subclass predicts. z,
    its decoder and exploitation stay DREAM's.
    """

    prediction: ClassVar[str]  # the name of the loss
    params_type: ClassVar[Any]  # exploitation, exploration and the networks of the prediction

    def __init__(self, config: Config, env: Env):
        super().__init__(config, env)
        # Information gain as a share of what there is to know, as in `dream`. What tau tells of x
        # is at most what it tells of the problem.
        self._scale = 1.0
        if config.losses.normalise_information_gain and problems.is_listed(env):
            self._scale = max(np.log(len(env.problem_ids("train"))), 1.0)

    def init_predictor(self, key: Key) -> Any:
        """Parameters of the networks of the prediction."""
        raise NotImplementedError

    def log_likelihood(self, params: Any, trial: Trial, seen: Episode) -> Array:
        """[L + 1] log q(x | tau_:t) of every prefix. seen: the exploration, as networks take it."""
        raise NotImplementedError

    @property
    def learners(self) -> Any:
        exploitation, exploration = super().learners
        settings = self.config.optimizer
        return self.params_type(
            exploitation,
            exploration,
            Learner(
                exploitation.warmup_trials,
                ("exploitation",),
                settings.weight_decay,
                losses=(self.prediction,),
            ),
        )

    def init(self, key: Key) -> Any:
        key, predictor_key = jax.random.split(key)
        return self.params_type(*super().init(key), self.init_predictor(predictor_key))

    def exploration_terms(
        self,
        params: Any,
        target: Any,
        trial: Trial,
        f: Array,
        context: LossContext,
        heads: Array | None = None,
    ) -> LossTerms:
        """DREAM's, and -log q(x | tau_:t) for every prefix, [L + 1]."""
        terms = super().exploration_terms(params, target, trial, f, context, heads)
        seen = pictures.as_seen(self.env, trial.exploration)
        loss = -self.log_likelihood(params, trial, seen)
        return terms | {self.prediction: LossTerm(loss, prefix_mask(seen))}

    def exploration_reward(self, params: Any, target: Any, explored: Explored) -> Array:
        """[L] growth of log q(x | tau_:t), without gradient."""
        log_q = self.log_likelihood(params, explored.trial, explored.episode)
        penalty = self.config.losses.exploration_step_penalty
        return losses.log_likelihood_gain(log_q, penalty, self._scale)


class DreamDynamics(_Predicting):
    """Exploration is paid for predicting the whole problem id, whether the task needs it or not.

    A decoder of its own predicts the id from the exploration, q(mu | tau).
    """

    name: ClassVar[str] = "dream_dynamics"
    prediction: ClassVar[str] = "identification"
    params_type: ClassVar[Any] = DynamicsParams
    loss_names = (*Dream.loss_names, "identification")

    def __init__(self, config: Config, env: Env):
        super().__init__(config, env)
        count = inputs.listed_problems(env, "agent='dream_dynamics' predicts the problem id")
        networks = dataclasses.replace(config.networks, z_size=count)
        shown = config.trial.rewards_in_exploration
        self._identifier = Decoder(networks, specs.observation(env), env.num_actions, shown)

    def init_predictor(self, key: Key) -> Params:
        observation = inputs.example_observation(self.env, 2)
        return self._identifier.init(key, observation, jnp.zeros(1, jnp.int32), jnp.zeros(1))

    def log_likelihood(self, params: Any, trial: Trial, seen: Episode) -> Array:
        """[L + 1] log q(mu | tau_:t) of every prefix."""
        action = seen.action.astype(jnp.int32)
        (logits,) = self._identifier.apply(params.identifier, seen.observation, action, seen.reward)
        return jax.nn.log_softmax(logits)[:, trial.problem]


class DreamNextStates(_Predicting):
    """Exploration is paid for predicting the transitions of the trial's exploitation episodes.

    It sums up the exploration, m(tau), and predicts each next state, p(s' | s, a, m), as in
    environment probing (Zhou, Pinto and Gupta, 2019). All transitions that exploitation meets
    count, whether they matter for its return or not, and no others. A trial's log-likelihood is the
    sum over the steps of an exploitation episode, and the mean over episodes.
    """

    name: ClassVar[str] = "dream_next_states"
    prediction: ClassVar[str] = "next_states"
    params_type: ClassVar[Any] = NextStatesParams
    loss_names = (*Dream.loss_names, "next_states")

    def __init__(self, config: Config, env: Env):
        super().__init__(config, env)
        observed = specs.observation(env)
        self._sizes = decoded_sizes(observed)
        if not self._sizes:
            raise ConfigError(
                f"agent={self.name!r} predicts integer observations, and {env.name} has others; "
                "use agent=dream_dynamics"
            )
        shown = config.trial.rewards_in_exploration
        self._summary = Decoder(config.networks, observed, env.num_actions, shown)
        self._transitions = NextStates(config.networks, observed, env.num_actions)

    def init_predictor(self, key: Key) -> PredictorParams:
        summary_key, transitions_key = jax.random.split(key)
        observation = inputs.example_observation(self.env, 2)
        action, m = jnp.zeros(1, jnp.int32), jnp.zeros((1, self.config.networks.z_size))
        before = jax.tree.map(lambda x: x[:1], observation)
        return PredictorParams(
            self._summary.init(summary_key, observation, action, jnp.zeros(1)),
            self._transitions.init(transitions_key, before, action, m),
        )

    def log_likelihood(self, params: Any, trial: Trial, seen: Episode) -> Array:
        """[L + 1] log p(s' | s, a, m(tau_:t)) of exploitation, for every prefix of exploration."""
        weights, taken = params.predictor, seen.action.astype(jnp.int32)
        (m,) = self._summary.apply(weights.summary, seen.observation, taken, seen.reward)

        def one(episode: Episode, instruction: Array) -> Array:
            before, after = episode.observation[:-1], episode.observation[1:]
            action = episode.action.astype(jnp.int32)
            logits = self._transitions.apply(weights.transitions, before, action, m)
            log_p = elbo.component_log_likelihood(logits, after, self._sizes)
            return jnp.sum(jnp.where(episode.mask, log_p, 0.0), axis=-1)

        return jnp.mean(rollout.over_episodes(one, trial.exploitation, trial.instruction), axis=0)


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
