"""Exploration noise: epsilon-greedy actions, its schedules, and the noise of one trial."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from dream_jax.config import ActingConfig
from dream_jax.types import Array, Key

SUFFIX_EPSILON = 0.9  # in the random suffix of an exploitation episode


def epsilon_greedy(key: Key, q: Array, epsilon: Array | float, random_actions: np.ndarray) -> Array:
    """Greedy with probability 1 - epsilon, else uniform over `random_actions`. q: [A] -> []."""
    coin, share = jax.random.uniform(key, (2,))  # one draw: `randint` would make four more
    choice = jnp.floor(share * len(random_actions)).astype(jnp.int32)
    action = jnp.where(coin < epsilon, jnp.asarray(random_actions)[choice], jnp.argmax(q))
    return action.astype(jnp.int32)


def random_action_set(acting: ActingConfig, num_actions: int) -> np.ndarray:
    """[n] the actions that a random one is drawn from, each as often as its count."""
    counts = np.array(acting.random_action_counts or [1] * num_actions)
    counts[list(acting.excluded_random_actions)] = 0
    return np.repeat(np.arange(num_actions, dtype=np.int32), counts)


def epsilons(acting: ActingConfig, own_steps: Array, count: int) -> Array:
    """[count] epsilon of each parallel trial, a function of a step count.

    "ladder": spread evenly from `epsilon_min` to `epsilon_max` over the parallel trials.
    "linear": one schedule from max to min over `epsilon_decay_steps` of the policy's own steps.
    """
    if acting.epsilon == "ladder":
        return jnp.linspace(acting.epsilon_min, acting.epsilon_max, count)
    schedule = optax.linear_schedule(
        acting.epsilon_max, acting.epsilon_min, acting.epsilon_decay_steps
    )
    return jnp.full((count,), schedule(own_steps))


def pairing(count: int) -> np.ndarray:
    """[count] a permutation whose points (k, pairing[k]) cover the square evenly (golden ratio).

    For a policy that both explores and exploits. It must see greedy exploitation after greedy
    exploration, and after random exploration too.
    """
    return np.argsort(np.argsort(np.arange(count) * (np.sqrt(5.0) - 1.0) / 2.0 % 1.0))


class ExplorationNoise(NamedTuple):
    """Noise in the exploitation episodes of one trial."""

    epsilon: Array | float = 0.0  # [] of epsilon-greedy
    suffix_start: Array | None = None  # [] from this step on, actions are nearly all random
    time_shift: Array | float = 0.0  # [] added to the share of the episode that the policy sees

    def rate(self, step: Array) -> Array | float:
        """Epsilon of a step, []."""
        if self.suffix_start is None:
            return self.epsilon
        in_suffix = step >= self.suffix_start
        return jnp.where(in_suffix, jnp.maximum(self.epsilon, SUFFIX_EPSILON), self.epsilon)


GREEDY = ExplorationNoise()


def draw_noise(keys: Key, acting: ActingConfig, epsilon: Array, horizon: int) -> ExplorationNoise:
    """The noise of one trial by the settings of `acting`. keys: [4], epsilon: []."""
    # Greedy up to a random step, then random: this visits what follows a half-learned policy.
    suffix = jax.random.bernoulli(keys[0], acting.random_suffix_fraction)
    start = jnp.where(suffix, jax.random.randint(keys[1], (), 0, horizon), horizon)
    epsilon = jnp.where(suffix, acting.epsilon_min, epsilon)
    # The policy believes that it is later: actions that it first learns near the end come early.
    shifted = jax.random.bernoulli(keys[2], acting.time_shift_fraction)
    shift = jnp.where(shifted, jax.random.uniform(keys[3]), 0.0)
    return ExplorationNoise(epsilon, start, shift)
