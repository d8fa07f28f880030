"""How DREAM acts in ONE trial: it explores, reads z from the exploration, and exploits with it.

`agents.dream` has the losses, `agents.dream_networks` the networks. Callers vmap over trials.
"""

from typing import Any

import jax
import jax.numpy as jnp

from dream_jax.agents import inputs
from dream_jax.agents.dream_networks import DreamNetworks, DreamParams
from dream_jax.agents.exploration_noise import GREEDY, ExplorationNoise, draw_noise, epsilon_greedy
from dream_jax.data import rollout
from dream_jax.data.rollout import Decision, Policy, Rollout, View
from dream_jax.losses import dream as losses
from dream_jax.types import Array, Episode, Key, MetaTest, Trial


class DreamPolicy(DreamNetworks):
    """Acting, as functions of the parameters."""

    def explore(self, params: DreamParams, key: Key, problem: Array, epsilon: Array) -> Rollout:
        """Exploration of one trial. `problem` [] drives the environment and nothing else."""
        policy, memory = self.exploration_policy(params, epsilon)
        return rollout.explore(self.env, policy, memory, key, problem, self.config.trial)

    def exploration_policy(self, params: DreamParams, epsilon: Array | float) -> tuple[Policy, Any]:
        """pi_exp, one step at a time, and its memory before the first step."""
        net, weights = self._explore, params.exploration

        def policy(memory: Any, view: View, key: Key) -> tuple[Any, Decision]:
            memory, q = net.apply(
                weights,
                memory,
                view.observation,
                view.previous_action,
                view.previous_reward,
                view.fraction_over,
                method="step",
            )
            return memory, Decision(epsilon_greedy(key, q, epsilon, self._random_actions), q)

        return policy, net.apply(weights, method="initial")

    @property
    def test_epsilon(self) -> float:
        """Epsilon of exploration at meta-test: 0, or 1 if exploration is random by config."""
        return 1.0 if self.config.acting.random_exploration else 0.0

    def exploit(
        self,
        params: DreamParams,
        key: Key,
        problem: Array,
        instruction: Array,
        z: Array,
        noise: ExplorationNoise = GREEDY,
    ) -> Rollout:
        """One exploitation episode conditioned on z, [Z]."""
        policy, memory = self.exploitation_policy(params, instruction, z, noise)
        return rollout.exploit(self.env, policy, memory, key, problem, instruction)

    def exploitation_policy(
        self,
        params: DreamParams,
        instruction: Array,
        z: Array,
        noise: ExplorationNoise = GREEDY,
    ) -> tuple[Policy, Any]:
        """pi_task, one step at a time, and its memory before the first step.

        It acts on (s, i, z) and the time, not on previous actions and rewards.
        """
        net, weights = self._exploit, params.exploitation.policy

        def policy(memory: Any, view: View, key: Key) -> tuple[Any, Decision]:
            time = jnp.minimum(view.fraction_over + noise.time_shift, 1.0)
            memory, q = net.apply(
                weights, memory, view.observation, instruction, z, time, method="step"
            )
            epsilon = noise.rate(view.step)
            return memory, Decision(epsilon_greedy(key, q, epsilon, self._random_actions), q)

        return policy, net.apply(weights, method="initial")

    # Whole trials

    def collect(
        self,
        params: DreamParams,
        key: Key,
        exploration_epsilon: Array,
        exploitation_epsilon: Array,
        acts_on_exploration: Array,
    ) -> Trial:
        """One trial to learn from.

        Exploitation acts on z = g(tau) if `acts_on_exploration`, else on z = f(mu) + noise
        (z ~ q every other episode, Section 4.3).
        """
        env, config = self.env, self.config
        keys = jax.random.split(key, 9)
        problem = inputs.draw_problem(keys[0], env)
        exploration = self.explore(params, keys[1], problem, exploration_epsilon).episode
        instructions = rollout.sample_instructions(env, keys[2], problem, config.trial)

        z_encoder = losses.sample_encoding(keys[3], self.encode(params, problem), config.losses.rho)
        z = jnp.where(acts_on_exploration, self.read(params, exploration), z_encoder)

        noise = draw_noise(keys[4:8], config.acting, exploitation_epsilon, env.horizon)
        episode_keys = jax.random.split(keys[8], config.trial.exploitation_episodes)
        exploitation = rollout.over_episodes(
            lambda k, i: self.exploit(params, k, problem, i, z, noise).episode,
            episode_keys,
            instructions,
        )
        return Trial(problem, exploration, instructions, exploitation, acts_on_exploration)

    def meta_test(
        self, params: DreamParams, key: Key, problem: Array, instructions: Array
    ) -> MetaTest:
        """One greedy trial with z = g(tau). `problem` [] drives the environment and nothing else.

        instructions: [N, I].
        """
        explore_key, exploit_key = jax.random.split(key)
        explored = self.explore(params, explore_key, problem, jnp.float32(self.test_epsilon))
        z = self.read(params, explored.episode)
        exploited = self.exploit_all(params, exploit_key, problem, instructions, z)
        return rollout.as_meta_test(explored, exploited, z)

    def informed_test(
        self, params: DreamParams, key: Key, problem: Array, instructions: Array
    ) -> Episode | None:
        """Greedy exploitation episodes with z = f(mu): leaves [N, ...]."""
        z = self.encode(params, problem)
        return self.exploit_all(params, key, problem, instructions, z).episode

    def exploit_all(
        self, params: DreamParams, key: Key, problem: Array, instructions: Array, z: Array
    ) -> Rollout:
        """N greedy exploitation episodes with the same z: leaves [N, ...]."""
        keys = jax.random.split(key, jax.tree.leaves(instructions)[0].shape[0])
        return rollout.over_episodes(
            lambda k, i: self.exploit(params, k, problem, i, z), keys, instructions
        )

    def step_information(
        self, params: DreamParams, exploration: Episode, problem: Array, trained_on: bool
    ) -> tuple[str, Array]:
        """The information gain of each step (Eq. 5), [L].

        f(mu) has not been trained on an unseen problem. There the values are the distances that
        each step moved the decoder's reading, |g(tau_:t) - g(tau_:t-1)|.
        """
        g = self.decode(params, exploration)
        if trained_on:
            return "gain", losses.information_gain(g, self.encode(params, problem), 0.0)
        return "belief moved by", jnp.linalg.norm(g[1:] - g[:-1], axis=-1)
