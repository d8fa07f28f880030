"""What E-RL2, IMPORT and VariBAD share: ONE recurrent Q-policy over a whole trial, end to end.

The policy is DREAM's exploitation policy, Q(s, i, context), with a context that is made anew at
every step from what the trial has shown so far (`nets.history`). Rewards of exploration count 0,
and the value of its last step is that of the first state of exploitation: this is all that teaches
such an agent to explore.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from dream_jax.agents import recurrent_q
from dream_jax.agents import trial_sequence as streams
from dream_jax.agents.recurrent_q import GREEDY, Plan
from dream_jax.agents.trial_sequence import Stream
from dream_jax.config import Config
from dream_jax.data import rollout
from dream_jax.losses.reduce import masked_mean
from dream_jax.losses.td import double_q_lambda
from dream_jax.networks.embedding import check_observations
from dream_jax.networks.history import History, Slots
from dream_jax.networks.policies import ExploitationPolicy
from dream_jax.training import shards as parallel
from dream_jax.types import Array, Env, Episode, Key, MetaTest, Params, Trial, is_pixel_env

Terms = dict[str, tuple[Array, Array]]  # by name of the loss: values and their mask


class Informed(NamedTuple):
    """A context made from the problem id, for agents that have one."""

    use: Array | bool  # [] act on it
    context: Array  # [C]


class WholeTrial:
    """Acting and TD errors; a subclass says what its parameters are and what the context is."""

    explorer, exploiter = "policy", "policy"
    loss_names: tuple[str, ...] = ("td",)

    def __init__(self, config: Config, env: Env, history_size: int, context_size: int):
        check_observations(config.networks, env)
        self.config, self.env = config, env
        self.context_size = context_size
        self.instruction_sizes = streams.instruction_sizes(env)
        sizes = (env.observation_sizes, self.instruction_sizes, env.num_actions)
        self._history = History(config.networks, *sizes, history_size)
        # No memory of its own: the context has all that was seen, of this episode too.
        nets = dataclasses.replace(config.networks, exploitation_memory="none")
        self._policy = ExploitationPolicy(nets, *sizes)
        self._random_actions = recurrent_q.random_action_set(config.acting, env.num_actions)

    # What a subclass says

    def history_weights(self, params: Any) -> Params:
        raise NotImplementedError

    def policy_weights(self, params: Any) -> Params:
        raise NotImplementedError

    def context(self, history: Array) -> Array:
        """What the policy is given, [..., C], of what `History` returns."""
        return history

    def informed(self, params: Any, problem: Array, use: Array | bool) -> Informed | None:
        """A context of the problem id; None: the agent never sees it."""
        return None

    def terms(self, params: Any, target: Any, trial: Trial, key: Key) -> Terms:
        """Loss terms of one trial, to be averaged over a batch with their masks."""
        raise NotImplementedError

    @property
    def loss_weights(self) -> Mapping[str, float]:
        return {"td": 1.0}

    # Parameters

    def init_history(self, key: Key) -> Params:
        slots = self._example()
        return self._history.init(key, slots, jnp.ones(2, bool))

    def init_policy(self, key: Key) -> Params:
        slots = self._example()
        context = jnp.zeros((2, self.context_size))
        return self._policy.init(key, slots.observation, slots.instruction, context, slots.time)

    def _example(self) -> Slots:
        return Slots(
            recurrent_q.example_observation(self.env, 2),
            jnp.zeros((2, len(self.instruction_sizes)), jnp.int32),
            jnp.zeros(2, jnp.int32),
            jnp.zeros(2),
            jnp.zeros(2, bool),
            jnp.zeros(2),
        )

    # Acting

    def collect(
        self,
        params: Any,
        key: Key,
        exploration_epsilon: Array,
        exploitation_epsilon: Array,
        from_decoder: Array,
    ) -> Trial:
        """One trial to learn from; told the problem id throughout if not `from_decoder`, by an
        agent that can be."""
        keys = jax.random.split(key, 7)
        problem = recurrent_q.draw_problem(keys[0], self.env)
        instructions = rollout.sample_instructions(self.env, keys[1], problem, self.config.trial)
        plan = recurrent_q.plan(
            keys[2:6], self.config.acting, exploitation_epsilon, self.env.horizon
        )
        informed = self.informed(params, problem, ~from_decoder)
        trial = self.roll(
            params, keys[6], problem, instructions, exploration_epsilon, plan, informed
        )
        uninformed = jnp.ones((), bool) if informed is None else from_decoder
        return Trial(problem, trial.exploration, instructions, trial.exploitation, uninformed)

    def meta_test(self, params: Any, key: Key, problem: Array, instructions: Array) -> MetaTest:
        """One greedy trial: the problem id drives the environment and nothing else."""
        return self.roll(params, key, problem, instructions)

    def informed_test(
        self, params: Any, key: Key, problem: Array, instructions: Array
    ) -> Episode | None:
        """The exploitation episodes [N, ...] of a greedy trial with the problem id, if it can."""
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
        plan: Plan = GREEDY,
        informed: Informed | None = None,
    ) -> MetaTest:
        """One trial, the memory carried from episode to episode. instructions: [N, I]."""
        explore_key, exploit_key = jax.random.split(key)
        memory = self._history.apply(self.history_weights(params), method="initial")
        hidden, shown = streams.hidden(self.env), self.config.trial.rewards_in_exploration

        def explorer(memory, observation, action, reward, fraction, key):
            reward = reward if shown else jnp.zeros_like(reward)
            slot = Slots(observation, hidden, action, reward, jnp.zeros((), bool), fraction)
            memory, q = self._act(params, memory, slot, informed, fraction)
            action = recurrent_q.epsilon_greedy(key, q, exploration_epsilon, self._random_actions)
            return memory, action

        exploration, states, memory = rollout.explore(
            self.env, explorer, memory, explore_key, problem, self.config.trial
        )
        memory = self._remember_end(params, memory, exploration, hidden, shown)

        def episode(memory, inputs):
            key, instruction = inputs
            told = streams.shown(instruction)

            def exploiter(memory, observation, action, reward, fraction, step, key):
                slot = Slots(observation, told, action, reward, jnp.zeros((), bool), fraction)
                # What is remembered has its true time: it is learned from with no other.
                believed = jnp.minimum(fraction + plan.time_shift, 1.0)
                memory, q = self._act(params, memory, slot, informed, believed)
                rate = plan.rate(step)
                return memory, recurrent_q.epsilon_greedy(key, q, rate, self._random_actions)

            played, states, memory = rollout.exploit(
                self.env, exploiter, memory, key, problem, instruction
            )
            memory = self._remember_end(params, memory, played, told, True)
            return memory, (played, states)

        keys = jax.random.split(exploit_key, instructions.shape[0])
        _, (exploitation, after) = jax.lax.scan(episode, memory, (keys, instructions))
        return MetaTest(exploration, exploitation, states, after)

    def told(self, params: Any, exploration: Episode, problem: int) -> tuple[str, Array]:
        """How far each step of exploration moved the context, [L]."""
        del problem
        part = streams.of_exploration(self.config, self.env, exploration)
        context = self.context(self.remember(params, part))
        return "context moved by", jnp.linalg.norm(context[1:] - context[:-1], axis=-1)

    def _act(
        self, params: Any, memory: Any, slot: Slots, informed: Informed | None, believed: Array
    ) -> tuple[Any, Array]:
        """One slot -> (memory, Q-values [A]) of a policy that takes the time to be `believed`."""
        weights = self.history_weights(params)
        memory, history = self._history.apply(weights, memory, slot, method="step")
        context = self.context(history)
        if informed is not None:
            context = jnp.where(informed.use, informed.context, context)
        inputs = slot.observation, slot.instruction, context, believed
        _, q = self._policy.apply(self.policy_weights(params), (), *inputs, method="step")
        return memory, q

    def _remember_end(
        self, params: Any, memory: Any, episode: Episode, instruction: Array, shown: bool
    ) -> Any:
        """The memory after the last slot of an episode."""
        steps = jnp.sum(episode.mask)
        last = jax.tree.map(lambda x: x[-1], episode.observation)  # padding repeats it
        reward = episode.reward[steps - 1]
        slot = Slots(
            self.env.observe(last) if is_pixel_env(self.env) else last,
            instruction,
            episode.action[steps - 1].astype(jnp.int32),
            reward if shown else jnp.zeros_like(reward),
            jnp.ones((), bool),
            rollout.fraction_over(episode.mask.shape[0])[steps],
        )
        return self._history.apply(self.history_weights(params), memory, slot, method="step")[0]

    # Learning

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
        """Weighted mean loss of a batch of whole trials (leaves [B, ...]), and its parts by name.

        There is one policy, so it learns from all of the batch: `exploring` is not looked at, and
        no bottleneck.
        With `shards`, results are this device's share, as in `types.Agent`.
        """
        del exploring, bottleneck_weight
        keys = shards.mine(jax.random.split(key, trials.problem.shape[0] * shards.devices))
        terms = jax.vmap(self.terms, in_axes=(None, None, 0, 0))(params, target, trials, keys)
        parts = {
            name: masked_mean(values, mask, shards.total(jnp.sum(mask)))
            for name, (values, mask) in terms.items()
        }
        weights = self.loss_weights
        total = sum((weights[name] * parts[name] for name in self.loss_names), jnp.zeros(()))
        return total, parts

    def stream(self, trial: Trial) -> Stream:
        """The slots of a recorded trial."""
        return streams.of_trial(self.config, self.env, trial)

    def remember(self, params: Any, stream: Stream) -> Array:
        """What `History` returns at every slot; padding leaves it as it is."""
        return self._history.apply(self.history_weights(params), stream.slots, stream.mask)

    def td_errors(
        self, params: Any, target: Any, stream: Stream, context: Array, target_context: Array
    ) -> tuple[Array, Array]:
        """TD errors of all actions of a trial, and their mask: both [L + N T].

        Slots in which nothing was done are left out, so that the last step of an episode is
        followed by the first of the next one. context: [S, C] or [C].
        """
        slots = stream.slots
        context, target_context = (
            jnp.broadcast_to(x, (stream.mask.shape[0], self.context_size))
            for x in (context, target_context)
        )

        def values(params, context):
            inputs = slots.observation, slots.instruction, context, slots.time
            return self._policy.apply(self.policy_weights(params), *inputs)

        order = streams.actions(stream, 1 + self.config.trial.exploitation_episodes)
        now = order[:-1]
        errors = double_q_lambda(
            values(params, context)[order],
            values(target, target_context)[order],
            stream.action[now],
            jnp.where(stream.exploring, 0.0, stream.reward)[now],
            stream.discount[now],
            stream.acted[now],
            self.config.td.trace_lambda,
        )
        return errors, stream.acted[now]
