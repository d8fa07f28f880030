"""Large cooking, sentences, pictures as ids, tasks without instruction: against the originals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dream_jax import envs, presets, problems, specs
from dream_jax.config import PearlUbConfig
from dream_jax.envs.grids import cooking, cooking_variants, grid
from dream_jax.envs.grids.cooking_bounds import Kitchen, returns
from dream_jax.oracles import bounds, pearl_ub
from dream_jax.runs import resolve
from dream_jax.training import evaluation, setup


class _Kitchen(cooking.Cooking):
    """`Cooking` of any size, small enough for the exact search."""

    def __init__(self, size, pot, ingredients, horizon, fall_back_reward):
        self.size, self.pot, self.fridge_x, self.empty = size, pot, size - 1, ingredients
        self.num_problems, self.fall_back_reward = ingredients**size, fall_back_reward
        self.observation_sizes = (size, size, 4, *[ingredients + 1] * 4)
        self.instruction_sizes = (ingredients + 1,) * 2
        super().__init__(horizon)

    def _fill(self, held_out):
        everything = np.arange(self.num_problems)
        self._splits = {"train": everything, "test": everything}
        powers = self.empty ** np.arange(self.size)
        self._contents = (everything[:, None] // powers % self.empty).astype(np.int32)


@pytest.mark.parametrize("fall_back_reward", [-0.35, -0.45])
@pytest.mark.parametrize(
    ("size", "pot", "ingredients", "horizon"),
    # At 9 and 8 steps not every recipe can be finished, so looping may pay.
    [(3, (1, 1), 4, 9), (3, (1, 1), 2, 8), (4, (2, 1), 2, 12)],
)
def test_the_bounds_by_symmetry_are_those_of_the_search(
    size, pot, ingredients, horizon, fall_back_reward
):
    env = _Kitchen(size, pot, ingredients, horizon, fall_back_reward)
    exact = bounds.optimal(env, "train").mean(), bounds.no_exploration(env, "train").mean()
    found = returns(Kitchen(size, pot, size - 1, ingredients, horizon, fall_back_reward))
    assert found == pytest.approx(exact, abs=1e-6)


def test_a_loop_of_picking_up_and_dropping_is_worth_no_more_than_idling():
    """In `Cooking` it is worth more, so that agents learn it first (docs/fidelity.md)."""
    for name, gain in (("cooking", 0.1), ("cooking_large", 0.0)):
        env = envs.make(name)
        state, _ = env.reset(jax.random.key(0), jnp.int32(0), jnp.zeros(2, jnp.int32))
        state, _ = env.step(state, jnp.int32(grid.RIGHT))
        loop = 0.0
        for action in (grid.PICK, grid.DROP):
            state, seen = env.step(state, jnp.int32(action))
            loop += float(seen.reward)
        assert int(state.stage) == 0
        assert loop - 2 * -0.1 == pytest.approx(gain, abs=1e-6)


def test_large_cooking_has_many_unseen_kitchens():
    env = envs.make("cooking_large")
    train, test = env.problem_ids("train"), env.problem_ids("test")
    assert len(train) == 4_096 and len(test) == 11_529
    held = [3, 1, 4, 0, 2, 1]
    problem = sum(content * 5**k for k, content in enumerate(held))
    np.testing.assert_array_equal(env.contents(jnp.int32(problem)), held)
    assert env.instructions(problem).shape == (36, 2)
    assert (env.instructions(problem)[8] == [1, 4]).all()
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
def test_sentences_are_normalised_as_recipes_are_on_each_split(split):
    same = bounds.bounds(envs.make("cooking"), split)
    sentences = envs.make("cooking_sentences")
    assert bounds.bounds(sentences, split) == same
    options = PearlUbConfig()
    found, alike = (
        pearl_ub.returns(env, split, options) for env in (sentences, envs.make("cooking"))
    )
    np.testing.assert_array_equal(found, alike)


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
