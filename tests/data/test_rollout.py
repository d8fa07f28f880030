"""Rollouts against environments stepped by hand: streams, padding, flags, what actors are told."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dream_jax.config import TrialConfig
from dream_jax.data import rollout
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

    def actor(carry, observation, action, reward, fraction, key):
        return carry, random_action(key, env)

    def one(key, problem):
        return rollout.explore(env, actor, (), key, problem, trial)[:2]

    problems = np.arange(TRIALS, dtype=np.int32) % env.num_problems
    keys = jax.random.split(jax.random.key(0), TRIALS)
    return problems, *jax.tree.map(np.asarray, quick_jit(jax.vmap(one))(keys, problems))


def trial_number(i, batch):
    return type(batch)(*(x[i] for x in batch))


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


STREAMS = [
    TrialConfig(exploration_episodes=episodes, hidden_goal_ends_exploration=hidden)
    for episodes, hidden in ((1, True), (1, False), (2, True), (3, False))
]


@pytest.mark.parametrize("trial", STREAMS)
def test_exploration_is_what_stepping_by_hand_gives(trial):
    problems, episodes, states = explored(trial)
    last_of = {"goal": 0, "end": 0, "time-out": 0, "past a goal": 0}
    for i, problem in enumerate(problems):
        episode, recorded = trial_number(i, episodes), trial_number(i, states)
        t = 0
        for e in range(trial.exploration_episodes):
            final = e == trial.exploration_episodes - 1
            state, now = reset(problem, recorded.instruction[t])
            for taken in range(1, CORRIDOR.horizon + 1):
                assert_same(trial_number(t, recorded), state)
                np.testing.assert_array_equal(episode.observation[t], now.observation)
                state, now = step(state, episode.action[t])
                ended = bool(now.terminated)
                if ended and episode.action[t] != END and not trial.hidden_goal_ends_exploration:
                    ended = False
                    last_of["past a goal"] += 1
                timed_out = taken == CORRIDOR.horizon and not ended
                assert episode.reward[t] == now.reward
                assert episode.terminated[t] == (ended and final)
                assert episode.truncated[t] == (timed_out and final)
                t += 1
                if ended or timed_out:
                    break
            how = "time-out" if timed_out else "end" if episode.action[t - 1] == END else "goal"
            last_of[how] += 1
            if not final:  # the step that resets: it shows where the episode ended, then a start
                np.testing.assert_array_equal(episode.observation[t], now.observation)
                assert episode.observation[t + 1] == CORRIDOR.start
                assert episode.mask[t] and episode.reward[t] == 0.0
                assert not episode.terminated[t] and not episode.truncated[t]
                t += 1
        assert_padding(episode, t, np.asarray(now.observation))
    if trial.hidden_goal_ends_exploration:
        assert last_of.pop("past a goal") == 0
    else:
        assert last_of.pop("goal") == 0
    assert all(count > 0 for count in last_of.values()), last_of


@pytest.mark.parametrize("trial", STREAMS)
def test_an_exploration_stream_has_room_for_all_its_steps(trial):
    _, episodes, states = explored(trial)
    length = {1: 4, 2: 4 + 1 + 4, 3: 4 + 1 + 4 + 1 + 4}[trial.exploration_episodes]
    assert rollout.exploration_length(CORRIDOR, trial) == length
    assert episodes.action.shape == episodes.mask.shape == (TRIALS, length)
    assert episodes.observation.shape == (TRIALS, length + 1, 1)
    assert states.place.shape == (TRIALS, length + 1)
    lengths = episodes.mask.sum(axis=1)
    assert lengths.min() < lengths.max() <= length


def test_each_exploration_episode_has_a_hidden_instruction_of_its_own():
    _, _, states = explored(STREAMS[2])
    pairs = set()
    for place, instruction in zip(states.step, states.instruction, strict=True):
        second = int(np.flatnonzero(place[1:] == 0)[0]) + 1  # the second start
        pairs.add((int(instruction[0, 0]), int(instruction[second, 0])))
    assert pairs == {(0, 0), (0, 1), (1, 0), (1, 1)}


def test_a_record_is_small():
    _, episodes, _ = explored(STREAMS[0])
    kinds = {name: x.dtype.name for name, x in episodes._asdict().items()}
    assert kinds == {
        "observation": "uint8",
        "action": "uint8",
        "reward": "float32",
        "terminated": "bool",
        "truncated": "bool",
        "mask": "bool",
    }


# What the actors are told.


@pytest.mark.parametrize("episodes", [1, 2])
def test_an_exploring_actor_sees_the_step_before_and_carries_its_memory(episodes):
    trial = TrialConfig(exploration_episodes=episodes)
    length = rollout.exploration_length(CORRIDOR, trial)

    def mix(memory, place, action, reward, fraction):
        tenths = jnp.round(10 * reward).astype(jnp.int32)  # -1 or 10
        steps_over = jnp.round(fraction * length).astype(jnp.int32)
        return (memory + 2 * place + 5 * action + 7 * tenths + 11 * steps_over) % 13

    def actor(memory, observation, action, reward, fraction, key):
        mixed = mix(memory, observation[0], action, reward, fraction)
        return mixed, mixed % CORRIDOR.num_actions

    def one(problem, seed):
        episode, _, memory = rollout.explore(
            CORRIDOR, actor, jnp.int32(seed), jax.random.key(seed), problem, trial
        )
        return episode, memory

    seeds = jnp.arange(8)
    batch, last = jax.tree.map(np.asarray, quick_jit(jax.vmap(one))(seeds % 2, seeds))
    seen = set()
    for seed in range(len(seeds)):
        episode, memory = trial_number(seed, batch), seed
        action, reward = CORRIDOR.num_actions, 0.0  # "no previous action"
        for t in range(episode.mask.sum()):
            memory = int(mix(memory, int(episode.observation[t, 0]), action, reward, t / length))
            action, reward = int(episode.action[t]), float(episode.reward[t])
            assert action == memory % CORRIDOR.num_actions, (seed, t)
            seen.add(action)
        assert last[seed] == memory  # after the last step that was taken
    assert seen == set(range(CORRIDOR.num_actions))


def test_an_exploiting_actor_sees_the_step_before_the_time_and_the_step():
    def mix(memory, place, action, reward, fraction, t):
        tenths = jnp.round(10 * reward).astype(jnp.int32)
        over = jnp.round(fraction * 4).astype(jnp.int32)
        return (memory + 2 * place + 3 * action + tenths + 5 * over + 7 * t) % 13

    def actor(memory, observation, action, reward, fraction, t, key):
        mixed = mix(memory, observation[0], action, reward, fraction, t)
        return mixed, mixed % CORRIDOR.num_actions

    def one(seed):
        start = jax.random.key(seed)
        task = seed % 2, jnp.array([0])
        episode, _, memory = rollout.exploit(CORRIDOR, actor, seed, start, *task)
        return episode, memory

    batch, last = jax.tree.map(np.asarray, quick_jit(jax.vmap(one))(jnp.arange(8)))
    assert batch.mask.sum(axis=1).min() < 4  # else nothing shows that padding is left out
    for seed in range(8):
        episode, memory = trial_number(seed, batch), seed
        action, reward = CORRIDOR.num_actions, 0.0
        for t in range(episode.mask.sum()):
            memory = int(mix(memory, int(episode.observation[t, 0]), action, reward, t / 4, t))
            action, reward = int(episode.action[t]), float(episode.reward[t])
            assert action == memory % CORRIDOR.num_actions, (seed, t)
        assert last[seed] == memory
    assert len(np.unique(batch.action[batch.mask])) == CORRIDOR.num_actions


def test_the_share_that_is_over_runs_from_zero_to_one():
    np.testing.assert_allclose(rollout.fraction_over(4), [0.0, 0.25, 0.5, 0.75, 1.0])


def test_every_step_has_a_key_of_its_own():
    _, episodes, _ = explored(STREAMS[3])
    taken = episodes.action[episodes.mask.all(axis=1)]
    assert len(taken) > 0
    assert all(len(np.unique(actions)) > 1 for actions in taken)
    assert len(np.unique(episodes.action, axis=0)) == TRIALS  # trials differ


# Exploitation.


@functools.cache
def exploited(episodes=2):
    """(problems, instructions, Episode, states) of N random exploitation episodes."""
    trial = TrialConfig(exploitation_episodes=episodes)

    def actor(carry, observation, action, reward, fraction, step, key):
        return carry, random_action(key, CORRIDOR)

    def one(key, problem):
        instruction_key, key = jax.random.split(key)
        instructions = rollout.sample_instructions(CORRIDOR, instruction_key, problem, trial)
        keys = jax.random.split(key, episodes)
        episode, states = jax.vmap(
            lambda k, i: rollout.exploit(CORRIDOR, actor, (), k, problem, i)[:2]
        )(keys, instructions)
        return instructions, episode, states

    problems = np.arange(TRIALS, dtype=np.int32) % CORRIDOR.num_problems
    keys = jax.random.split(jax.random.key(1), TRIALS)
    return problems, *jax.tree.map(np.asarray, quick_jit(jax.vmap(one))(keys, problems))


def test_exploitation_is_what_stepping_by_hand_gives():
    problems, instructions, episodes, states = exploited()
    counts = {"goal": 0, "end": 0, "time-out": 0}
    for i, problem in enumerate(problems):
        for n in range(2):
            episode = trial_number(n, trial_number(i, episodes))
            recorded = trial_number(n, trial_number(i, states))
            state, now = reset(problem, instructions[i, n])
            t = 0
            while not (now.terminated or now.truncated):
                assert_same(trial_number(t, recorded), state)
                np.testing.assert_array_equal(episode.observation[t], now.observation)
                state, now = step(state, episode.action[t])
                assert episode.reward[t] == now.reward
                assert episode.terminated[t] == now.terminated
                assert episode.truncated[t] == now.truncated
                t += 1
            how = "end" if episode.action[t - 1] == END else "goal"
            counts["time-out" if now.truncated else how] += 1
            assert_same(trial_number(t, recorded), state)
            assert_padding(episode, t, np.asarray(now.observation))
    assert all(count > 0 for count in counts.values()), counts


def test_episodes_of_a_trial_have_different_steps():
    _, _, episodes, _ = exploited()
    assert (episodes.action[:, 0] != episodes.action[:, 1]).any(axis=-1).mean() > 0.8


@pytest.mark.parametrize("redraw", [True, False])
def test_instructions_are_redrawn_or_fixed(redraw):
    trial = TrialConfig(exploitation_episodes=3, redraw_instruction=redraw)
    keys, draws = jax.random.split(jax.random.key(2), 2_000), 2_000
    drawn = quick_jit(
        jax.vmap(lambda k: rollout.sample_instructions(CORRIDOR, k, jnp.int32(0), trial))
    )(keys)
    assert drawn.shape == (draws, 3, 1)
    assert drawn.dtype == jnp.uint8
    drawn = np.asarray(drawn)[..., 0]
    four_sigma = 4 * np.sqrt(1 / 4 / draws)
    np.testing.assert_allclose(drawn.mean(axis=0), 1 / 2, atol=four_sigma)
    for a, b in ((0, 1), (0, 2), (1, 2)):
        equal = np.mean(drawn[:, a] == drawn[:, b])
        if redraw:
            assert abs(equal - 1 / 2) < four_sigma
        else:
            assert equal == 1.0


def test_an_empty_instruction_is_drawn_as_an_empty_row():
    trial = TrialConfig(exploitation_episodes=2)
    env = probes.Silent()
    assert env.instructions(0).shape == (1, 0)
    drawn = rollout.sample_instructions(env, jax.random.key(0), jnp.int32(1), trial)
    assert drawn.shape == (2, 0)
    assert drawn.dtype == jnp.uint8


# The probes themselves: (problem, instruction, actions, observations after each, rewards, end).


@pytest.mark.parametrize(
    ("probe", "problem", "instruction", "actions", "observations", "rewards", "end"),
    [
        (probes.OneStep, 0, (1,), [1], [[0]], [1], "terminated"),
        (probes.OneStep, 0, (1,), [0], [[0]], [0], "terminated"),
        (probes.OneStep, 0, (1,), [2], [[0]], [0], "terminated"),
        (probes.Delayed, 0, (1,), [1, 0], [[1], [1]], [0, 1], "terminated"),
        (probes.Delayed, 0, (0,), [1, 0], [[2], [2]], [0, 0], "terminated"),
        (probes.Delayed, 0, (0,), [0, 2], [[1], [1]], [0, 0], "terminated"),
        (probes.Signpost, 2, (0,), [3, 2], [[0, 3], [0, 0]], [0, 1], "terminated"),
        (probes.Signpost, 2, (1,), [0], [[0, 0]], [1], "terminated"),
        (probes.Signpost, 2, (1,), [2], [[0, 0]], [0], "terminated"),
        (probes.Signpost, 0, (1,), [3, 3], [[0, 1], [0, 1]], [0, 0], "truncated"),
        (probes.Described, 1, (1,), [3, 2], [[0, 2], [0, 0]], [0, 1], "terminated"),
        (probes.Silent, 1, (), [3, 1], [[0, 2], [0, 0]], [0, 1], "terminated"),
        (probes.Silent, 1, (), [3, 4], [[0, 2], [0, 2]], [0, 0], "terminated"),
        (probes.Corridor, 0, (1,), [1, 1], [[3], [4]], [-0.1, 1], "terminated"),
        (probes.Corridor, 1, (1,), [1, 1], [[1], [0]], [-0.1, -0.1], None),
        (probes.Corridor, 1, (1,), [2] * 4, [[2]] * 4, [-0.1] * 4, "truncated"),
        (probes.Corridor, 1, (0,), [0, 2, 1, 3], [[3], [3], [2], [2]], [-0.1] * 3 + [0], "end"),
    ],
)
def test_probes_are_what_they_say(probe, problem, instruction, actions, observations, rewards, end):
    env = probe()
    assert list(instruction) in env.instructions(problem).tolist()
    state, first = env.reset(None, jnp.int32(problem), jnp.array(instruction, jnp.int32))
    assert first.observation.tolist() == [env.start] + [0] * (len(env.observation_sizes) - 1)
    _, steps = jax.lax.scan(env.step, state, jnp.array(actions))
    assert steps.observation.tolist() == observations
    np.testing.assert_allclose(steps.reward, np.array(rewards, np.float32))
    assert not (steps.terminated | steps.truncated)[:-1].any()
    terminated, truncated = bool(steps.terminated[-1]), bool(steps.truncated[-1])
    assert (terminated, truncated) == (end in ("terminated", "end"), end == "truncated")
