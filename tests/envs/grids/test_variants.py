"""Large cooking, sentences, pictures as ids, tasks without instruction: against the originals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dream_jax import envs, presets, problems, specs
from dream_jax.envs.grids import cooking_variants
from dream_jax.envs.grids.cooking_bounds import Kitchen, returns
from dream_jax.oracles import bounds
from dream_jax.runs import resolve
from dream_jax.training import evaluation, setup


def test_the_bounds_by_symmetry_are_those_of_the_search():
    env = envs.make("cooking")
    splits = [(bounds.optimal(env, s), bounds.no_exploration(env, s)) for s in ("train", "test")]
    optimal, unexplored = (np.concatenate(part).mean() for part in zip(*splits, strict=True))
    found = returns(Kitchen(3, (1, 1), 2, 4, 20))
    assert found == pytest.approx((optimal, unexplored), abs=1e-6)
    fewer = returns(Kitchen(3, (1, 1), 2, 4, 9))
    assert fewer[0] <= found[0]


def test_large_cooking_has_many_unseen_kitchens():
    env = envs.make("cooking_large")
    train, test = env.problem_ids("train"), env.problem_ids("test")
    assert len(train) == 4_096 and len(test) == 28_672
    problem = 3 + 8 * 1 + 64 * 7 + 512 * 0 + 4_096 * 5
    np.testing.assert_array_equal(env.contents(jnp.int32(problem)), [3, 1, 7, 0, 5])
    assert env.instructions(problem).shape == (25, 2)
    assert (env.instructions(problem)[7] == [1, 7]).all()
    trials = evaluation.trial_set(env, "test", 64, 1, cover=True, most=2_000)
    assert trials.instruction.shape == (2_000, 1, 2)
    held = np.asarray(jax.vmap(env.contents)(trials.problem)).tolist()
    rows = trials.instruction[:, 0].tolist()
    assert all(set(i) <= set(h) for i, h in zip(rows, held, strict=True))
    assert env.reference_returns[1] < env.reference_returns[0]


def test_sentences_ask_for_what_the_fridges_hold():
    env = envs.make("cooking_sentences")
    assert not problems.lists_instructions(env)
    keys = jax.random.split(jax.random.key(0), 400)
    draw = jax.jit(jax.vmap(env.sample_instruction, in_axes=(0, None)))
    reset = jax.jit(jax.vmap(lambda i: env.reset(keys[0], jnp.int32(27), i)[0].recipe))
    sentences = draw(keys, jnp.int32(27))  # fridges 3, 2, 1
    assert specs.outside(specs.instruction(env), np.asarray(sentences[0])) is None
    recipes = np.asarray(reset(sentences))
    assert set(map(tuple, recipes.tolist())) == {(i, j) for i in (1, 2, 3) for j in (1, 2, 3)}
    table = env._sentences
    phrasings = [
        {k for k in range(8) for s in np.asarray(heard) if (table[k] == s).all(-1).any()}
        for heard in (sentences, draw(keys, jnp.int32(10)))
    ]
    assert phrasings == [{0, 2, 3, 4, 6, 7}, set(cooking_variants._HELD_OUT_PHRASINGS)]


@pytest.mark.parametrize("split", ["train", "test"])
def test_sentences_are_worth_what_their_recipes_are(split):
    same = bounds.bounds(envs.make("cooking"), split)
    assert bounds.bounds(envs.make("cooking_sentences"), split) == same


def test_a_picture_shows_every_fridge():
    env = envs.make("cooking_pictures")
    picture = np.asarray(env.descriptor(jnp.int32(27)))
    assert picture.shape == (8, 24, 3) and picture.dtype == np.uint8
    colours = np.array(cooking_variants.COLOURS)
    np.testing.assert_array_equal(picture[4, [4, 12, 20]], colours[[3, 2, 1]])
    kinds = {np.asarray(env.descriptor(jnp.int32(k))).tobytes() for k in range(64)}
    assert len(kinds) == 64


def test_the_goal_of_a_bus_task_is_the_problems():
    env, bus = envs.make("bus_tasks"), envs.make("bus")
    nothing = jnp.zeros((0,), jnp.int32)
    for problem in (3, 24 + 3, 95):
        state, _ = env.reset(jax.random.key(0), jnp.int32(problem), nothing)
        np.testing.assert_array_equal(state.goal, bus.instructions(0)[problem // 24])
    np.testing.assert_array_equal(env.bus_at[27], bus.bus_at[3])
    assert len(env.problem_ids("train")) == 80


@pytest.mark.parametrize("benchmark", envs.VARIANTS)
def test_variants_can_be_traced(benchmark):
    config = presets.smoke(presets.get(benchmark, "dream"))
    trainer = setup.make_trainer(config, resolve.checked_env(config))
    state = jax.eval_shape(trainer.init, jax.ShapeDtypeStruct((), jnp.int32))
    after, losses = jax.eval_shape(trainer.iterate, state)
    assert jax.tree.structure(after) == jax.tree.structure(state) and losses
