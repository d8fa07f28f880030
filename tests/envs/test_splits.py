"""Validation problems are training problems that nobody trains on."""

import jax
import numpy as np
import pytest

from dream_jax import envs
from dream_jax.config import EnvConfig
from dream_jax.envs.splits import split_names, with_validation


@pytest.mark.parametrize(("name", "problems"), [("cooking", 7), ("distracting_bus", 6), ("map", 3)])
def test_validation_problems_come_out_of_the_training_ones(name, problems):
    plain = envs.make(name)
    env = envs.from_config(name, EnvConfig(validation_problems=problems))
    assert split_names(plain) == ("train", "test")
    assert split_names(env) == ("train", "validation", "test")
    train, drawn = env.problem_ids("train"), env.problem_ids("validation")
    assert train.dtype == drawn.dtype == np.int32 and len(drawn) == problems
    np.testing.assert_array_equal(np.union1d(train, drawn), plain.problem_ids("train"))
    assert not np.intersect1d(train, drawn).size
    np.testing.assert_array_equal(env.problem_ids("test"), plain.problem_ids("test"))
    again = envs.from_config(name, EnvConfig(validation_problems=problems))
    np.testing.assert_array_equal(again.problem_ids("validation"), drawn)
    with pytest.raises(ValueError, match="'tests'"):
        env.problem_ids("tests")


def test_the_family_is_otherwise_the_same():
    plain = envs.make("cooking")
    env = with_validation(plain, 7)
    assert type(env) is type(plain)
    np.testing.assert_array_equal(plain.problem_ids("train"), np.delete(np.arange(64), 10))
    state, step = env.reset(jax.random.key(0), 3, env.instructions(3)[0])
    assert jax.tree.all(
        jax.tree.map(np.array_equal, plain.step(state, 7), env.step(state, 7))
    ) and step.observation.shape == (7,)


@pytest.mark.parametrize(
    ("name", "config", "message"),
    [
        ("cooking", EnvConfig(validation_problems=63), "validation_problems=63: cooking trains on"),
        ("sign", EnvConfig(validation_problems=3), "must be at most 2"),
        (
            "cooking",
            EnvConfig(held_out=(64,)),
            r"held_out=\(64,\) must be distinct ids from 0 to 63",
        ),
        ("cooking", EnvConfig(held_out=(3, 3)), r"held_out=\(3, 3\) must be distinct"),
        ("cooking", EnvConfig(held_out=tuple(range(64))), "not all of them"),
        (
            "map",
            EnvConfig(held_out=(3,)),
            r"held_out=\(3,\): only cooking can have it; leave it \(\)",
        ),
        (
            "map",
            EnvConfig(quality="textured"),
            "quality='textured': only sign and sign_words can have it",
        ),
    ],
)
def test_what_a_family_does_not_have_is_refused_by_name(name, config, message):
    with pytest.raises(ValueError, match=message):
        envs.from_config(name, config)


def test_other_kitchens_may_be_held_out():
    env = envs.from_config("cooking", EnvConfig(held_out=(21, 5), validation_problems=7))
    np.testing.assert_array_equal(env.problem_ids("test"), [5, 21])
    train = env.problem_ids("train")
    assert len(train) == 55 and not np.isin([5, 21], train).any()
    assert 10 in np.union1d(train, env.problem_ids("validation"))


def test_a_split_of_the_family_s_own_is_kept():
    with pytest.raises(ValueError, match="has such a split; use 0"):
        with_validation(with_validation(envs.make("cooking"), 3), 3)
