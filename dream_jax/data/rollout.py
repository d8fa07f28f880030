"""Whole episodes and trials under scan; knows environments and policies by protocol only.

Every function rolls ONE episode or trial; callers vmap over trials.

Several exploration episodes of a trial are one stream of L = E * T + (E - 1) steps: after an
episode ends, one step whose action has no effect shows the first observation of the next one.
For E = 1 this is the episode itself.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from dream_jax.config import TrialConfig
from dream_jax.types import Array, Env, Episode, Key, is_pixel_env

# (carry, observation, previous action, previous reward, fraction over, key) -> (carry, action)
ExplorationActor = Callable[[Any, Array, Array, Array, Array, Key], tuple[Any, Array]]
# The same with the number of the step: (carry, observation, previous action, previous reward,
# fraction over, step, key) -> (carry, action)
ExploitationActor = Callable[[Any, Array, Array, Array, Array, Array, Key], tuple[Any, Array]]


def exploration_length(env: Env, trial: TrialConfig) -> int:
    """L, the most steps of the exploration stream."""
    return trial.exploration_episodes * (env.horizon + 1) - 1


def fraction_over(length: int) -> Array:
    """[length + 1] share of a stream of `length` steps that is over before each step."""
    return jnp.arange(length + 1, dtype=jnp.float32) / length


def explore(
    env: Env,
    actor: ExplorationActor,
    carry: Any,
    key: Key,
    problem: Array,
    trial: TrialConfig,
) -> tuple[Episode, Any, Any]:
    """The exploration stream of a trial, each episode with a hidden instruction of its own.

    Also returns the environment states [L + 1, ...], for rendering, and what the actor carried
    after its last step; unused, they cost nothing under jit.
    """
    length = exploration_length(env, trial)
    episodes = trial.exploration_episodes

    def start(key):
        instruction_key, reset_key = jax.random.split(key)
        instruction = env.sample_instruction(instruction_key, problem)
        return env.reset(reset_key, problem, instruction)

    def body(loop, inputs):
        (
            state,
            observation,
            kept,
            memory,
            last_memory,
            last_action,
            last_reward,
            steps,
            ended,
            episode,
            alive,
        ) = loop
        key, fraction = inputs
        if episodes > 1:
            key, start_key = jax.random.split(key)
        memory, action = actor(memory, observation, last_action, last_reward, fraction, key)
        next_state, time_step = env.step(state, action)
        steps = steps + 1
        over = time_step.terminated
        if not trial.hidden_goal_ends_exploration:
            over = action == env.end_episode_action
        truncated = (time_step.truncated | (steps >= env.horizon)) & ~over
        reward = time_step.reward
        next_observation = time_step.observation
        if episodes > 1:  # this step may be the reset between two episodes
            fresh_state, fresh = start(start_key)
            next_state = _select(ended, fresh_state, next_state)
            next_observation = jnp.where(ended, fresh.observation, next_observation)
            reward = jnp.where(ended, 0.0, reward)
            over, truncated = over & ~ended, truncated & ~ended
            steps = jnp.where(ended, 0, steps)
            episode = episode + ended
        now_ended = over | truncated
        last = now_ended & (episode == episodes - 1)
        # Padding repeats the last observation; the state is never looked at again.
        next_kept = _select(alive, _keep(env, next_state, next_observation), kept)
        record = Episode(
            kept,
            action.astype(jnp.uint8),
            jnp.where(alive, reward, 0.0),
            alive & last & over,
            alive & last & truncated,
            alive,
        )
        loop = (
            next_state,
            next_observation,
            next_kept,
            memory,
            _select(alive, memory, last_memory),
            action,
            reward,
            steps,
            now_ended,
            episode,
            alive & ~last,
        )
        return loop, (record, state)

    reset_key, loop_key = jax.random.split(key)
    state, first = start(reset_key)
    loop = (
        state,
        first.observation,
        _keep(env, state, first.observation),
        carry,
        carry,
        *_nothing_before(env),
        jnp.zeros((), jnp.int32),
        jnp.zeros((), bool),
        jnp.zeros((), jnp.int32),
        jnp.ones((), bool),
    )
    inputs = (jax.random.split(loop_key, length), fraction_over(length)[:-1])
    loop, (record, states) = jax.lax.scan(body, loop, inputs)
    return _with_last(record, loop[2]), _append(states, loop[0]), loop[4]


def exploit(
    env: Env,
    actor: ExploitationActor,
    carry: Any,
    key: Key,
    problem: Array,
    instruction: Array,
) -> tuple[Episode, Any, Any]:
    """One exploitation episode. `actor` already knows the instruction and z.

    Also returns the environment states [T + 1, ...] and what was carried last, as `explore`.
    """

    def body(loop, inputs):
        state, observation, kept, memory, last_memory, last_action, last_reward, alive = loop
        key, fraction, step = inputs
        memory, action = actor(memory, observation, last_action, last_reward, fraction, step, key)
        next_state, time_step = env.step(state, action)
        next_kept = _select(alive, _keep(env, next_state, time_step.observation), kept)
        record = Episode(
            kept,
            action.astype(jnp.uint8),
            jnp.where(alive, time_step.reward, 0.0),
            alive & time_step.terminated,
            alive & time_step.truncated,
            alive,
        )
        loop = (
            next_state,
            time_step.observation,
            next_kept,
            memory,
            _select(alive, memory, last_memory),
            action,
            time_step.reward,
            alive & ~time_step.done,
        )
        return loop, (record, state)

    reset_key, loop_key = jax.random.split(key)
    state, first = env.reset(reset_key, problem, instruction)
    length = env.horizon
    inputs = (
        jax.random.split(loop_key, length),
        fraction_over(length)[:-1],
        jnp.arange(length),
    )
    kept = _keep(env, state, first.observation)
    alive = jnp.ones((), bool)
    loop = (state, first.observation, kept, carry, carry, *_nothing_before(env), alive)
    loop, (record, states) = jax.lax.scan(body, loop, inputs)
    return _with_last(record, loop[2]), _append(states, loop[0]), loop[4]


def sample_instructions(env: Env, key: Key, problem: Array, trial: TrialConfig) -> Array:
    """[N, I] uint8: one instruction per exploitation episode, or the same for all."""
    keys = jax.random.split(key, trial.exploitation_episodes)
    if not trial.redraw_instruction:
        keys = jnp.broadcast_to(keys[0], keys.shape)
    drawn = jax.vmap(lambda k: env.sample_instruction(k, problem))(keys)
    return drawn.astype(jnp.uint8)


def over_episodes(function: Callable[..., Any], *trees: Any) -> Any:
    """`jax.vmap` of a function of one exploitation episode over the N of a trial.

    One alone gets no axis of size 1 inside: XLA on a CPU multiplies and sums over the last axis of
    [32, 1, 21, 128] ten times as slowly as of [32, 21, 128].
    """
    if len(jax.tree.leaves(trees)[0]) > 1:
        return jax.vmap(function)(*trees)
    return jax.tree.map(lambda x: x[None], function(*jax.tree.map(lambda x: x[0], trees)))


def draw(look: Callable[[Any], Array], states: Any) -> Array:
    """`look` at each of an episode's states: leaves [n, ...] -> pictures [n, ...].

    In a loop of two halves, because XLA would otherwise draw inside the networks that look at the
    pictures, byte by byte: on a CPU seven times slower (an optimization barrier does not help).
    """
    count = jax.tree.leaves(states)[0].shape[0]
    half = (count + 1) // 2
    halves = jax.tree.map(lambda x: jnp.stack([x[:half], x[count - half :]]), states)
    first, second = jax.lax.map(jax.vmap(look), halves)
    return jnp.concatenate([first, second[2 * half - count :]])


def seen(env: Env, episode: Episode) -> Episode:
    """An episode with its observations as networks take them: pictures are drawn now, unless they
    were seen elsewhere and are there already."""
    if not is_pixel_env(env) or isinstance(episode.observation, jax.Array):
        return episode
    return episode._replace(observation=draw(env.observe, episode.observation))


def _nothing_before(env: Env) -> tuple[Array, Array]:
    """What the first step of an episode is told of the step before: no action, no reward."""
    return jnp.array(env.num_actions, jnp.int32), jnp.zeros((), jnp.float32)


def _keep(env: Env, state: Any, observation: Array) -> Any:
    """What an episode keeps of an observation: small integers, or for a picture its state."""
    return state if is_pixel_env(env) else observation.astype(jnp.uint8)


def _with_last(record: Episode, last: Any) -> Episode:
    return record._replace(observation=_append(record.observation, last))


def _append(sequence: Any, last: Any) -> Any:
    return jax.tree.map(lambda xs, x: jnp.concatenate([xs, x[None]]), sequence, last)


def _select(condition: Array, when_true: Any, when_false: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), when_true, when_false)
