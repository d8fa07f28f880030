"""PEARL (Rakelly et al., 2019): exploration and exploitation by one policy and posterior sampling.

Exploration acts on m ~ N(0, I), exploitation on m ~ q(m | exploration), with the same Q(s, i, m).
TD errors train Q and, through m, the posterior; a KL term keeps the posterior near its prior.
PEARL's actor and critic are soft; here it has the Q-learning of the other agents, so that the
comparison is of exploration alone. `agents.analytic.PearlUb` is its exact upper bound.
"""

import dataclasses
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from dream_jax import specs
from dream_jax.agents import inputs
from dream_jax.agents.exploration_noise import (
    GREEDY,
    ExplorationNoise,
    draw_noise,
    epsilon_greedy,
    random_action_set,
)
from dream_jax.config import Config, ConfigError
from dream_jax.data import pictures, rollout
from dream_jax.data.rollout import Decision, Policy, View
from dream_jax.losses import elbo
from dream_jax.losses.td import double_q_lambda
from dream_jax.networks.policies import ExploitationPolicy
from dream_jax.networks.posterior import TransitionPosterior
from dream_jax.networks.values import check_observations
from dream_jax.types import (
    Array,
    Env,
    Episode,
    Gather,
    Key,
    Learner,
    LossContext,
    LossTerm,
    LossTerms,
    MetaTest,
    Params,
    Trial,
)


class PearlWeights(NamedTuple):
    q: Params
    posterior: Params


class PearlParams(NamedTuple):
    policy: PearlWeights


class Belief(NamedTuple):
    """A Gaussian over the latent task."""

    mean: Array  # [Z]
    log_variance: Array  # [Z]


