"""Sign navigation: recorded episodes, cases worked out by hand, resets, tasks, pictures."""

import math
from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import absltest
from dm_env import test_utils

import dream_jax.envs
from benchmarks import sign_parity
from dream_jax.envs.adapters.dm_env import DmEnvAdapter
from dream_jax.envs.sign3d import world as sign_world
from dream_jax.envs.sign3d.sign import Sign, SignState, view

LEFT, RIGHT, FORWARD, END = range(4)
BLUE, RED, GREEN = range(3)
BOX, KEY = range(2)
DYNAMICS = str(Path(__file__).parents[1] / "golden" / "sign_dynamics.npz")


@pytest.fixture(scope="module")
def env():
    return Sign()


@pytest.fixture(scope="module")
def begin(env):
    """`reset` without the picture, which takes longest to compile."""
    return jax.jit(lambda *task: env.reset(*task)[0])


def at(x, z, heading, problem=BLUE, instruction=BOX, step=0):
    return SignState(
        jnp.int32(problem),
        jnp.array([instruction], jnp.int32),
        jnp.array([x, z], jnp.float32),
        jnp.float32(heading),
        jnp.zeros(6, jnp.float32),
        jnp.int32(step),
    )


def advance(env, state, action):
    after, outcome = jax.jit(env.advance)(state, jnp.int32(action))
    return after, float(outcome.reward), bool(outcome.terminated), bool(outcome.truncated)


# Against Miniworld.


def test_recorded_episodes_come_out_the_same():
    data = sign_parity.load(DYNAMICS, sign_parity.DYNAMICS_FIELDS, {"blocked": ("E", "T")})
    found = sign_parity.compare_dynamics(data, DYNAMICS)
    assert found["steps"] == data["length"].sum() > 300
    assert found["dynamics_mismatches"] == 0, found
    assert set(found["mismatches_by_field"]) >= {"place", "reward", "terminated", "blocked"}
    assert found["worst_place_error_m"] < 1e-4  # float32 over at most 20 steps


# By hand.


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


# Tasks and resets.


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


# What jax sees.


def test_a_batched_step_equals_single_ones(env, begin):
    actions = np.random.default_rng(0).choice([LEFT, RIGHT, FORWARD, FORWARD], (8, 5))
    keys = jax.random.split(jax.random.key(5), 5)
    problems, instructions = np.arange(5) % 3, np.arange(5)[:, None] % 2
    single, batch = jax.jit(env.advance), jax.jit(jax.vmap(env.advance))
    singles = [begin(*task) for task in zip(keys, problems, instructions, strict=True)]
    batched = jax.jit(jax.vmap(lambda *task: env.reset(*task)[0]))(keys, problems, instructions)
    for now in actions:
        pairs = [single(state, action) for state, action in zip(singles, now, strict=True)]
        singles = [state for state, _ in pairs]
        batched, outcomes = batch(batched, now)
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *pairs)
        chex.assert_trees_all_equal_shapes_and_dtypes((batched, outcomes), stacked)
        chex.assert_trees_all_close((batched, outcomes), stacked, atol=1e-5)


def test_a_step_is_advance_then_observe(env, begin):
    state = begin(jax.random.key(0), GREEN, jnp.array([BOX]))
    observe = jax.jit(env.observe)
    after, now = jax.jit(env.step)(state, FORWARD)
    advanced, outcome = jax.jit(env.advance)(state, FORWARD)
    chex.assert_trees_all_close(after, advanced, rtol=1e-6)
    chex.assert_trees_all_equal(tuple(outcome), tuple(now)[1:])
    assert now.observation.shape == env.observation_shape
    assert now.observation.dtype == env.observation_dtype
    # A rounding may move an edge across the middle of a pixel, seldom.
    assert np.mean(np.asarray(observe(after)) != np.asarray(now.observation)) < 2e-3


def test_functions_are_traced_once(env):
    chex.clear_trace_counter()
    reset = jax.jit(chex.assert_max_traces(lambda *task: env.reset(*task)[0], n=1))
    advance = jax.jit(chex.assert_max_traces(env.advance, n=1))
    for problem in range(3):
        state = reset(jax.random.key(problem), np.int32(problem), env.instructions(problem)[-1])
        for action in range(4):
            state, _ = advance(state, np.int32(action))


# As a dm_env environment.


class SignConformanceTest(test_utils.EnvironmentTestMixin, absltest.TestCase):
    """dm_env's tests, through terminations and a time-out."""

    def make_object_under_test(self):
        return DmEnvAdapter(dream_jax.envs.make("sign"))

    def make_action_sequence(self):
        return iter([*([FORWARD] * 25), *([LEFT] * 25), END, *([RIGHT, FORWARD] * 5)])


def test_specs_and_ends_of_the_adapter():
    adapter = DmEnvAdapter(dream_jax.envs.make("sign", horizon=2), problem=RED, instruction=(KEY,))
    spec = adapter.observation_spec()
    assert spec["observation"].shape == (60, 80, 3) and spec["observation"].dtype == np.uint8
    assert (spec["instruction"].shape, spec["instruction"].maximum.tolist()) == ((1,), [1])
    assert adapter.action_spec().num_values == 4
    first = adapter.reset()
    np.testing.assert_array_equal(first.observation["instruction"], [KEY])
    last = [adapter.step(LEFT) for _ in range(2)][-1]
    assert last.last() and last.discount == 1.0  # a time-out
    adapter.reset()
    last = adapter.step(END)
    assert last.last() and last.discount == 0.0


# For people.


def test_text(env):
    state = at(4.5, 5.2, np.pi / 2, GREEN)
    assert env.render_text(state).splitlines() == [
        ". . . . . . . . . .",
        ". B . . . b . . . R",
        ". . . . . . . . . .",
        ". . . . . . . . . .",
        ". . . . . . . . . .",
        ". r . . ^ . . . . G",
        ". . . . . . # # # #",
        ". . . . . . . . . .",
        ". . . . . . . . . .",
        ". g . . . . . . . .",
        ". . . . . . . . . S",
        ". . . . . . . . . .",
        ". . . . . . . . . .",
        "sign GREEN, at x 4.50, z 5.20, heading 90 degrees",
    ]


def test_image_shows_the_view_beside_the_room(env):
    state = at(4.5, 5.2, 0.0, RED)
    image = env.render_image(state)
    assert image.dtype == np.uint8 and image.shape[0] == 240 and image.shape[1] > 320 + 150
    np.testing.assert_array_equal(image[:, :320][::4, ::4], env.observe(state))
    moved = env.render_image(at(4.5, 3.2, 0.0, RED))
    rows = np.nonzero((moved[:, 328:] != image[:, 328:]).any((1, 2)))[0]
    # 240 rows show 14 m, the room begins at 0.5 m: the arrows are around rows 63 and 98.
    assert rows.min() > 50 and rows.max() < 110
    assert view(state)[0].colour == RED
