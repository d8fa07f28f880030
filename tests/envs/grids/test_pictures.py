"""Grid worlds as text and as pictures."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import dream_jax.envs
from dream_jax.drawing.shapes import Line, Text
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


def shapes(env, state, before=(), told=True):
    return set(env.view().draw(state, list(before), told=told).shapes)


def words(env, state, before=(), told=True):
    return {shape.text for shape in shapes(env, state, before, told) if isinstance(shape, Text)}


def walk(env, problem, instruction, actions):
    """The states of an episode, numpy."""
    state, _ = env.reset(jax.random.key(0), jnp.int32(problem), jnp.asarray(instruction))
    states = [state]
    for action in actions:
        states.append(env.step(states[-1], action)[0])
    return jax.device_get(states)


LEFT, UP, RIGHT, DOWN, NO_OP, RIDE, END, PICK, DROP = range(9)


@pytest.mark.parametrize("name", ("cooking", *NAMES))
def test_a_picture_shows_where_the_agent_is(name):
    env = dream_jax.envs.make(name)
    states = walk(env, 5, env.instructions(5)[0], [LEFT, DOWN])
    pictures = [env.render_image(state) for state in states]
    for picture in pictures:
        assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3
    assert (pictures[0] != pictures[1]).any() and (pictures[1] != pictures[2]).any()
    places = [env.view().cell(state) for state in states]
    x, y = places[0]
    assert places == [(x, y), (x - 1, y), (x - 1, y + 1)]  # rows count from the top


def test_fridges_open_when_they_are_used_and_stay_open():
    env = dream_jax.envs.make("cooking")
    # 27: from the bottom, the fridges hold cheese, lettuce, onion. Only walking opens none.
    states = walk(env, 27, (3, 2), [RIGHT, UP, NO_OP, PICK, DOWN, PICK])
    closed = [
        sum(isinstance(shape, Text) and shape.text == "?" for shape in shapes(env, s, states[:i]))
        for i, s in enumerate(states)
    ]
    assert closed == [3, 3, 3, 3, 2, 2, 1]
    later = walk(env, 27, (3, 2), [])  # the episode after: what was found is still shown
    told = words(env, later[0], states)
    assert len([shape for shape in shapes(env, later[0], states) if shape == FRIDGE_DOOR]) == 1
    assert told == {"?"}


FRIDGE_DOOR = Text(6 + 90 + 6 + 11 + 1, 6 + 60 + 2 + 17, "?", 9, "#8b96a1", bold=True)  # the lowest


def test_the_hand_the_pot_and_the_recipe_are_shown():
    env = dream_jax.envs.make("cooking")
    bare = cooking_state((0, 2))
    assert shapes(env, bare) != shapes(env, bare._replace(inventory=jnp.int32(1)))
    assert shapes(env, bare) != shapes(env, bare._replace(pot=jnp.array([2, 3, 0])))
    other = bare._replace(recipe=jnp.array([0, 1]))
    assert shapes(env, bare) != shapes(env, other)
    # While exploring the recipe is hidden.
    assert shapes(env, bare, told=False) == shapes(env, other, told=False)


def test_a_bus_is_unknown_until_it_is_ridden():
    env = dream_jax.envs.make("distracting_bus")
    states = walk(env, 0, (8, 0), [UP, UP, DOWN, RIDE, RIGHT])
    for i, state in enumerate(states):
        texts = [s.text for s in shapes(env, state, states[:i]) if isinstance(s, Text)]
        ridden = i >= 4
        assert texts.count("?") == 8 - ridden and texts.count("1") == 1 + ridden
        lines = [s for s in shapes(env, state, states[:i]) if isinstance(s, Line) and s.dash]
        assert len(lines) == ridden


def test_the_goal_is_hidden_while_exploring():
    env = dream_jax.envs.make("map")
    one, other = (walk(env, 3, goal, [])[0] for goal in ((8, 0), (0, 8)))
    assert shapes(env, one, told=False) == shapes(env, other, told=False)
    assert shapes(env, one) != shapes(env, other)


def test_words():
    view = dream_jax.envs.make("cooking").view()
    assert view.instruction(np.array([0, 1])) == "cook: tomato, then onion"
    assert view.problem(27) == "fridges: onion, lettuce, cheese"  # from the top, as drawn
    assert [values[27] for values in view.groups().values()] == ["cheese", "lettuce", "onion"]
    view = dream_jax.envs.make("distracting_bus").view()
    assert view.instruction(np.array([8, 0])) == "go to the lower right corner"
    assert view.problem(0).startswith("bus 1 to lower left, bus 2 to upper left, bus 3 to lower")
    groups = view.groups()
    assert len(set(groups["coloured buses"])) == len(set(groups["grey buses"])) == 24
    assert all(len(values) == 576 for values in groups.values())
