"""Families that break their declarations are refused in one line; a family of every kind is not."""

import jax
import numpy as np
import pytest

from dream_jax import envs, problems, specs
from dream_jax.envs.adapters import check
from dream_jax.oracles import bounds
from dream_jax.training import evaluation
from tests.envs.adapters import family_cases, host_cases
from tests.envs.adapters.family_cases import HORIZON, WRONG

MODULE = family_cases.__name__


@pytest.mark.parametrize("name", sorted(WRONG))
def test_a_wrong_family_is_refused_in_one_line(name):
    with pytest.raises(ValueError) as error:
        envs.make(f"{MODULE}:{name}", horizon=HORIZON)
    message = str(error.value)
    assert message.startswith(f"{MODULE}:{name}") and WRONG[name] in message
    assert "\n" not in message and len(message) < 700


@pytest.mark.parametrize("name", ["Mixed", "Drawn", "Listed"])
def test_a_family_of_every_kind_is_accepted(name):
    env = envs.make(f"{MODULE}:{name}", horizon=HORIZON)
    assert env.name == name.lower() and env.end_episode_action is None
    assert env.render_image("some\ntext").shape == (48, 380, 3)
    walk = check.random_walk(env, steps=40)
    assert walk.alive[:, 0].all() and not walk.alive[:, -1].all()


def test_parts_are_read_from_specs():
    env = family_cases.Mixed(HORIZON)
    space = specs.observation(env)
    found = {part.name: (part.kind, part.dtype) for part in space.parts}
    assert found == {
        "door": ("integers", "int16"),
        "meter": ("numbers", "float32"),
        "open": ("integers", "uint8"),
        "view": ("picture", "uint8"),
    }
    assert space.component_sizes is None and specs.observation(envs.make("bus")).component_sizes
    assert [part.kind for part in specs.instruction(env).parts] == ["integers", "tokens"]


class Queried(family_cases.Listed):
    """`Listed` with instructions that are listed too, so that the oracles might search it."""

    name, num_problems, end_episode_action = "listed", 6, 0

    def instructions(self, problem):
        return np.zeros((1, 1), np.int32)


def test_the_oracles_say_why_they_do_not_reach():
    with pytest.raises(ValueError, match="that are vectors of small integers"):
        bounds.bounds(Queried(HORIZON), "train")
    with pytest.raises(ValueError, match="doors: the exact oracles need reset and step in JAX"):
        bounds.optimal(Unknown(3), "train")


class Unknown(host_cases.Doors):
    name = "doors"

    @property
    def reference_returns(self):
        raise AttributeError


def test_large_families_are_sampled_not_listed():
    env = envs.make(f"{MODULE}:Listed", horizon=HORIZON)
    trials = evaluation.trial_set(env, "test", 100, 2, cover=True, most=500)
    assert len(np.unique(trials.problem)) == len(trials.problem) == 500
    assert (trials.problem % 2 == 1).all()
    assert trials.instruction["say"].shape == (500, 2, 4)
    assert evaluation.covered(env, "test", trials) == "test: 500 of 15,000 problems"
    drawn = envs.make(f"{MODULE}:Mixed", horizon=HORIZON)
    trials = evaluation.trial_set(drawn, "train", 60, 1, cover=True)
    assert len(trials.problem) == 60 and (trials.problem % 2 == 0).all()
    again = evaluation.trial_set(drawn, "train", 60, 1, cover=True)
    jax.tree.map(np.testing.assert_array_equal, trials, again)
    assert "drawn of a family without end" in str(evaluation.covered(drawn, "train", trials))


def test_every_problem_is_covered_before_any_twice():
    env = envs.make("cooking")
    trials = evaluation.trial_set(env, "train", 100, 1, cover=True, most=80)
    assert len(trials.problem) == 80
    np.testing.assert_array_equal(np.unique(trials.problem), env.problem_ids("train"))
    assert evaluation.covered(env, "train", trials) is None
    np.testing.assert_array_equal(problems.some(env, "test", 5), [10])
