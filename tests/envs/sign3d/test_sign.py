"""Sign navigation: recorded episodes, cases worked out by hand, tasks and resets."""

import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import sign_parity
from dream_jax.envs.sign3d import world as sign_world
from dream_jax.envs.sign3d.sign import Sign
from tests.envs.sign3d.sign_cases import (
    BLUE,
    BOX,
    DYNAMICS,
    END,
    FORWARD,
    GREEN,
    KEY,
    LEFT,
    RED,
    RIGHT,
    advance,
    at,
)


def test_recorded_episodes_come_out_the_same():
    data = sign_parity.load(DYNAMICS, sign_parity.DYNAMICS_FIELDS, {"blocked": ("E", "T")})
    found = sign_parity.compare_dynamics(data, DYNAMICS)
    assert found["steps"] == data["length"].sum() > 300
    assert found["dynamics_mismatches"] == 0, found
    assert set(found["mismatches_by_field"]) >= {"place", "reward", "terminated", "blocked"}
    assert found["worst_place_error_m"] < 1e-4  # float32 over at most 20 steps


@pytest.mark.parametrize(
    ("heading", "forward"),
    [
        (0.0, (0.7, 0.0)),
        (np.pi / 2, (0.0, -0.7)),  # anticlockwise from above, where z points down
        (np.pi, (-0.7, 0.0)),
        (-np.pi / 4, (0.7 / math.sqrt(2), 0.7 / math.sqrt(2))),
    ],
)
def test_moves_follow_the_heading(env, heading, forward):
    state = at(4.5, 5.0, heading)
    after, reward, terminated, truncated = advance(env, state, FORWARD)
    np.testing.assert_allclose(after.position, np.array([4.5, 5.0]) + forward, atol=1e-6)
    assert (reward, terminated, truncated) == (0.0, False, False)
    # "End episode" goes back first.
    after, reward, terminated, truncated = advance(env, state, END)
    np.testing.assert_allclose(after.position, np.array([4.5, 5.0]) - forward, atol=1e-6)
    assert (reward, terminated, truncated) == (0.0, True, False)


def test_turns_are_45_degrees_and_stay_in_place(env):
    for action, sign in ((LEFT, 1), (RIGHT, -1)):
        after, *outcome = advance(env, at(4.5, 5.0, 3.0), action)
        np.testing.assert_allclose(after.heading, 3.0 + sign * np.pi / 4, rtol=1e-6)
        np.testing.assert_array_equal(after.position, np.float32([4.5, 5.0]))
        assert outcome == [0.0, False, False]
        assert after.step == 1


@pytest.mark.parametrize(
    ("x", "z", "heading", "free"),
    [
        # The end of the barrier at x = 6: 0.39 m and 0.41 m away after 0.7 m.
        (4.91, 6.625, 0.0, False),
        (4.89, 6.625, 0.0, True),
        # Its corner (6, 6.5), from (5.72, 6.22): sqrt(2) * 0.28 = 0.396; from (5.71, 6.21): 0.410.
        (5.72, 5.52, -np.pi / 2, False),
        (5.71, 5.51, -np.pi / 2, True),
        # The walls z = 13 and x = 0.
        (4.0, 11.95, -np.pi / 2, False),
        (4.0, 11.85, -np.pi / 2, True),
        (1.05, 7.0, np.pi, False),
        (1.15, 7.0, np.pi, True),
        # The blue key at (5, 1): 0.4 + 0.7355 = 1.1355 m.
        (5.0, 2.82, np.pi / 2, False),
        (5.0, 2.85, np.pi / 2, True),
        # The red box at (9, 1): 0.4 + 0.5657 = 0.9657 m.
        (9.0, 2.66, np.pi / 2, False),
        (9.0, 2.67, np.pi / 2, True),
    ],
)
def test_a_move_that_would_collide_is_not_made(env, x, z, heading, free):
    state = at(x, z, heading)
    after, *_ = advance(env, state, FORWARD)
    if free:
        distance = np.linalg.norm(np.asarray(after.position) - np.asarray(state.position))
        np.testing.assert_allclose(distance, 0.7, rtol=1e-5)
    else:
        chex.assert_trees_all_equal(after, state._replace(step=jnp.int32(1)))


@pytest.mark.parametrize(
    ("problem", "instruction", "reward"),
    [(BLUE, BOX, 1.0), (BLUE, KEY, -1.0), (RED, BOX, -1.0), (GREEN, KEY, -1.0)],
)
def test_only_the_right_object_pays(env, problem, instruction, reward):
    # The blue box at (1, 1) is near from 0.5657 + 0.4 + 0.77 = 1.7357 m on.
    far = at(1 + 1.74 + 0.7, 1.0, np.pi, problem, instruction)
    assert advance(env, far, FORWARD)[1:] == (0.0, False, False)
    near = at(1 + 1.73 + 0.7, 1.0, np.pi, problem, instruction)
    assert advance(env, near, FORWARD)[1:] == (reward, True, False)


