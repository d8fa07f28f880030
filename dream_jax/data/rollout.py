"""Rolls whole episodes in a scan. Environments and policies are known by their protocol only.

Every function rolls ONE episode; callers vmap over trials.

Several exploration episodes of a trial make one stream of L = E * T + (E - 1) steps. After an
episode ends, one step whose action has no effect shows the first observation of the next episode.
With E = 1 the stream is the episode itself.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from dream_jax import specs
from dream_jax.config import TrialConfig
from dream_jax.data import pictures
from dream_jax.types import Array, Env, Episode, Key, MetaTest, TimeStep, is_pixel_env


class View(NamedTuple):
    """What a policy sees before a step."""

    observation: Any  # as the environment shows it
    previous_action: Array  # [] int32; `num_actions` before the first step
    previous_reward: Array  # [] 0 before the first step
    fraction_over: Array  # [] share of the episode, or of the exploration stream, that is over
    step: Array  # [] int32, steps taken before
    # While exploring, the instruction that rewards follow, where agents may see it.
    instruction: Any = None


class Decision(NamedTuple):
    """What a policy does at a step."""

    action: Array  # [] int32
    q: Array  # [A] the values that it chose by


# A recurrent policy: (memory, view, key) -> (memory, decision).
Policy = Callable[[Any, View, Key], tuple[Any, Decision]]


class Rollout(NamedTuple):
    """One episode, or one exploration stream, as it was played. Fields left unused cost nothing."""

    episode: Episode  # of S steps
    states: Any  # leaves [S + 1, ...], of the environment
    q: Array  # [S, A]
    memory: Any  # of the policy, after its last step


class _World(NamedTuple):
    """Where an episode stands."""

    state: Any
    observation: Any
    kept: Any  # what the record keeps of the observation


class _Loop(NamedTuple):
    """What `exploit` carries from step to step."""

    world: _World
    memory: Any
    last_memory: Any  # after the last step that was taken
    previous_action: Array  # []
    previous_reward: Array  # []
    alive: Array  # [] bool, false from the end of the episode on


class _ExplorationLoop(NamedTuple):
    """What `explore` carries from step to step."""

    world: _World
    memory: Any
    last_memory: Any  # after the last step that was taken
    previous_action: Array  # []
    previous_reward: Array  # []
    instruction: Any  # of this episode
    steps: Array  # [] int32, taken in this episode
    ended: Array  # [] bool: the episode is over, so this step resets the environment
    episode: Array  # [] int32, how many episodes came before
    alive: Array  # [] bool, false from the end of the stream on


def exploration_length(env: Env, trial: TrialConfig) -> int:
    """L, the most steps of the exploration stream."""
    return trial.exploration_episodes * (env.horizon + 1) - 1


def fraction_over(length: int) -> Array:
    """[length + 1] share of a stream of `length` steps that is over before each step."""
    return jnp.arange(length + 1, dtype=jnp.float32) / length


def explore(
    env: Env, policy: Policy, memory: Any, key: Key, problem: Array, trial: TrialConfig
) -> Rollout:
    """The exploration stream of a trial. Each episode has a hidden instruction of its own.

    `memory`: the policy's before the first step.
    """
    length = exploration_length(env, trial)
    several, shows = trial.exploration_episodes > 1, trial.instruction_in_exploration

    def body(loop: _ExplorationLoop, inputs: tuple) -> tuple[_ExplorationLoop, tuple]:
        key, fraction, step = inputs
        if several:
            key, start_key = jax.random.split(key)
        world = loop.world
        seen = loop.instruction if shows else None
        previous = loop.previous_action, loop.previous_reward
        memory, decision = policy(
            loop.memory, View(world.observation, *previous, fraction, step, seen), key
        )
        next_state, shown = step_env(env, world.state, decision.action)
        steps = loop.steps + 1
        shown = exploration_end(env, trial, shown, decision.action, steps)
        episode, instruction = loop.episode, loop.instruction
        if several:  # this step may be the reset between two episodes
            fresh = _start_exploration(env, start_key, problem)
            next_state, shown = _reset_where(loop.ended, fresh, next_state, shown)
            begins = loop.ended & loop.alive  # after the stream's end nothing follows
            instruction = _select(begins, fresh.instruction, instruction)
            steps = jnp.where(loop.ended, 0, steps)
            episode = episode + loop.ended
        last = shown.done & (episode == trial.exploration_episodes - 1)
        # Padding repeats the last observation; nothing reads the state after it.
        kept = _select(loop.alive, _keep(env, next_state, shown.observation), world.kept)
        record = _record(env, world.kept, decision.action, shown, loop.alive, last)
        if shows:
            record = record._replace(instruction=specs.instruction(env).kept(loop.instruction))
        loop = _ExplorationLoop(
            _World(next_state, shown.observation, kept),
            memory,
            _select(loop.alive, memory, loop.last_memory),
            decision.action,
            shown.reward,
            instruction,
            steps,
            shown.done,
            episode,
            loop.alive & ~last,
        )
        return loop, (record, world.state, decision.q)

    reset_key, loop_key = jax.random.split(key)
    state, first, instruction = _start_exploration(env, reset_key, problem)
    zero, yes = jnp.zeros((), jnp.int32), jnp.ones((), bool)
    world = _World(state, first.observation, _keep(env, state, first.observation))
    start = _ExplorationLoop(
        world, memory, memory, *_nothing_before(env), instruction, zero, ~yes, zero, yes
    )
    end, (record, states, q) = jax.lax.scan(body, start, _inputs(loop_key, length))
    return _rollout(record, states, q, end.world, end.last_memory)


def exploit(
    env: Env, policy: Policy, memory: Any, key: Key, problem: Array, instruction: Array
) -> Rollout:
    """One exploitation episode. `policy` already knows the instruction and z.

    `memory`: the policy's before the first step.
    """

    def body(loop: _Loop, inputs: tuple) -> tuple[_Loop, tuple]:
        key, fraction, step = inputs
        world = loop.world
        view = View(world.observation, loop.previous_action, loop.previous_reward, fraction, step)
        memory, decision = policy(loop.memory, view, key)
        next_state, shown = step_env(env, world.state, decision.action)
        kept = _select(loop.alive, _keep(env, next_state, shown.observation), world.kept)
        record = _record(env, world.kept, decision.action, shown, loop.alive, jnp.ones((), bool))
        loop = _Loop(
            _World(next_state, shown.observation, kept),
            memory,
            _select(loop.alive, memory, loop.last_memory),
            decision.action,
            shown.reward,
            loop.alive & ~shown.done,
        )
        return loop, (record, world.state, decision.q)

    reset_key, loop_key = jax.random.split(key)
    state, first = reset_env(env, reset_key, problem, instruction)
    world = _World(state, first.observation, _keep(env, state, first.observation))
    start = _Loop(world, memory, memory, *_nothing_before(env), jnp.ones((), bool))
    end, (record, states, q) = jax.lax.scan(body, start, _inputs(loop_key, env.horizon))
    return _rollout(record, states, q, end.world, end.last_memory)


def as_meta_test(explored: Rollout, exploited: Rollout, z: Array | None) -> MetaTest:
    """A trial at meta-test. exploited: leaves [N, ...]. z: [Z] that it acted on, if any."""
    return MetaTest(
        explored.episode,
        exploited.episode,
        explored.states,
        exploited.states,
        explored.q,
        exploited.q,
        z,
    )


def sample_instructions(env: Env, key: Key, problem: Array, trial: TrialConfig) -> Any:
    """One instruction per exploitation episode, or the same for all: [N, I], or leaves [N, ...]."""
    keys = jax.random.split(key, trial.exploitation_episodes)
    if not trial.redraw_instruction:
        keys = jnp.broadcast_to(keys[0], keys.shape)
    drawn = jax.vmap(lambda k: env.sample_instruction(k, problem))(keys)
    return specs.instruction(env).kept(drawn)


def over_episodes(function: Callable[..., Any], *trees: Any) -> Any:
    """`jax.vmap` of a function of one exploitation episode over the N of a trial.

    One alone gets no axis of size 1 inside: XLA on a CPU multiplies and sums over the last axis of
    [32, 1, 21, 128] ten times as slowly as of [32, 21, 128].
    """
    if len(jax.tree.leaves(trees)[0]) > 1:
        return jax.vmap(function)(*trees)
    return jax.tree.map(lambda x: x[None], function(*jax.tree.map(lambda x: x[0], trees)))


class _Start(NamedTuple):
    """The beginning of an exploration episode."""

    state: Any
    shown: TimeStep
    instruction: Any  # [I] int32, or as the family declares it


def _start_exploration(env: Env, key: Key, problem: Array) -> _Start:
    """An episode with an instruction of its own, which agents do not see by default."""
    instruction_key, reset_key = jax.random.split(key)
    instruction = env.sample_instruction(instruction_key, problem)
    return _Start(*reset_env(env, reset_key, problem, instruction), instruction)


def reset_env(env: Env, key: Key, problem: Array, instruction: Any) -> tuple[Any, TimeStep]:
    """`env.reset`, with rewards and flags cast."""
    state, shown = env.reset(key, problem, instruction)
    return state, _typed(shown)


def step_env(env: Env, state: Any, action: Array) -> tuple[Any, TimeStep]:
    """`env.step`, with rewards and flags cast."""
    state, shown = env.step(state, action)
    return state, _typed(shown)


def _typed(shown: TimeStep) -> TimeStep:
    """The time step with the types that everything here expects of it."""
    return shown._replace(
        reward=jnp.asarray(shown.reward, jnp.float32),
        terminated=jnp.asarray(shown.terminated, bool),
        truncated=jnp.asarray(shown.truncated, bool),
    )


def exploration_end(
    env: Env, trial: TrialConfig, shown: TimeStep, action: Array, steps: Array
) -> TimeStep:
    """The time step with the ends that count while exploring, after `steps` steps."""
    terminated = shown.terminated
    if not trial.hidden_goal_ends_exploration:
        end = -1 if env.end_episode_action is None else env.end_episode_action
        terminated = action == end
        if shown.goal is not None:  # the family says which end is the hidden task's
            terminated = terminated | (shown.terminated & ~shown.goal)
    truncated = (shown.truncated | (steps >= env.horizon)) & ~terminated
    return shown._replace(terminated=terminated, truncated=truncated, goal=None)


def _reset_where(ended: Array, fresh: _Start, state: Any, shown: TimeStep) -> tuple[Any, TimeStep]:
    """The fresh episode where the last one has ended, else the step that was taken."""
    first = fresh.shown
    return _select(ended, fresh.state, state), TimeStep(
        _select(ended, first.observation, shown.observation),
        jnp.where(ended, 0.0, shown.reward),
        shown.terminated & ~ended,
        shown.truncated & ~ended,
    )


def _record(
    env: Env, kept: Any, action: Array, shown: TimeStep, alive: Array, last: Array
) -> Episode:
    """One step of an episode. `last`: [] bool, an end here would be the end of the sequence."""
    return Episode(
        kept,
        action.astype(specs.action_type(env.num_actions)),
        jnp.where(alive, shown.reward, 0.0),
        alive & last & shown.terminated,
        alive & last & shown.truncated,
        alive,
    )


def _inputs(key: Key, length: int) -> tuple[Key, Array, Array]:
    """Of each step: its key, the share that is over before it, and its number."""
    return jax.random.split(key, length), fraction_over(length)[:-1], jnp.arange(length)


def _rollout(record: Episode, states: Any, q: Array, end: _World, memory: Any) -> Rollout:
    episode = record._replace(observation=_append(record.observation, end.kept))
    return Rollout(episode, _append(states, end.state), q, memory)


def _nothing_before(env: Env) -> tuple[Array, Array]:
    """What the first step sees of the step before: no action, no reward."""
    return jnp.array(env.num_actions, jnp.int32), jnp.zeros((), jnp.float32)


def _keep(env: Env, state: Any, observation: Any) -> Any:
    """What an episode keeps of an observation: small types, or for a picture its state."""
    if is_pixel_env(env):
        return pictures.without_keys(state)
    return specs.observation(env).kept(observation)


def _append(sequence: Any, last: Any) -> Any:
    return jax.tree.map(lambda xs, x: jnp.concatenate([xs, x[None]]), sequence, last)


def _select(condition: Array, when_true: Any, when_false: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), when_true, when_false)
