"""A trained agent in any dm_env world, step by step: for worlds that JAX cannot roll."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import dm_env
import jax
import jax.numpy as jnp
import numpy as np

from dream_jax.agents.dream_policy import DreamActor, DreamParams
from dream_jax.config import ConfigError
from dream_jax.data import rollout
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
    """Meta-testing in a `World`: greedy, z = g(tau), the problem id chooses the task and no more.

    The agent is told nothing but what the world shows; a trial has one exploration episode.
    """

    def __init__(
        self, agent: DreamActor, params: DreamParams, watch: Callable[[], Any] = lambda: None
    ):
        """`watch` is called after every step; the agent learns nothing of it."""
        trial = agent.config.trial
        if trial.exploration_episodes != 1 or not trial.hidden_goal_ends_exploration:
            raise ConfigError(
                f"trial.exploration_episodes={trial.exploration_episodes}, "
                f"trial.hidden_goal_ends_exploration={trial.hidden_goal_ends_exploration}: here "
                "an exploration is one episode of the world, 1 and true"
            )
        self._agent, self._params, self._watch = agent, params, watch
        epsilon = jnp.float32(1.0 if agent.config.agent == "random_exploration" else 0.0)

        # DREAM's exploitation policy looks at neither.
        nothing_before = jnp.int32(agent.env.num_actions), jnp.float32(0.0)

        def exploring(carry, observation, action, reward, fraction, key):
            actor, _ = agent.exploration_actor(params, epsilon)
            return actor(carry, observation, action, reward, fraction, key)

        def exploiting(carry, observation, instruction, z, fraction, step, key):
            actor, _ = agent.exploitation_actor(params, instruction, z)
            return actor(carry, observation, *nothing_before, fraction, step, key)

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
          hidden: [I] what the exploration episode's world pays for; the agent is not told.
        """
        exploration = self._explore(world, key, problem, hidden)
        z, gain = self._reading(self._padded(exploration), jnp.int32(problem))
        episodes = [
            self._exploit(world, jax.random.fold_in(key, n + 1), problem, instruction, z)
            for n, instruction in enumerate(instructions)
        ]
        return PlayedTrial(
            exploration, episodes, np.asarray(z), np.asarray(gain)[: len(exploration.action)]
        )

    def _explore(self, world: World, key: Key, problem: int, hidden: np.ndarray) -> Played:
        _, carry = self._agent.exploration_actor(self._params, jnp.float32(0.0))
        last = [jnp.int32(self._agent.env.num_actions), jnp.float32(0.0)]

        def act(carry: Any, observation: Array, fraction: Array, step: int) -> tuple[Any, Array]:
            step_key = jax.random.fold_in(key, step)
            return self._exploring(carry, observation, *last, fraction, step_key)

        def note(action: int, reward: float) -> None:
            last[:] = jnp.int32(action), jnp.float32(reward)

        return self._play(world.begin(problem, hidden.tolist()), world, carry, act, note)

    def _exploit(
        self, world: World, key: Key, problem: int, instruction: np.ndarray, z: Array
    ) -> Played:
        shown = jnp.asarray(instruction, jnp.int32)
        _, carry = self._agent.exploitation_actor(self._params, shown, z)

        def act(carry: Any, observation: Array, fraction: Array, step: int) -> tuple[Any, Array]:
            step_key = jax.random.fold_in(key, step)
            return self._exploiting(
                carry, observation, shown, z, fraction, jnp.int32(step), step_key
            )

        return self._play(
            world.begin(problem, instruction.tolist()), world, carry, act, lambda *_: None
        )

    def _play(
        self, first: dm_env.TimeStep, world: World, carry: Any, act: Any, note: Any
    ) -> Played:
        horizon = self._agent.env.horizon
        fractions = rollout.fraction_over(horizon)
        now, observations, watched = first, [_seen(first)], [self._watch()]
        actions: list[int] = []
        rewards: list[float] = []
        while not now.last() and len(actions) < horizon:
            step = len(actions)
            carry, action = act(carry, jnp.asarray(observations[-1]), fractions[step], step)
            now = world.step(int(action))
            note(int(action), float(now.reward))
            observations.append(_seen(now))
            watched.append(self._watch())
            actions.append(int(action))
            rewards.append(float(now.reward))
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
            jnp.asarray(no),  # how it ended is for learning only
            jnp.asarray(no),
            jnp.asarray(mask),
        )


def _seen(now: dm_env.TimeStep) -> np.ndarray:
    """Pictures stay uint8; integer components come as they are."""
    return np.asarray(now.observation["observation"])
