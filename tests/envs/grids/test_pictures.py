"""Grid worlds as text and as pictures."""

import jax.numpy as jnp
import numpy as np
import pytest

import dream_jax.envs
from dream_jax.envs.grids.bus import BusState
from dream_jax.envs.grids.cooking import CookingState

NAMES = ("bus", "distracting_bus", "map")


def test_text_of_a_bus_world():
    # Problem 0 leaves both orders as listed: A (4,5)-(0,1), B (5,4)-(0,7), C (3,4)-(8,1),
    # D (4,3)-(8,7), and grey a (5,5)-(0,4), b (3,3)-(4,0), c (3,5)-(8,4), d (5,3)-(4,8).
    env = dream_jax.envs.make("distracting_bus")
    state = BusState(jnp.int32(0), jnp.array([8, 0]), jnp.array([2, 6]), jnp.int32(3))
    assert env.render_text(state).splitlines() == [
        ". . . . d . . . .",
        "B . . . . . . . D",
        ". . @ . . . . . .",
        ". . . c A a . . .",
        "a . . C . B . . c",
        ". . . b D d . . .",
        ". . . . . . . . .",
        "A . . . . . . . C",
        ". . . . b . . . *",
    ]


def test_text_of_a_map_world():
    # Problem 23 is the last permutation, the reverse: A (8,7), B (8,1), C (0,7), D (0,1).
    env = dream_jax.envs.make("map")
    state = BusState(jnp.int32(23), jnp.array([0, 8]), jnp.array([4, 4]), jnp.int32(0))
    assert env.render_text(state).splitlines() == [
        "* . . . . . . . .",
        "C . . . . . . . A",
        ". . . . . . . . .",
        ". . . . A . . . .",
        ". . . C @ B . . .",
        ". . . . D . . M .",
        ". . . . . . . . .",
        "D . . . . . . . B",
        ". . . . . . . . .",
    ]


def cooking_state(position):
    # 27 = 3 + 2 * 4 + 1 * 16: from the bottom, the fridges hold 3, 2, 1.
    return CookingState(
        problem=jnp.int32(27),
        recipe=jnp.array([2, 1]),
        position=jnp.array(position),
        inventory=jnp.int32(4),
        pot=jnp.array([2, 3, 4]),
        stage=jnp.int32(2),
        step=jnp.int32(9),
    )


def test_text_of_a_kitchen():
    env = dream_jax.envs.make("cooking")
    assert env.render_text(cooking_state((0, 2))).splitlines() == [
        "@ . F  1",
        ". P F  2",
        ". . F  3",
        "holds -, pot 2 3 -, recipe 2 1",
    ]


def changed_cells(before, after, rows, columns):
    """(row, column) of the cells, counted from the top left, in which two pictures differ."""
    height, width = before.shape[0] // rows, before.shape[1] // columns
    differs = (before != after).any(-1).reshape(rows, height, columns, width).any((1, 3))
    return set(zip(*(index.tolist() for index in np.nonzero(differs)), strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_image_of_a_bus_world_shows_the_agent_in_its_cell(name):
    env = dream_jax.envs.make(name)
    images = [
        env.render_image(
            BusState(jnp.int32(5), jnp.array([8, 8]), jnp.array(position), jnp.int32(1))
        )
        for position in ((1, 2), (6, 8))
    ]
    for image in images:
        assert image.dtype == np.uint8
        assert image.ndim == 3 and image.shape[2] == 3
        assert image.shape[0] == image.shape[1]
    # y points up: (1, 2) is row 8 - 2 = 6 from the top, (6, 8) is row 0.
    assert changed_cells(*images, rows=9, columns=9) == {(6, 1), (0, 6)}


def test_image_of_a_bus_world_shows_what_differs_between_problems():
    env = dream_jax.envs.make("bus")
    # The ids 0 and 1 differ in the last two destinations, (8, 1) and (8, 7): rows 7 and 1.
    images = [
        env.render_image(
            BusState(jnp.int32(problem), jnp.array([8, 8]), jnp.array([4, 4]), jnp.int32(0))
        )
        for problem in (0, 1)
    ]
    assert changed_cells(*images, rows=9, columns=9) == {(7, 8), (1, 8)}


def test_image_of_a_kitchen_shows_the_agent_and_what_it_holds():
    env = dream_jax.envs.make("cooking")
    before = env.render_image(cooking_state((0, 2)))
    assert before.dtype == np.uint8
    assert before.ndim == 3 and before.shape[2] == 3
    # From the top: hand and recipe, the kitchen's y = 2, 1, 0, the pot slots.
    after = env.render_image(cooking_state((2, 0)))
    assert changed_cells(before, after, rows=5, columns=3) == {(1, 0), (3, 2)}
    holding = env.render_image(cooking_state((0, 2))._replace(inventory=jnp.int32(1)))
    assert changed_cells(before, holding, rows=5, columns=3) == {(0, 0)}
    filled = env.render_image(cooking_state((0, 2))._replace(pot=jnp.array([2, 3, 0])))
    assert changed_cells(before, filled, rows=5, columns=3) == {(4, 2)}
