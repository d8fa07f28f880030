"""The sign world with balls, two colours and no action that ends an episode."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dream_jax import envs
from dream_jax.envs.sign3d import raycast, world
from dream_jax.envs.sign3d.sign import FORWARD, LEFT
from dream_jax.envs.sign3d.world import Pose, Scene
from dream_jax.oracles import sign_search

BALLS = world.OBJECTS_WITH_BALLS
BLUE, RED, BALL = 0, 1, 2


@pytest.fixture(scope="module")
def env():
    return envs.make("sign_words")


@pytest.fixture(scope="module")
def draw():
    """(position, heading, sign's colour) -> picture [60, 80, 3]."""
    render = jax.jit(raycast.make_renderer("fast", objects=BALLS))

    def picture(position, heading, colour=BLUE):
        pose = Pose(jnp.array(position, jnp.float32), jnp.float32(heading))
        return np.asarray(render(Scene(jnp.int32(colour), jnp.zeros(6)), pose)).astype(int)

    return picture


def _blue(picture):
    return (picture[..., 2] > 140) & (picture[..., 0] < 20)


def _red(picture):
    return (picture[..., 0] > 140) & (picture[..., 2] < 20)


def test_a_ball_covers_the_pixels_of_its_projection(draw):
    """The blue ball from 3 m away, straight ahead: its extents follow from geometry."""
    (x, z), r = BALLS.position[4], world.BALL_RADIUS
    found = _blue(draw((x + 3.0, z), np.pi))
    rows, columns = np.flatnonzero(found.any(axis=1)), np.flatnonzero(found.any(axis=0))
    down = world.CAMERA_HEIGHT - r
    middle = np.hypot(3.0, down)
    angles = np.arctan2(down, 3.0) + np.array([-1, 1]) * np.arcsin(r / middle)
    edges = 30 + np.tan(angles) / world.TAN_HALF_FOV_Y * 30
    np.testing.assert_allclose([rows[0], rows[-1] + 1], edges, atol=1.0)
    # Seen from above, its widest part is where the ray touches it on the floor plan.
    half = np.tan(np.arcsin(r / 3.0)) / world.TAN_HALF_FOV_X * 40
    np.testing.assert_allclose([columns[0], columns[-1] + 1], [40 - half, 40 + half], atol=1.0)


def test_walls_hide_balls(draw):
    """From behind the barrier, towards the box and the keys on its other side."""
    seen = draw((8.0, 8.0), np.pi / 2)
    assert not _blue(seen).any() and not _red(seen).any()


def test_the_nearer_of_two_balls_covers_the_other(draw):
    """From z = 11: the red ball at z = 9 is before the blue one at z = 5."""
    both, (x, _) = draw((BALLS.position[5][0], 11.0), np.pi / 2), BALLS.position[5]
    assert x == BALLS.position[4][0]
    red, blue = _red(both), _blue(both)
    assert red.sum() > 100 and blue.sum() < red.sum()
    lowest_red = np.flatnonzero(red.any(axis=1))[-1]
    assert not blue[lowest_red - 3 :].any()  # nothing shows through


def test_signs_can_be_told_apart(draw):
    assert (draw((7.5, 10.25), 0.0, BLUE) != draw((7.5, 10.25), 0.0, RED)).any()


@pytest.mark.parametrize(("problem", "reward"), [(BLUE, 1.0), (RED, -1.0)])
def test_near_a_ball_the_episode_ends_with_what_it_is_worth(env, problem, reward):
    state, _ = env.reset(jax.random.key(0), jnp.int32(problem), jnp.array([BALL]))
    x, z = BALLS.position[4]
    state = state._replace(position=jnp.array([x + 2.2, z]), heading=jnp.float32(np.pi))
    after, outcome = jax.jit(env.advance)(state, FORWARD)
    assert (float(outcome.reward), bool(outcome.terminated)) == (reward, True)
    np.testing.assert_allclose(after.position, [x + 1.5, z], atol=1e-5)


def test_three_actions_and_none_that_ends(env):
    assert (env.num_actions, env.end_episode_action, env.num_problems) == (3, None, 2)
    assert env.instructions(0)[:, 0].tolist() == [0, 1, 2]
    state, _ = env.reset(jax.random.key(0), jnp.int32(RED), jnp.array([BALL]))
    advance, outcomes = jax.jit(env.advance), []
    for _ in range(env.horizon):
        state, outcome = advance(state, LEFT)
        outcomes.append((bool(outcome.terminated), bool(outcome.truncated)))
    assert outcomes == [(False, False)] * (env.horizon - 1) + [(False, True)]


def test_views_name_the_ball(env):
    view = env.view()
    assert view.instruction(np.array([BALL])) == "fetch the ball of the colour on the sign"
    assert view.action_names == ("turn left", "turn right", "forward")
    state, _ = env.reset(jax.random.key(0), jnp.int32(RED), jnp.array([BALL]))
    text = env.render_text(state)
    assert "1" in text.splitlines()[5] and "sign RED" in text


def test_other_qualities_are_refused():
    with pytest.raises(ValueError, match="quality 'reference' draws boxes and keys only; valid"):
        envs.make("sign_words", quality="reference")


def test_every_object_is_in_reach_from_any_corner_of_the_start(env):
    """So the optimal return is 1."""
    (x0, x1), (z0, z1) = world.START_REGIONS["farama"]
    for place in ((x0, z0), (x1, z1)):
        fewest = sign_search.fewest_steps(np.array(place), 0.7, env.horizon, BALLS)
        assert fewest.max() <= 13
