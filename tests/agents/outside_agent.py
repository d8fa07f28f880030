"""An agent from outside the package: it never reads its exploration, so it must guess.

Its return is what a trained policy reaches without exploring. Only the protocol
`dream_jax.types.Agent` is used; it derives from none of the package's agents.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from dream_jax.agents import inputs
from dream_jax.agents.exploration_noise import draw_noise, epsilon_greedy, random_action_set
from dream_jax.data import rollout
from dream_jax.data.rollout import Decision
from dream_jax.losses.td import double_q_lambda
from dream_jax.networks.policies import ExploitationPolicy
from dream_jax.types import Learner, LossTerm, MetaTest, Trial


class GuesserParams(NamedTuple):
    policy: dict


class Guesser:
    """Q(s, i, time) without memory and without z. It explores at random."""

    name = "guesser"
    analytic, acts_on_whole_trial, has_bottleneck = False, True, False
    loss_names, loss_weights = ("td",), {"td": 1.0}
    explorer, exploiter = "policy", "policy"

    @classmethod
    def check(cls, config):
        """Any config will do."""

    def __init__(self, config, env):
        self.config, self.env = config, env
        sizes = env.observation_sizes, env.instruction_sizes, env.num_actions
        self._policy = ExploitationPolicy(config.networks, *sizes)
        self._random_actions = random_action_set(config.acting, env.num_actions)
        self._z = jnp.zeros(config.networks.z_size)

    @property
    def learners(self):
        return GuesserParams(Learner(self.config.replay.warmup_trials_exploitation))

    def init(self, key):
        observation = inputs.example_observation(self.env, 2)
        instruction = jnp.zeros(len(self.env.instruction_sizes), jnp.int32)
        return GuesserParams(
            self._policy.init(key, observation, instruction, self._z, jnp.zeros(2))
        )

    def collect(self, params, key, exploration_epsilon, exploitation_epsilon, acts_on_exploration):
        keys = jax.random.split(key, 7)
        problem = inputs.draw_problem(keys[0], self.env)
        instructions = rollout.sample_instructions(self.env, keys[1], problem, self.config.trial)
        epsilon = draw_noise(
            keys[2:6], self.config.acting, exploitation_epsilon, self.env.horizon
        ).epsilon
        explored, exploited = self._roll(params, keys[6], problem, instructions, epsilon)
        yes = jnp.ones((), bool)
        return Trial(problem, explored.episode, instructions, exploited.episode, yes)

    def meta_test(self, params, key, problem, instructions):
        explored, exploited = self._roll(params, key, problem, instructions, 0.0)
        return MetaTest(
            exploration=explored.episode,
            exploitation=exploited.episode,
            exploration_states=explored.states,
            exploitation_states=exploited.states,
            exploration_q=explored.q,
            exploitation_q=exploited.q,
            z=None,
        )

    def informed_test(self, params, key, problem, instructions):
        return None

    def batch_statistics(self, params, trials, gather):
        return None

    def loss_terms(self, params, target, trial, context):
        def errors(episode, instruction):
            time = rollout.fraction_over(episode.action.shape[0])

            def values(params):
                shown = episode.observation, instruction, self._z, time
                return self._policy.apply(params.policy, *shown)

            return double_q_lambda(
                values(params),
                values(target),
                episode.action.astype(jnp.int32),
                episode.reward,
                inputs.discounts(self.config.td, episode.terminated, episode.truncated),
                episode.mask,
                self.config.td.trace_lambda,
            )

        td = rollout.over_episodes(errors, trial.exploitation, trial.instruction)
        return {"td": LossTerm(jnp.square(td), trial.exploitation.mask)}

    def step_information(self, params, exploration, problem, trained_on):
        return "nothing learned", jnp.zeros(exploration.action.shape)

    def _roll(self, params, key, problem, instructions, epsilon):
        """Random exploration, then one exploitation episode for each of the instructions."""
        explore_key, exploit_key = jax.random.split(key)

        def explore(memory, view, key):
            q = jnp.zeros(self.env.num_actions)
            return memory, Decision(epsilon_greedy(key, q, 1.0, self._random_actions), q)

        def exploit(key, instruction):
            def policy(memory, view, key):
                shown = view.observation, instruction, self._z, view.fraction_over
                memory, q = self._policy.apply(params.policy, memory, *shown, method="step")
                return memory, Decision(epsilon_greedy(key, q, epsilon, self._random_actions), q)

            memory = self._policy.apply(params.policy, method="initial")
            return rollout.exploit(self.env, policy, memory, key, problem, instruction)

        trial = self.config.trial
        explored = rollout.explore(self.env, explore, (), explore_key, problem, trial)
        keys = jax.random.split(exploit_key, len(instructions))
        return explored, rollout.over_episodes(exploit, keys, instructions)
