"""The search knows the world that is played, and reads the sign where its pictures differ."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dream_jax.envs.sign3d import sign, world
from dream_jax.envs.sign3d.sign import Sign
from dream_jax.oracles import bounds, sign_search
from dream_jax.runs.summary import normalised, split_summary

STARTS, STEPS = 16, 12


@pytest.fixture(scope="module")
def played():
    """Random walks: the start, each step's state, whether it ended, and its index of near."""
    env = Sign()
    advance = jax.jit(jax.vmap(env.advance))
    zero = jnp.zeros((), jnp.int32)
    reset = jax.vmap(lambda key: env.reset(key, zero, zero[None])[0])
    state = jax.jit(reset)(jax.random.split(jax.random.key(1), STARTS))
    rng, walk = np.random.default_rng(0), [(state, np.zeros(STARTS, bool))]
    for _ in range(STEPS):
        action = rng.choice([sign.LEFT, sign.RIGHT, *[sign.FORWARD] * 4], STARTS)
        state, outcome = advance(state, jnp.asarray(action))
        walk.append((state, np.asarray(outcome.terminated)))
    return jax.device_get(walk)


def test_every_pose_that_can_be_walked_to_is_found_no_later(played):
    for k in range(STARTS):
        start = played[0][0]
        heading = float(start.heading[k])
        layers = sign_search._layers(world.OBJECTS, start.position[k].astype(float), heading, STEPS)
        first = {}
        for steps, (poses, _) in enumerate(layers):
            for position, turns in zip(poses.position, poses.turns, strict=True):
                first.setdefault((*np.rint(position * 100).astype(int), turns), steps)
        for steps, (state, ended) in enumerate(played):
            turned = round((float(state.heading[k]) - heading) / world.TURN) % 8
            x, z = np.rint(state.position[k].astype(float) * 100).astype(int)
            around = [(x + i, z + j, turned) for i in (-1, 0, 1) for j in (-1, 0, 1)]
            found = [first[pose] for pose in around if pose in first]
            assert found and min(found) <= steps
            if ended[k]:
                break


def test_objects_are_near_and_in_the_way_as_in_the_world(played):
    env = Sign()
    near = ended = 0
    for state, terminated in played[1:]:
        found = sign_search._near(world.OBJECTS, state.position.astype(float)) >= 0
        np.testing.assert_array_equal(found, terminated)
        near, ended = near + found.sum(), ended + terminated.sum()
    assert near == ended > 0
    positions = np.random.default_rng(1).uniform((0, 0), (10, 13), (2000, 2)).astype(np.float32)
    expected = np.asarray(jax.jit(jax.vmap(Sign()._blocked))(positions))
    np.testing.assert_array_equal(sign_search._blocked(world.OBJECTS, positions), expected)
    assert 0.1 < expected.mean() < 0.9 and env.horizon == 20


def test_fewest_steps_by_hand():
    # Facing the blue box at (1, 1) from 3.54 m: near is within 1.74 m, so three steps of 0.7 m.
    position, heading = np.array([3.5, 3.5]), 3 * np.pi / 4
    assert sign_search.fewest_steps(position, heading, 20)[0] == 3
    # Turned by 90 degrees first, two steps more.
    assert sign_search.fewest_steps(position, heading - np.pi / 2, 20)[0] == 5
    assert (sign_search.fewest_steps(position, heading, 2) == 3).all()  # never


@pytest.mark.slow
def test_the_sign_is_read_where_it_is_in_view_and_fetched_in_time():
    env = Sign()
    facing = env.reset(jax.random.key(0), jnp.int32(0), jnp.zeros(1, jnp.int32))[0]
    facing = jax.device_get(facing)._replace(
        position=np.array([4.5, 10.25], np.float32),
        heading=np.float32(0.0),  # at the sign
    )
    away = facing._replace(heading=np.float32(np.pi))
    assert sign_search.search(env, facing).steps == 0
    behind = sign_search.search(env, away)
    assert 1 <= behind.steps <= 4
    usual = jax.device_get(env.reset(jax.random.key(3), jnp.int32(0), jnp.zeros(1, jnp.int32))[0])
    assert sign_search.search(env, usual).value.tolist() == [1.0, 1.0]


def test_normalised_rests_on_no_reading_and_both_are_named():
    known = bounds.bounds(Sign(), "test")
    assert known.optimal == 1.0 and 0.95 < known.no_exploration <= 1.0 and known.floor == 0.0
    assert normalised(0.5, known) == 0.5
    part = split_summary([0.5], known)
    assert (part["no_reading"], part["no_exploration"]) == (0.0, known.no_exploration)
    assert np.isnan(bounds.bounds(Sign(horizon=15), "test").no_exploration)
