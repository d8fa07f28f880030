"""Every benchmark is shown to people: a view that does not fail, in words and in pictures."""

import jax
import numpy as np
import pytest

from dream_jax import envs
from dream_jax.drawing.view import view_of

NAMES = sorted(envs.ENVIRONMENTS)


@pytest.mark.parametrize("name", NAMES)
def test_the_view_of_every_benchmark_has_words_and_pictures(name):
    env = envs.make(name)
    view = view_of(env)
    last = env.num_problems - 1
    for problem in (0, last):
        instruction = env.sample_instruction(jax.random.key(problem), problem)
        state, _ = env.reset(jax.random.key(1), problem, instruction)
        after, _ = env.step(state, env.num_actions - 1)
        states = [jax.tree.map(np.asarray, each) for each in (state, after)]
        for told in (False, True):
            drawing = view.draw(states[1], states[:1], told)
            assert drawing.shapes
            assert drawing.description
        column, row = view.cell(states[1])
        assert 0 <= column < view.cells.columns
        assert 0 <= row < view.cells.rows
        assert view.instruction(np.asarray(instruction)).strip()
    assert len(view.action_names) == env.num_actions
    assert view.problem(0) != view.problem(last)
    for values in view.groups().values():
        assert len(values) == env.num_problems
        assert len(set(values)) > 1


def test_a_task_of_the_bus_is_named_by_its_goal():
    view = envs.make("bus_tasks").view()
    words = [view.problem(problem) for problem in range(96)]
    assert len(set(words)) == 96
    assert words[30].startswith("goal in the upper right corner, ")
    assert set(view.groups()["goal"]) == {"lower left", "upper right", "upper left", "lower right"}