class Pearl:
    """PEARL for an environment: pure functions of its parameters."""

    name: ClassVar[str] = "pearl"
    analytic: ClassVar[bool] = False
    acts_on_whole_trial: ClassVar[bool] = True
    has_bottleneck: ClassVar[bool] = False
    explorer, exploiter = "policy", "policy"
    loss_names: tuple[str, ...] = ("exploration_td", "exploitation_td", "kl")

    def __init__(self, config: Config, env: Env):
        check_observations(config.networks, env)
        self.config, self.env = config, env
        # Its task is in m, so Q needs no memory.
        networks = dataclasses.replace(config.networks, exploitation_memory="none")
        sizes = (specs.observation(env), specs.instruction(env), env.num_actions)
        self._policy = ExploitationPolicy(networks, *sizes)
        self._posterior = TransitionPosterior(networks, *sizes, config.end_to_end.latent_size)
        self._random_actions = random_action_set(config.acting, env.num_actions)

    @classmethod
    def check(cls, config: Config) -> None:
        """Raises ConfigError unless exploration is one episode whose instruction is shown."""
        trial = config.trial
        if trial.exploration_episodes != 1:
            raise ConfigError(
                f"trial.exploration_episodes={trial.exploration_episodes}: agent={cls.name!r} "
                "needs 1, since it draws one latent task for exploration"
            )
        if not trial.instruction_in_exploration:
            raise ConfigError(
                f"trial.instruction_in_exploration=false: agent={cls.name!r} needs true, since its "
                "policy acts on an instruction in exploration too"
            )

    @property
    def learners(self) -> Any:
        warmup = self.config.replay.warmup_trials_exploitation
        learner = Learner(warmup, weight_decay=self.config.optimizer.weight_decay)
        return PearlParams(learner)  # type: ignore[arg-type]

    @property
    def loss_weights(self) -> dict[str, float]:
        kl_weight = self.config.end_to_end.kl_weight
        return {"exploration_td": 1.0, "exploitation_td": 1.0, "kl": kl_weight}

    def init(self, key: Key) -> PearlParams:
        keys = jax.random.split(key)
        observation = inputs.example_observation(self.env, 2)
        instruction = specs.instruction(self.env).example(1)
        action, reward, mask = jnp.zeros(1, jnp.int32), jnp.zeros(1), jnp.ones(1, bool)
        latent = jnp.zeros(self.config.end_to_end.latent_size)
        one = jax.tree.map(lambda x: x[0], instruction)
        return PearlParams(
            PearlWeights(
                self._policy.init(keys[0], observation, one, latent, jnp.zeros(2)),
                self._posterior.init(keys[1], observation, instruction, action, reward, mask),
            )
        )

    # Acting

    def collect(
        self,
        params: PearlParams,
        key: Key,
        exploration_epsilon: Array,
        exploitation_epsilon: Array,
        acts_on_exploration: Array,
    ) -> Trial:
        """One trial to learn from. The agent never sees the problem id."""
        keys = jax.random.split(key, 7)
        problem = inputs.draw_problem(keys[0], self.env)
        instructions = rollout.sample_instructions(self.env, keys[1], problem, self.config.trial)
        noise = draw_noise(keys[2:6], self.config.acting, exploitation_epsilon, self.env.horizon)
        played = self.roll(params, keys[6], problem, instructions, exploration_epsilon, noise)
        always = jnp.ones_like(acts_on_exploration)
        return Trial(problem, played.exploration, instructions, played.exploitation, always)

    def meta_test(self, params: Params, key: Key, problem: Array, instructions: Any) -> MetaTest:
        """One trial, greedy given m. `problem` [] drives the environment and nothing else.

        instructions: leaves [N, ...].
        """
        epsilon = 1.0 if self.config.acting.random_exploration else 0.0
        return self.roll(params, key, problem, instructions, epsilon)

    def informed_test(self, params: Params, key: Key, problem: Array, instructions: Any) -> None:
        """The agent cannot be told the problem id."""

    def roll(
        self,
        params: PearlParams,
        key: Key,
        problem: Array,
        instructions: Any,
        exploration_epsilon: Array | float = 0.0,
        noise: ExplorationNoise = GREEDY,
    ) -> MetaTest:
        """One trial. Each exploitation episode draws its own m. instructions: leaves [N, ...]."""
        prior_key, explore_key, *episode_keys = jax.random.split(
            key, 2 + jax.tree.leaves(instructions)[0].shape[0]
        )
        m = jax.random.normal(prior_key, (self.config.end_to_end.latent_size,))
        explored = rollout.explore(
            self.env,
            self._acting(params, m, None, ExplorationNoise(exploration_epsilon)),
            (),
            explore_key,
            problem,
            self.config.trial,
        )
        belief = self.belief(params, pictures.as_seen(self.env, explored.episode))

        def episode(key: Key, instruction: Any) -> rollout.Rollout:
            draw_key, play_key = jax.random.split(key)
            policy = self._acting(params, _draw(draw_key, belief), instruction, noise)
            return rollout.exploit(self.env, policy, (), play_key, problem, instruction)

        exploited = rollout.over_episodes(episode, jnp.stack(episode_keys), instructions)
        return rollout.as_meta_test(explored, exploited, belief.mean)

    def _acting(
        self, params: PearlParams, m: Array, instruction: Any, noise: ExplorationNoise
    ) -> Policy:
        """Q(s, i, m), one step at a time. instruction: None takes the one of exploration."""

        def policy(memory: Any, view: View, key: Key) -> tuple[Any, Decision]:
            given = view.instruction if instruction is None else instruction
            time = jnp.minimum(view.fraction_over + noise.time_shift, 1.0)
            _, q = self._policy.apply(
                params.policy.q, (), view.observation, given, m, time, method="step"
            )
            epsilon = noise.rate(view.step)
            return memory, Decision(epsilon_greedy(key, q, epsilon, self._random_actions), q)

        return policy

    # Learning

    def belief(self, params: PearlParams, seen: Episode) -> Belief:
        """q(m | exploration). seen: with observations as networks take them."""
        mean, log_variance = self._beliefs(params, seen)
        steps = jnp.sum(seen.mask)
        return Belief(mean[steps], log_variance[steps])

    def _beliefs(self, params: PearlParams, seen: Episode) -> tuple[Array, Array]:
        action = seen.action.astype(jnp.int32)
        inputs = seen.observation, seen.instruction, action, seen.reward, seen.mask
        return self._posterior.apply(params.policy.posterior, *inputs)

    def batch_statistics(self, params: Params, trials: Trial, gather: Gather) -> None:
        """Every trial's losses depend on that trial alone."""

    def loss_terms(
        self, params: PearlParams, target: PearlParams, trial: Trial, context: LossContext
    ) -> LossTerms:
        """Squared TD errors [L] and [N, T], all with one draw of m, and the KL []."""
        seen = pictures.as_seen(self.env, trial.exploration)
        belief = self.belief(params, seen)
        m = _draw(context.key, belief)
        # Of the observation after the last step, which only bootstraps: the instruction before.
        shown = jax.tree.map(lambda x: jnp.concatenate([x, x[-1:]]), seen.instruction)
        explored = self._td(params, target, seen, shown, m)
        exploited = rollout.over_episodes(
            lambda episode, instruction: self._td(
                params, target, pictures.as_seen(self.env, episode), instruction, m
            ),
            trial.exploitation,
            trial.instruction,
        )
        zeros = jnp.zeros_like(belief.mean)
        kl = elbo.gaussian_kl(*belief, zeros, zeros)
        return {
            "exploration_td": LossTerm(jnp.square(explored), seen.mask),
            "exploitation_td": LossTerm(jnp.square(exploited), trial.exploitation.mask),
            "kl": LossTerm(kl, jnp.ones_like(kl, bool)),
        }

    def _td(
        self, params: PearlParams, target: PearlParams, episode: Episode, instruction: Any, m: Array
    ) -> Array:
        """[T] TD errors of an episode. instruction: of the episode, or of each observation."""
        fraction = rollout.fraction_over(episode.action.shape[0])

        def values(weights: PearlParams, m: Array) -> Array:
            inputs = episode.observation, instruction, m, fraction
            return self._policy.apply(weights.policy.q, *inputs)

        settings = self.config.td
        return double_q_lambda(
            values(params, m),
            values(target, jax.lax.stop_gradient(m)),
            episode.action.astype(jnp.int32),
            episode.reward,
            inputs.discounts(settings, episode.terminated, episode.truncated),
            episode.mask,
            settings.trace_lambda,
        )

    def step_information(
        self, params: PearlParams, exploration: Episode, problem: Array, trained_on: bool
    ) -> tuple[str, Array]:
        """How far each step of exploration moved the mean of the belief, [L]."""
        mean, _ = self._beliefs(params, pictures.as_seen(self.env, exploration))
        return "belief moved by", jnp.linalg.norm(mean[1:] - mean[:-1], axis=-1)


def _draw(key: Key, belief: Belief) -> Array:
    """[Z] m ~ belief, reparametrised."""
    return elbo.sample_gaussian(key, *belief)
