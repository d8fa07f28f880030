"""Cooking in other forms: a large family, instructions as sentences, problem ids as pictures."""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from dm_env import specs

from dream_jax.envs.grids import grid
from dream_jax.envs.grids.cooking import COLOURS, Cooking
from dream_jax.envs.grids.cooking_bounds import Kitchen, returns
from dream_jax.envs.grids.cooking_view import CookingView
from dream_jax.specs import Tokens
from dream_jax.types import Array, Key, TimeStep


class CookingLarge(Cooking):
    """`Cooking` in a kitchen with 6 fridges and 5 ingredients: 15,625 kitchens.

    Grid: 6 x 6. Fridges are at (5,0) .. (5,5); the pot (3 slots) and the start are at (4,2). At
      most 20 steps (`horizon`).
    Problem: fridge k holds ingredient (id // 5^k) % 5. `train` has 4,096 ids drawn at random once;
      `test` has the other 11,529. Descriptor: [6] integers, what the fridges hold.
    Observation: [7] integers as in `Cooking`; sizes 6, 6, 4, 6, 6, 6, 6 (5: empty).
    Instruction: [2] the recipe; sizes 6, 6.
    Reward: losing the ingredient in hand in stages 1 and 3 gives -0.45, not -0.35. So picking up
      and dropping by turns is worth as much as idling, where in `Cooking` it is worth more: 0.25
      is -0.1 for the step and 0.35 for the stage, and -0.45 takes the same 0.35 away.
    Everything else is as in `Cooking`.
    """

    name = "cooking_large"
    size, pot, fridge_x, empty = 6, (4, 2), 5, 5
    fall_back_reward = -0.45
    observation_sizes = (6, 6, 4, 6, 6, 6, 6)
    instruction_sizes = (6, 6)
    num_problems = empty**size
    training_problems = 4_096
    descriptor_spec = specs.BoundedArray((6,), np.int32, 0, 4)

    def __init__(self, horizon: int = 20):
        super().__init__(horizon)

    def _fill(self, held_out: Sequence[int]) -> None:
        order = np.random.default_rng(0).permutation(self.num_problems)
        train, test = np.split(order, [self.training_problems])
        self._splits = grid.disjoint_splits(np.sort(train), np.sort(test))

    @functools.cached_property
    def reference_returns(self) -> tuple[float, float]:
        """(optimal, no exploration) over all kitchens, exactly."""
        kitchen = Kitchen(
            size=self.size,
            pot=self.pot,
            fridge_x=self.fridge_x,
            ingredients=self.empty,
            horizon=self.horizon,
            fall_back_reward=self.fall_back_reward,
        )
        return returns(kitchen)

    def contents(self, problem: Array) -> Array:
        powers = self.empty ** jnp.arange(self.size)
        return jnp.asarray(problem, jnp.int32) // powers % self.empty

    def held(self, problem: int) -> list[int]:
        return [int(problem) // self.empty**k % self.empty for k in range(self.size)]

    def descriptor(self, problem: Array) -> Array:
        return self.contents(problem)


# Words of `CookingSentences`; 0 is no word.
_WORDS = (
    "", "put", "cook", "take", "first", "then", "before", "after", "and", "the",
    "tomato", "plum", "leek", "corn",
)  # fmt: skip
_FOOD = _WORDS.index("tomato")
_I, _J = -1, -2  # the two ingredients
_PHRASINGS = (
    ("put", _I, "then", _J),
    ("cook", _I, "and", "then", _J),
    ("first", _I, "then", _J),
    ("take", "the", _I, "before", "the", _J),
    ("put", _J, "after", _I),
    ("cook", "the", _J, "after", "the", _I),
    ("first", "take", _I, "then", "take", _J),
    ("before", _J, "take", _I),
)
_LENGTH = 6
_HELD_OUT_PHRASINGS = (1, 5)


class CookingSentences(Cooking):
    """`Cooking` whose instructions are sentences, for example "put tomato then plum".

    Instruction: [6] words, 0 for none, with one of 8 phrasings, uniformly. Some name the second
      ingredient first ("put plum after tomato"). The test problem is asked in two phrasings that
      the training problems never use. In training, each of the other six phrasings leaves out about
      a fifth of the recipes. These combinations are in no split.
    Everything else is as in `Cooking`; there is no list of instructions.
    """

    name = "cooking_sentences"
    instruction_sizes = ()
    instruction_spec = Tokens(_LENGTH, words=len(_WORDS) - 1)
    instructions: Any = None  # drawn, not listed

    def __init__(self, horizon: int = 20):
        super().__init__(horizon)
        table = np.zeros((len(_PHRASINGS), 4, 4, _LENGTH), np.int32)
        for p, phrasing in enumerate(_PHRASINGS):
            for i, j in np.ndindex(4, 4):
                words = [
                    _FOOD + {_I: i, _J: j}[word] if isinstance(word, int) else _WORDS.index(word)
                    for word in phrasing
                ]
                table[p, i, j, : len(words)] = words
        self._sentences = table
        self._seen = np.setdiff1d(np.arange(len(_PHRASINGS)), _HELD_OUT_PHRASINGS)

    @functools.cached_property
    def same_returns_as(self) -> Cooking:
        """`Cooking`: the same recipes, equally likely. What a phrasing says about the kitchen, held
        out or not, counts for nothing."""
        return Cooking(self.horizon)

    def sample_instruction(self, key: Key, problem: Array) -> Array:
        recipe_key, phrasing_key = jax.random.split(key)
        i, j = super().sample_instruction(recipe_key, problem)
        heard = jnp.asarray(self._seen)
        allowed = (i + 2 * j + jnp.arange(len(heard))) % 5 != 0  # by phrasing
        told = heard[jax.random.categorical(phrasing_key, jnp.log(jnp.where(allowed, 1.0, 0.0)))]
        new = jax.random.bernoulli(phrasing_key).astype(jnp.int32)
        held_out = jnp.asarray(_HELD_OUT_PHRASINGS)[new]
        is_test = jnp.any(problem == jnp.asarray(self._splits["test"]))
        phrasing = jnp.where(is_test, held_out, told)
        return jnp.asarray(self._sentences)[phrasing, i, j]

    def view(self) -> CookingView:
        return CookingView(self, _WORDS)

    def reset(self, key: Key, problem: Array, instruction: Array) -> tuple[Any, TimeStep]:
        """`instruction`: [6] words. What they ask for is looked up among all sentences."""
        same = jnp.all(jnp.asarray(self._sentences) == instruction.astype(jnp.int32), axis=-1)
        place = jnp.argmax(same.ravel()) % 16
        return super().reset(key, problem, jnp.stack([place // 4, place % 4]))


class CookingPictures(Cooking):
    """`Cooking` whose problem ids are pictures of the fridges' contents.

    Descriptor: [8, 24, 3] uint8: the three fridges side by side, each in the colour of its content,
      with a white frame. Everything else is as in `Cooking`.
    """

    name = "cooking_pictures"
    descriptor_spec = specs.BoundedArray((8, 24, 3), np.uint8, 0, 255)

    def descriptor(self, problem: Array) -> Array:
        colours = jnp.asarray(np.array(COLOURS[:4], np.uint8))[self.contents(problem)]  # [3, 3]
        door = jnp.zeros((8, 8), bool).at[1:7, 1:7].set(True)[None, :, :, None]
        fridges = jnp.where(door, colours[:, None, None], jnp.uint8(255))  # [3, 8, 8, 3]
        return jnp.concatenate(list(fridges), axis=1)
