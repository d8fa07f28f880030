"""`Corridor` stepped by hand, and rollouts of it at random."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from dream_jax.data import rollout
from dream_jax.data.rollout import Decision
from tests import probes
from tests.probes import quick_jit

CORRIDOR = probes.Corridor()  # horizon 4, start 2, goals 0 and 4
END = CORRIDOR.end_episode_action
TRIALS = 18


def random_action(key, env):
    """Any action; the one that ends the episode with probability 0.1."""
    p = jnp.full(env.num_actions, 0.9 / (env.num_actions - 1)).at[env.end_episode_action].set(0.1)
    return jax.random.categorical(key, jnp.log(p))


@functools.cache
def explored(trial, env=CORRIDOR):
    """(problems, Episode, states) of random exploration, leaves [TRIALS, ...] as numpy."""

    def policy(memory, view, key):
        return memory, Decision(random_action(key, env), jnp.zeros(env.num_actions))

    def one(key, problem):
        played = rollout.explore(env, policy, (), key, problem, trial)
        return played.episode, played.states

    problems = np.arange(TRIALS, dtype=np.int32) % env.num_problems
    keys = jax.random.split(jax.random.key(0), TRIALS)
    return problems, *jax.tree.map(np.asarray, quick_jit(jax.vmap(one))(keys, problems))


def trial_number(i, batch):
    return jax.tree.map(lambda x: x[i], batch)


compiled_reset = quick_jit(lambda problem, instruction: CORRIDOR.reset(None, problem, instruction))
compiled_step = quick_jit(CORRIDOR.step)


def reset(problem, instruction):
    return jax.device_get(compiled_reset(problem, instruction))


def step(state, action):
    return jax.device_get(compiled_step(state, action.astype(np.int32)))


def assert_same(state, expected):
    assert all(np.array_equal(x, y) for x, y in zip(state, expected, strict=True))


def assert_padding(episode, length, last_observation):
    """From step `length` on, nothing happens and the last observation is repeated."""
    steps = len(episode.mask)
    assert episode.mask.tolist() == [True] * length + [False] * (steps - length)
    np.testing.assert_array_equal(
        episode.observation[length:], [last_observation] * (steps + 1 - length)
    )
    assert not episode.reward[length:].any()
    ends = episode.terminated | episode.truncated
    assert ends.tolist() == [t == length - 1 for t in range(steps)]
    assert not (episode.terminated & episode.truncated).any()
