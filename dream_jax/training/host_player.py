"""A trained agent in any dm_env world, step by step. The world need not run in JAX."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import dm_env
import jax
import jax.numpy as jnp
import numpy as np

from dream_jax.agents.dream_networks import DreamParams
from dream_jax.agents.dream_policy import DreamPolicy
from dream_jax.config import ConfigError
from dream_jax.data import rollout
from dream_jax.data.rollout import Decision, Policy, View
from dream_jax.losses.dream import information_gain
from dream_jax.types import Array, Episode, Key


class World(Protocol):
    """A `dm_env.Environment` that lets the task be chosen, as `DmEnvAdapter` does."""

    def begin(self, problem: int, instruction: Sequence[int]) -> dm_env.TimeStep:
        """The first time step of an episode of this task."""

    def step(self, action: int) -> dm_env.TimeStep: ...


class Played(NamedTuple):
    """An episode as it was played: arrays of the steps that were taken, T of them."""

    observation: np.ndarray  # [T + 1, ...] as the world showed them
    action: np.ndarray  # [T] int32
    reward: np.ndarray  # [T] float32
    watched: list[Any]  # [T + 1] what `watch` returned, for pictures of it


class PlayedTrial(NamedTuple):
    exploration: Played
    exploitation: list[Played]  # N
    z: np.ndarray  # [Z] read from the exploration
    gain: np.ndarray  # [T] information gain of each exploration step, by f of the true problem


class Player:
    """A trained DREAM agent at meta-test in a `World`, step by step.

    It acts greedily with z = g(tau). The problem id chooses the task and nothing else; the agent
    sees only what the world shows. A trial has one exploration episode. For example, with an agent
    trained on `map`, in the same map as a dm_env world:

        from dream_jax.envs.adapters.dm_env import DmEnvAdapter

        player = Player(agent, params)
        world = DmEnvAdapter(agent.env)
        instructions = agent.env.instructions(3)[:1]
        played = player.trial(world, jax.random.key(0), 3, instructions, instructions[0])
        played.exploitation[0].reward.sum()
    """

    def __init__(
        self, agent: DreamPolicy, params: DreamParams, watch: Callable[[], Any] = lambda: None
    ):
        """`watch` is called after every step, for pictures. The agent does not see its result.

        Raises ConfigError unless an exploration is one episode of the world.
        """
        trial = agent.config.trial
        if trial.exploration_episodes != 1 or not trial.hidden_goal_ends_exploration:
            raise ConfigError(
                f"trial.exploration_episodes={trial.exploration_episodes}, "
                f"trial.hidden_goal_ends_exploration={trial.hidden_goal_ends_exploration}: a world "
                "is explored for one episode; set 1 and true"
            )
        self._agent, self._params, self._watch = agent, params, watch

        def exploring(memory: Any, view: View, key: Key) -> tuple[Any, Decision]:
            policy, _ = agent.exploration_policy(params, jnp.float32(agent.test_epsilon))
            return policy(memory, view, key)

        def exploiting(
            memory: Any, view: View, key: Key, instruction: Array, z: Array
        ) -> tuple[Any, Decision]:
            policy, _ = agent.exploitation_policy(params, instruction, z)
            return policy(memory, view, key)

        def reading(episode: Episode, problem: Array) -> tuple[Array, Array]:
            gain = information_gain(
                agent.decode(params, episode), agent.encode(params, problem), 0.0
            )
            return agent.read(params, episode), gain

        self._exploring, self._exploiting = jax.jit(exploring), jax.jit(exploiting)
        self._reading = jax.jit(reading)

    def trial(
        self, world: World, key: Key, problem: int, instructions: np.ndarray, hidden: np.ndarray
    ) -> PlayedTrial:
        """One trial.

        Args:
          world: where to play.
          key: random actions are drawn with it, where there are any.
          problem: id of the task.
          instructions: [N, I] one for each exploitation episode.
          hidden: [I] the instruction that the exploration pays for. The agent never sees it.
        """
        explore_key, exploit_key = jax.random.split(key)
        _, memory = self._agent.exploration_policy(self._params, 0.0)
        first = world.begin(problem, hidden.tolist())
        exploration = self._play(first, world, memory, explore_key, self._exploring)
        z, gain = self._reading(self._padded(exploration), jnp.int32(problem))
        episodes = []
        for n, instruction in enumerate(instructions):
            shown = jnp.asarray(instruction, jnp.int32)
            _, memory = self._agent.exploitation_policy(self._params, shown, z)
            act = functools.partial(self._exploiting, instruction=shown, z=z)
            first = world.begin(problem, instruction.tolist())
            episode_key = jax.random.fold_in(exploit_key, n)
            episodes.append(self._play(first, world, memory, episode_key, act))
        return PlayedTrial(
            exploration, episodes, np.asarray(z), np.asarray(gain)[: len(exploration.action)]
        )

    def _play(
        self, first: dm_env.TimeStep, world: World, memory: Any, key: Key, policy: Policy
    ) -> Played:
        """One episode, from its first time step."""
        horizon = self._agent.env.horizon
        fractions = rollout.fraction_over(horizon)
        now, observations, watched = first, [_seen(first)], [self._watch()]
        previous = jnp.int32(self._agent.env.num_actions), jnp.float32(0.0)
        actions: list[int] = []
        rewards: list[float] = []
        while not now.last() and len(actions) < horizon:
            step = len(actions)
            observation = jnp.asarray(observations[-1])
            view = View(observation, *previous, fractions[step], jnp.int32(step))
            memory, decision = policy(memory, view, jax.random.fold_in(key, step))
            now = world.step(int(decision.action))
            actions.append(int(decision.action))
            rewards.append(float(now.reward))
            observations.append(_seen(now))
            watched.append(self._watch())
            previous = jnp.int32(actions[-1]), jnp.float32(rewards[-1])
        return Played(
            np.stack(observations),
            np.array(actions, np.int32),
            np.array(rewards, np.float32),
            watched,
        )

    def _padded(self, played: Played) -> Episode:
        """As the networks take it: [horizon] steps, the last observation repeated."""
        steps, horizon = len(played.action), self._agent.env.horizon
        rest = horizon - steps
        observation = np.concatenate([played.observation, played.observation[-1:].repeat(rest, 0)])
        mask = np.arange(horizon) < steps
        no = np.zeros(horizon, bool)
        return Episode(
            jnp.asarray(observation),
            jnp.asarray(np.pad(played.action, (0, rest)).astype(np.uint8)),
            jnp.asarray(np.pad(played.reward, (0, rest))),
            jnp.asarray(no),  # only learning needs to know how it ended
            jnp.asarray(no),
            jnp.asarray(mask),
        )


def _seen(now: dm_env.TimeStep) -> np.ndarray:
    """Pictures stay uint8; integer components come as they are."""
    return np.asarray(now.observation["observation"])
