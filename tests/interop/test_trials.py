"""Whole trials as episodes of other people's interfaces: what is hidden, scored, and ended."""

import itertools

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from dream_jax import envs
from dream_jax.config import ConfigError, TrialConfig
from dream_jax.interop import gymnasium_trials
from dream_jax.interop.gymnasium_trials import GymnasiumTrials
from dream_jax.interop.trial_env import TrialEnv
from tests import probes


@pytest.fixture(scope="module")
def signpost():
    return TrialEnv(probes.Signpost())


def play(trials, actions, seed=0):
    """The time steps of a trial: a list, first the reset's."""
    reset, step = probes.quick_jit(trials.reset), probes.quick_jit(trials.step)
    state, now = reset(jax.random.key(seed))
    steps = [(state, now)]
    for action in actions:
        state, now = step(state, jnp.int32(action))
        steps.append((state, now))
    return jax.device_get(steps)


def test_a_trial_goes_from_exploration_to_exploitation(signpost):
    env = signpost.env
    # Two steps of exploration, one that begins exploitation, two steps of exploitation.
    steps = play(signpost, [3, 0, 2, 3, 1])
    episodes = [int(state.episode) for state, _ in steps]
    assert episodes == [0, 0, 0, 1, 1, 1] and signpost.max_steps == 5
    size = signpost.observation_size
    assert all(now.observation.shape == (size,) for _, now in steps)
    exploring, over = (np.array([now.observation[k] for _, now in steps]) for k in (-3, -2))
    np.testing.assert_array_equal(exploring, [1, 1, 1, 0, 0, 0])
    assert over[2] == 1 and over[3] == 0
    seen = sum(env.observation_sizes)
    given = [now.observation[seen : seen + sum(env.instruction_sizes)].sum() for _, now in steps]
    assert given == [0, 0, 0, 1, 1, 1]  # hidden, then one-hot
    assert [bool(now.done) for _, now in steps][:4] == [False] * 4


def test_only_exploitation_is_scored_unless_asked(signpost):
    family = signpost.env
    both = TrialEnv(family, counts_exploration=True, trial=TrialConfig(exploitation_episodes=2))
    for trials, scored, divisor in ((signpost, [False, True], 1), (both, [True] * 3, 3)):
        total = 0.0
        for seed in range(4):
            steps = play(trials, [3, 0, 1] * 3, seed)
            for (before, _), (after, now) in itertools.pairwise(steps):
                if before.ended and before.episode == trials.episodes - 1:
                    break
                counts = scored[int(before.episode)] and not before.ended
                expected = float(after.reward) / divisor if counts else 0.0
                assert float(now.reward) == pytest.approx(expected)
                total += float(now.reward)
        assert np.isfinite(total)


def test_references_are_the_oracles(signpost):
    found = TrialEnv(probes.Toll()).reference_returns
    assert found["optimal"] == pytest.approx(1.0)
    assert found["no_exploration"] == pytest.approx(0.5)
    with pytest.raises(ConfigError, match="unknown split 'trian'; valid: train, test"):
        TrialEnv(signpost.env, split="trian")


@pytest.mark.filterwarnings("ignore")
def test_gymnasium_accepts_it():
    check_env(GymnasiumTrials(probes.Signpost()), skip_render_check=True)
    assert {f"dream_jax/{name}-v0" for name in envs.ENVIRONMENTS} <= set(gymnasium.registry)
    one, other = (GymnasiumTrials(probes.Signpost()) for _ in range(2))
    for env in (one, other):
        env.reset(seed=3)
    assert gymnasium_trials.GymnasiumTrials.metadata["render_modes"] == ["rgb_array"]
    for action in (3, 0, 2, 3, 1):
        a, b = one.step(action), other.step(action)
        np.testing.assert_array_equal(a[0], b[0])
        assert a[1:] == b[1:]


def test_wrappers_that_keep_statistics_find_their_key_free():
    env = gymnasium.wrappers.RecordEpisodeStatistics(GymnasiumTrials(probes.Signpost()))
    env.reset(seed=0)
    for action in [3, 0, 2, 3, 1, 1]:
        *_, terminated, _, information = env.step(action)
        assert information["trial_episode"] in (0, 1)
        if terminated:
            break
    assert information["episode"]["r"] == pytest.approx(information["trial_return"])


def test_environments_of_a_family_share_their_programs():
    family = probes.Signpost()
    one, other = GymnasiumTrials(family), GymnasiumTrials(family)
    assert one._step is other._step
    assert GymnasiumTrials(family, counts_exploration=True)._step is not one._step


def test_gymnax_accepts_it():
    gymnax_trials = pytest.importorskip("dream_jax.interop.gymnax_trials")
    env, params = gymnax_trials.make(probes.Signpost())
    keys = jax.random.split(jax.random.key(0), 3)
    observation, state = jax.vmap(env.reset, in_axes=(0, None))(keys, params)
    assert observation.shape == (3, *env.observation_space(params).shape)
    step = jax.vmap(env.step, in_axes=(0, 0, 0, None))
    for _ in range(7):
        observation, state, reward, *_ = step(keys, state, jnp.zeros(3, jnp.int32), params)
        assert reward.shape == (3,) and np.isfinite(observation).all()