def test_a_key_pays_for_its_own_colour_and_through_walls(env):
    # The green box at (9, 5) from behind the barrier: (9, 6.73) is inside it, so test at z = 7.15,
    # 2.15 m away: not near. The green key at (1, 9): 0.7355 + 0.4 + 0.77 = 1.9055 m.
    assert advance(env, at(9.0, 7.15, 0.0, GREEN, BOX), LEFT)[1:] == (0.0, False, False)
    assert advance(env, at(1 + 1.91 + 0.7, 9.0, np.pi, GREEN, KEY), FORWARD)[1:] == (
        0,
        False,
        False,
    )
    assert advance(env, at(1 + 1.90 + 0.7, 9.0, np.pi, GREEN, KEY), FORWARD)[1:] == (1, True, False)


def test_the_last_step_is_a_time_out_unless_it_ends_the_episode(env):
    assert advance(env, at(4.5, 5.0, 0.0, step=18), LEFT)[1:] == (0.0, False, False)
    assert advance(env, at(4.5, 5.0, 0.0, step=19), LEFT)[1:] == (0.0, False, True)
    assert advance(env, at(4.5, 5.0, 0.0, step=19), END)[1:] == (0.0, True, False)
    assert advance(env, at(3.4, 1.0, np.pi, step=19), FORWARD)[1:] == (1.0, True, False)
    assert advance(Sign(horizon=3), at(4.5, 5.0, 0.0, step=2), LEFT)[1:] == (0.0, False, True)


def test_problems_and_instructions(env):
    for split in ("train", "test"):
        assert env.problem_ids(split).tolist() == [BLUE, RED, GREEN]
    assert env.instructions(RED).tolist() == [[BOX], [KEY]]
    keys = jax.random.split(jax.random.key(0), 4000)
    drawn = np.asarray(jax.jit(jax.vmap(env.sample_instruction, (0, None)))(keys, 1))
    assert drawn.shape == (4000, 1) and drawn.dtype == np.int32
    assert set(drawn.ravel().tolist()) == {BOX, KEY}
    assert abs(drawn.mean() - 0.5) < 4 * 0.5 / math.sqrt(4000)


@pytest.mark.parametrize("region", sign_world.START_REGIONS)
def test_resets_are_uniform_and_never_collide(region):
    env, draws = Sign(start_region=region), 4000

    def reset(key):
        state, _ = env.reset(key, RED, jnp.array([KEY]))
        return state, env.advance(state, LEFT)[1]

    states, outcomes = jax.jit(jax.vmap(reset))(jax.random.split(jax.random.key(1), draws))
    assert not outcomes.terminated.any()
    for values, (low, high) in [
        *zip(np.asarray(states.position).T, sign_world.START_REGIONS[region], strict=True),
        (np.asarray(states.heading), (-np.pi, np.pi)),
        *((yaw, (-np.pi, np.pi)) for yaw in np.asarray(states.object_yaw).T),
    ]:
        assert values.min() >= low and values.max() <= high
        shares = np.histogram(values, 4, (low, high))[0] / draws
        # Four standard deviations of a share of a quarter.
        np.testing.assert_allclose(shares, 0.25, atol=4 * math.sqrt(0.25 * 0.75 / draws))
    correlations = np.corrcoef(np.asarray(states.object_yaw).T) - np.eye(6)
    assert abs(correlations).max() < 5 / math.sqrt(draws)  # each yaw has a draw of its own


def test_a_reset_is_a_function_of_its_key(env, begin):
    first, second = (begin(jax.random.key(3), RED, jnp.array([KEY])) for _ in range(2))
    chex.assert_trees_all_equal(first, second)
    other = begin(jax.random.key(4), RED, jnp.array([KEY]))
    assert not np.array_equal(first.object_yaw, other.object_yaw)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"horizon": 0}, "horizon=0: .*at least 1"),
        ({"start_region": "moon"}, "unknown start region 'moon'; valid: authors, farama"),
        ({"quality": "best"}, "unknown quality 'best'; valid: fast, fast_miniworld, reference"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Sign(**options)


def test_an_unknown_split_is_refused(env):
    with pytest.raises(ValueError, match="unknown split 'valid'; valid: train, test"):
        env.problem_ids("valid")
