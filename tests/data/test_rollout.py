"""Exploration against an environment stepped by hand, and what actors are given."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dream_jax.config import TrialConfig
from dream_jax.data import rollout
from dream_jax.data.rollout import Decision
from tests.data.stepping import (
    CORRIDOR,
    END,
    TRIALS,
    assert_padding,
    assert_same,
    explored,
    reset,
    step,
    trial_number,
)
from tests.probes import quick_jit

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


def test_the_instruction_of_exploration_is_shown_and_kept_where_agents_may_see_it():
    trial = TrialConfig(exploration_episodes=2, instruction_in_exploration=True)

    @quick_jit
    @jax.vmap
    def roll(key):
        def policy(memory, view, key):
            action = jax.random.randint(key, (), 0, CORRIDOR.num_actions)
            return view.instruction, Decision(action, jnp.zeros(CORRIDOR.num_actions))

        return rollout.explore(CORRIDOR, policy, jnp.zeros(1, jnp.int32), key, 0, trial)

    played = roll(jax.random.split(jax.random.key(0), TRIALS))
    episode, rewarded = played.episode, played.states.instruction
    assert episode.instruction.dtype == jnp.uint8
    changes = 0
    for i in range(TRIALS):
        taken = np.asarray(episode.mask[i])
        steps = int(taken.sum())
        kept = np.asarray(episode.instruction[i])
        np.testing.assert_array_equal(kept[taken], np.asarray(rewarded[i])[:-1][taken])
        assert (kept[steps:] == kept[steps - 1]).all()  # padding repeats the last one
        assert played.memory[i] == kept[steps - 1]  # what the policy saw last
        changes += len(np.unique(kept)) > 1
    assert changes > TRIALS // 4
    hidden = explored(STREAMS[0])[1]
    assert hidden.instruction is None


def test_a_record_is_small():
    _, episodes, _ = explored(STREAMS[0])
    kinds = {name: x.dtype.name for name, x in episodes._asdict().items() if x is not None}
    assert kinds == {
        "observation": "uint8",
        "action": "uint8",
        "reward": "float32",
        "terminated": "bool",
        "truncated": "bool",
        "mask": "bool",
    }


@pytest.mark.parametrize("episodes", [1, 2])
def test_an_exploring_policy_sees_the_step_before_and_carries_its_memory(episodes):
    trial = TrialConfig(exploration_episodes=episodes)
    length = rollout.exploration_length(CORRIDOR, trial)

    def mix(memory, place, action, reward, fraction):
        tenths = jnp.round(10 * reward).astype(jnp.int32)  # -1 or 10
        steps_over = jnp.round(fraction * length).astype(jnp.int32)
        return (memory + 2 * place + 5 * action + 7 * tenths + 11 * steps_over) % 13

    def policy(memory, view, key):
        mixed = mix(
            memory,
            view.observation[0],
            view.previous_action,
            view.previous_reward,
            view.fraction_over,
        )
        return mixed, Decision(mixed % CORRIDOR.num_actions, jnp.stack([mixed, view.step]))

    def one(problem, seed):
        return rollout.explore(
            CORRIDOR, policy, jnp.int32(seed), jax.random.key(seed), problem, trial
        )

    seeds = jnp.arange(8)
    played = jax.tree.map(np.asarray, quick_jit(jax.vmap(one))(seeds % 2, seeds))
    batch, last = played.episode, played.memory
    seen = set()
    for seed in range(len(seeds)):
        episode, memory = trial_number(seed, batch), seed
        action, reward = CORRIDOR.num_actions, 0.0  # "no previous action"
        for t in range(episode.mask.sum()):
            memory = int(mix(memory, int(episode.observation[t, 0]), action, reward, t / length))
            action, reward = int(episode.action[t]), float(episode.reward[t])
            assert action == memory % CORRIDOR.num_actions, (seed, t)
            assert played.q[seed, t].tolist() == [memory, t]  # the values of that very step
            seen.add(action)
        assert last[seed] == memory  # after the last step that was taken
    assert seen == set(range(CORRIDOR.num_actions))


def test_an_exploiting_policy_sees_the_step_before_the_time_and_the_step():
    def mix(memory, place, action, reward, fraction, t):
        tenths = jnp.round(10 * reward).astype(jnp.int32)
        over = jnp.round(fraction * 4).astype(jnp.int32)
        return (memory + 2 * place + 3 * action + tenths + 5 * over + 7 * t) % 13

    def policy(memory, view, key):
        mixed = mix(memory, view.observation[0], *view[1:-1])
        return mixed, Decision(mixed % CORRIDOR.num_actions, jnp.stack([mixed, view.step]))

    def one(seed):
        start = jax.random.key(seed)
        task = seed % 2, jnp.array([0])
        return rollout.exploit(CORRIDOR, policy, seed, start, *task)

    played = jax.tree.map(np.asarray, quick_jit(jax.vmap(one))(jnp.arange(8)))
    batch, last = played.episode, played.memory
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
