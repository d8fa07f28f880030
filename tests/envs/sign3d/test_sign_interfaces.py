"""Sign navigation as jax, dm_env and people see it."""

import io

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import absltest
from dm_env import test_utils
from PIL import Image

import dream_jax.envs
from dream_jax.drawing.shapes import Line, Text
from dream_jax.envs.adapters.dm_env import DmEnvAdapter
from dream_jax.envs.sign3d.sign import view
from tests.envs.sign3d.sign_cases import BOX, END, FORWARD, GREEN, KEY, LEFT, RED, RIGHT, at


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
    chex.assert_trees_all_equal(tuple(outcome), (now.reward, now.terminated, now.truncated))
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


@pytest.mark.slow
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


def test_the_view_is_beside_the_room(env):
    state = jax.device_get(at(4.5, 5.2, 0.0, RED))
    picture, *plan = env.view().draw(state, [], told=True).shapes
    with Image.open(io.BytesIO(picture.png)) as image:
        seen = np.asarray(image.convert("RGB")).astype(int)
    # A palette of 64 colours is enough.
    assert np.abs(seen - jax.jit(env.observe)(state)).mean() < 4
    assert "RED" in [shape.text for shape in plan if isinstance(shape, Text)]
    image = env.render_image(state)
    assert image.dtype == np.uint8 and image.shape[1] == 720
    moved = env.render_image(at(4.5, 3.2, 0.0, RED))
    height, left = image.shape[0], round(720 * picture.width / (picture.width + 5 + 99))
    rows = np.nonzero((moved[:, left + 20 :] != image[:, left + 20 :]).any((1, 2)))[0]
    # The height shows 14 m, the room begins at 0.5 m, and 4 m of the field of view are drawn.
    assert rows.min() > height * (3.7 - 2.8) / 14 and rows.max() < height * (5.7 + 2.8) / 14
    assert view(state)[0].colour == RED


def test_the_path_of_the_episode_is_drawn(env):
    states = [jax.device_get(at(4.5, 5.2 - 0.7 * t, 0.0, RED)) for t in range(3)]
    states = [state._replace(step=t) for t, state in enumerate(states)]
    drawing = env.view().draw(states[2], states[:2], told=True)
    (path,) = [shape for shape in drawing.shapes if isinstance(shape, Line)]
    assert len(path.points) == 3
    alone = env.view().draw(states[0], states, told=True)  # the episode after
    assert not [shape for shape in alone.shapes if isinstance(shape, Line)]
