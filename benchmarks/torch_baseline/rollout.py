"""Collects a batch of trials in parallel: networks in PyTorch, environments in NumPy."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.torch_baseline.agent import Agent
from benchmarks.torch_baseline.envs import GridWorld
from benchmarks.torch_baseline.types import Episode, Trials, from_numpy

Array = np.ndarray
# (step, observation [B, K], last action [B], memory) -> (memory, Q-values [B, A])
Policy = Callable[[int, Tensor, Tensor, Any], tuple[Any, Tensor]]


class Collector:
    """Draws problems and collects trials, for one seed."""

    def __init__(self, agent: Agent, env: GridWorld, seed: int):
        self.agent, self.env = agent, env
        self.rng = np.random.default_rng(seed)
        acting, actions = agent.config.acting, np.arange(env.num_actions)
        counts = np.array(acting.random_action_counts or np.ones_like(actions))
        counts[list(acting.excluded_random_actions)] = 0
        self._random = np.repeat(actions, counts)

    @torch.no_grad()
    def trials(
        self, explore_epsilon: Array, exploit_epsilon: Array, acts_on_exploration: Array
    ) -> Trials:
        """One trial of each of B parallel actors; all arguments are [B]."""
        rng, env, agent = self.rng, self.env, self.agent
        count = len(acts_on_exploration)
        problem = rng.choice(env.train_ids, count)
        exploration = self._explore(problem, explore_epsilon)

        instruction = env.sample_instructions(rng, problem)
        z = agent.encoder(from_numpy(problem))
        z = z + agent.config.losses.rho * torch.randn(z.shape)
        read = from_numpy(np.flatnonzero(acts_on_exploration))
        if len(read):
            z[read] = agent.decoder.read(
                exploration.observation[:, read],
                exploration.action[:, read],
                exploration.mask[:, read].sum(0),
            )
        exploitation = self._exploit(problem, instruction, z, exploit_epsilon)
        return Trials(
            from_numpy(problem),
            from_numpy(acts_on_exploration),
            from_numpy(instruction),
            exploration,
            exploitation,
        )

    def _explore(self, problem: Array, epsilon: Array) -> Episode:
        env, net = self.env, self.agent.explore
        hidden_goal = env.sample_instructions(self.rng, problem)

        def policy(step, observation, action, memory):
            time = torch.full((1,), step / env.horizon)
            return net.step(memory, observation, action, time)

        memory = net.memory.initial(len(problem))
        rates = np.broadcast_to(epsilon, (env.horizon, len(problem)))
        return self._episode(policy, memory, problem, hidden_goal, rates)

    def _exploit(self, problem: Array, instruction: Array, z: Tensor, epsilon: Array) -> Episode:
        rng, env, net = self.rng, self.env, self.agent.exploit
        acting, count = self.agent.config.acting, len(problem)
        # Some episodes are greedy up to a random step and random after it. In some, the policy sees
        # a time that is shifted forward.
        suffix = rng.random(count) < acting.random_suffix_fraction
        start = np.where(suffix, rng.integers(0, env.horizon, count), env.horizon)
        before = np.where(suffix, acting.epsilon_min, epsilon)
        steps = np.arange(env.horizon)[:, None]
        rates = np.where(steps >= start, np.maximum(before, 0.9), before)
        shifted = rng.random(count) < acting.time_shift_fraction
        shift = from_numpy(np.where(shifted, rng.random(count), 0.0).astype(np.float32))
        goal = from_numpy(instruction)

        def policy(step, observation, action, memory):
            time = (shift + step / env.horizon).clamp(max=1.0)
            return net.step(memory, observation, goal, z, time)

        return self._episode(policy, net.memory.initial(count), problem, instruction, rates)

    def _episode(
        self, policy: Policy, memory: Any, problem: Array, instruction: Array, epsilon: Array
    ) -> Episode:
        """Episodes [T, B]. `epsilon` [T, B] is the probability of a random action."""
        env, rng, count = self.env, self.rng, len(problem)
        shape = (env.horizon, count)
        is_random = rng.random(shape) < epsilon
        random_action = rng.choice(self._random, shape)
        action = np.zeros(shape, np.int64)
        reward = np.zeros(shape, np.float32)
        terminated, truncated, mask = (np.zeros(shape, bool) for _ in range(3))

        observation = np.empty((env.horizon + 1, count, len(env.observation_sizes)), np.int64)
        observation[0] = env.reset(problem, instruction)
        alive = np.ones(count, bool)
        last_action = np.full(count, env.num_actions)
        for t in range(env.horizon):
            memory, q = policy(t, from_numpy(observation[t]), from_numpy(last_action), memory)
            chosen = np.where(is_random[t], random_action[t], q.argmax(-1).cpu().numpy())
            seen, gained, over, out_of_time = env.step(chosen)
            observation[t + 1] = np.where(alive[:, None], seen, observation[t])
            action[t], reward[t] = chosen, np.where(alive, gained, 0.0)
            terminated[t], truncated[t], mask[t] = over & alive, out_of_time & alive, alive
            alive &= ~(over | out_of_time)
            last_action = chosen
            if not alive.any():
                observation[t + 2 :] = observation[t + 1]
                break
        arrays = (observation, action, reward, terminated, truncated, mask)
        return Episode(*(from_numpy(x) for x in arrays))
