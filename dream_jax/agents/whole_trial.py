"""What E-RL2, IMPORT and VariBAD share: ONE recurrent Q-policy for a whole trial, end to end.

The policy is DREAM's exploitation policy, Q(s, i, context). The context is computed anew at every
step from what the trial has shown so far (`networks.history`). Rewards of exploration count 0
(unless `end_to_end.exploration_return`), and the last step of exploration bootstraps from the first
state of exploitation. Nothing else teaches such an agent to explore.
"""

from typing import Any

import jax
import jax.numpy as jnp

from dream_jax.agents import inputs, trial_sequence
from dream_jax.agents.exploration_noise import GREEDY, ExplorationNoise, draw_noise, epsilon_greedy
from dream_jax.agents.trial_sequence import TrialSequence
from dream_jax.agents.whole_trial_networks import Informed, WholeTrialNetworks
from dream_jax.data import pictures, rollout
from dream_jax.data.rollout import Decision, Policy, Rollout, View
from dream_jax.losses.td import double_q_lambda
from dream_jax.networks.history import Slots
from dream_jax.types import (
    Array,
    Episode,
    Gather,
    Key,
    LossContext,
    LossTerms,
    MetaTest,
    Trial,
    is_pixel_env,
)


class WholeTrial(WholeTrialNetworks):
    """Acting and TD errors. A subclass computes its `loss_terms`."""

    loss_names: tuple[str, ...] = ("td",)

    @property
    def loss_weights(self) -> dict[str, float]:
        return {"td": 1.0}

    def batch_statistics(self, params: Any, trials: Trial, gather: Gather) -> None:
        """Every trial's losses depend on that trial alone."""

    def loss_terms(self, params: Any, target: Any, trial: Trial, context: LossContext) -> LossTerms:
        raise NotImplementedError

    # Acting

    def collect(
        self,
        params: Any,
        key: Key,
        exploration_epsilon: Array,
        exploitation_epsilon: Array,
        acts_on_exploration: Array,
    ) -> Trial:
        """One trial to learn from.

        Without `acts_on_exploration`, an agent that can act on the problem id does so throughout.
        """
        keys = jax.random.split(key, 7)
        problem = inputs.draw_problem(keys[0], self.env)
        instructions = rollout.sample_instructions(self.env, keys[1], problem, self.config.trial)
        noise = draw_noise(keys[2:6], self.config.acting, exploitation_epsilon, self.env.horizon)
        informed = self.informed(params, problem, ~acts_on_exploration)
        trial = self.roll(
            params, keys[6], problem, instructions, exploration_epsilon, noise, informed
        )
        uninformed = jnp.ones((), bool) if informed is None else acts_on_exploration
        return Trial(problem, trial.exploration, instructions, trial.exploitation, uninformed)

    def meta_test(self, params: Any, key: Key, problem: Array, instructions: Array) -> MetaTest:
        """One greedy trial. `problem` [] drives the environment and nothing else.

        instructions: [N, I].
        """
        return self.roll(params, key, problem, instructions, self.test_epsilon)

    @property
    def test_epsilon(self) -> float:
        """Epsilon of exploration at meta-test: 0, or 1 if exploration is random by config."""
        return 1.0 if self.config.acting.random_exploration else 0.0

    def informed_test(
        self, params: Any, key: Key, problem: Array, instructions: Array
    ) -> Episode | None:
        """Exploitation episodes [N, ...] of a greedy trial with the problem id, or None."""
        informed = self.informed(params, problem, True)
        if informed is None:
            return None
        return self.roll(params, key, problem, instructions, informed=informed).exploitation

    def roll(
        self,
        params: Any,
        key: Key,
        problem: Array,
        instructions: Array,
        exploration_epsilon: Array | float = 0.0,
        noise: ExplorationNoise = GREEDY,
        informed: Informed | None = None,
    ) -> MetaTest:
        """One trial. The memory goes from episode to episode. instructions: [N, I]."""
        explore_key, exploit_key = jax.random.split(key)
        memory = self._history.apply(self.history_weights(params), method="initial")
        policy = self._exploration_policy(params, exploration_epsilon, informed)
        explored = rollout.explore(
            self.env, policy, memory, explore_key, problem, self.config.trial
        )
        last = jax.tree.map(lambda x: x[-1], explored.episode.instruction)  # None stays None
        last = trial_sequence.exploring(self.env, last)
        shown = self.config.trial.rewards_in_exploration
        memory = self._remember_end(params, explored, last, shown)

        def episode(memory: Any, inputs: tuple[Key, Array]) -> tuple[Any, Rollout]:
            key, instruction = inputs
            policy = self._exploitation_policy(params, instruction, noise, informed)
            played = rollout.exploit(self.env, policy, memory, key, problem, instruction)
            shown = trial_sequence.shown(self.env, instruction)
            memory = self._remember_end(params, played, shown, True)
            return memory, played._replace(memory=None)

        keys = jax.random.split(exploit_key, jax.tree.leaves(instructions)[0].shape[0])
        _, exploited = jax.lax.scan(episode, memory, (keys, instructions))
        return rollout.as_meta_test(explored, exploited, None)

    def step_information(
        self, params: Any, exploration: Episode, problem: Array, trained_on: bool
    ) -> tuple[str, Array]:
        """How far each step of exploration moved the context, [L]."""
        part = trial_sequence.of_exploration(self.config, self.env, exploration)
        context = self.context(self.remember(params, part))
        return "context moved by", jnp.linalg.norm(context[1:] - context[:-1], axis=-1)

    def _exploration_policy(
        self, params: Any, epsilon: Array | float, informed: Informed | None
    ) -> Policy:
        """The policy of exploration, whose instruction is hidden by default."""
        shown = self.config.trial.rewards_in_exploration

        def policy(memory: Any, view: View, key: Key) -> tuple[Any, Decision]:
            reward = view.previous_reward if shown else jnp.zeros_like(view.previous_reward)
            slot = Slots(
                view.observation,
                trial_sequence.exploring(self.env, view.instruction),
                view.previous_action,
                reward,
                jnp.zeros((), bool),
                view.fraction_over,
            )
            memory, q = self._act(params, memory, slot, informed, view.fraction_over)
            return memory, Decision(epsilon_greedy(key, q, epsilon, self._random_actions), q)

        return policy

    def _exploitation_policy(
        self, params: Any, instruction: Array, noise: ExplorationNoise, informed: Informed | None
    ) -> Policy:
        """The policy once the instruction [I] is given."""
        shown = trial_sequence.shown(self.env, instruction)

        def policy(memory: Any, view: View, key: Key) -> tuple[Any, Decision]:
            slot = Slots(
                view.observation,
                shown,
                view.previous_action,
                view.previous_reward,
                jnp.zeros((), bool),
                view.fraction_over,
            )
            # The memory records the true time, since learning sees no other.
            believed = jnp.minimum(view.fraction_over + noise.time_shift, 1.0)
            memory, q = self._act(params, memory, slot, informed, believed)
            epsilon = noise.rate(view.step)
            return memory, Decision(epsilon_greedy(key, q, epsilon, self._random_actions), q)

        return policy

    def _act(
        self, params: Any, memory: Any, slot: Slots, informed: Informed | None, believed: Array
    ) -> tuple[Any, Array]:
        """One slot -> (memory, Q-values [A]) of a policy that believes the time is `believed`."""
        weights = self.history_weights(params)
        memory, history = self._history.apply(weights, memory, slot, method="step")
        context = self.context(history)
        if informed is not None:
            context = jnp.where(informed.use, informed.context, context)
        inputs = slot.observation, slot.instruction, context, believed
        _, q = self._policy.apply(self.policy_weights(params), (), *inputs, method="step")
        return memory, q

    def _remember_end(self, params: Any, played: Rollout, instruction: Array, shown: bool) -> Any:
        """The memory after the last slot of an episode. `shown`: whether its rewards are."""
        episode = played.episode
        steps = jnp.sum(episode.mask)
        last = jax.tree.map(lambda x: x[-1], episode.observation)  # padding repeats it
        reward = episode.reward[steps - 1]
        slot = Slots(
            pictures.look_at(self.env)(last) if is_pixel_env(self.env) else last,
            instruction,
            episode.action[steps - 1].astype(jnp.int32),
            reward if shown else jnp.zeros_like(reward),
            jnp.ones((), bool),
            rollout.fraction_over(episode.mask.shape[0])[steps],
        )
        weights = self.history_weights(params)
        return self._history.apply(weights, played.memory, slot, method="step")[0]

    # Learning

    def td_errors(
        self,
        params: Any,
        target: Any,
        sequence: TrialSequence,
        context: Array,
        target_context: Array,
    ) -> tuple[Array, Array]:
        """TD errors of all actions of a trial, and their mask: both [L + N T].

        Slots without an action are left out, so that the first step of an episode follows the last
        step of the episode before. context: [S, C] or [C].
        """
        slots = sequence.slots
        context, target_context = (
            jnp.broadcast_to(x, (sequence.mask.shape[0], self.context_size))
            for x in (context, target_context)
        )

        def values(params, context):
            inputs = slots.observation, slots.instruction, context, slots.time
            return self._policy.apply(self.policy_weights(params), *inputs)

        order = trial_sequence.actions(sequence, 1 + self.config.trial.exploitation_episodes)
        now = order[:-1]
        errors = double_q_lambda(
            values(params, context)[order],
            values(target, target_context)[order],
            sequence.action[now],
            self._counted(sequence)[now],
            sequence.discount[now],
            sequence.acted[now],
            self.config.td.trace_lambda,
        )
        return errors, sequence.acted[now]

    def _counted(self, sequence: TrialSequence) -> Array:
        """[S] the rewards that count in the return. Those of exploration do in RL^2 alone."""
        if self.config.end_to_end.exploration_return:
            return sequence.reward
        return jnp.where(sequence.exploring, 0.0, sequence.reward)
