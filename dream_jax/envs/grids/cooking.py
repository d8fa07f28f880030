"""Cooking: three fridges with unknown contents, one pot, recipes of two ingredients."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dream_jax.drawing import raster
from dream_jax.envs.grids import grid
from dream_jax.envs.grids.cooking_view import CookingView
from dream_jax.types import Array, Key, TimeStep

SIZE = 3
POT = (1, 1)
FRIDGE_X = 2
EMPTY = 4
HELD_OUT = 10
COLOURS = (
    (214, 69, 65), (63, 127, 191), (76, 165, 80), (240, 180, 41),
    (150, 90, 180), (230, 130, 60), (70, 190, 190), (120, 80, 60),
)  # fmt: skip


class CookingState(NamedTuple):
    """State of one episode."""

    problem: Array  # [] int32, the problem id
    recipe: Array  # [2] int32, ingredients (i, j): the instruction
    position: Array  # [2] int32, (x, y)
    inventory: Array  # [] int32, 0-3 or EMPTY
    pot: Array  # [3] int32, 0-3 or EMPTY
    stage: Array  # [] int32, 0-3: progress of the recipe
    step: Array  # [] int32, steps taken


class Cooking(grid.GridProblems):
    """Find out what each fridge holds, then cook a recipe (Liu et al. 2021, Section 6).

    Grid: 3 x 3. Fridges are at (2,0) (2,1) (2,2); the pot (3 slots) and the start are at (1,1).
      At most 20 steps (`horizon`).
    Problem: 64 ids. Fridge k holds ingredient (id // 4^k) % 4. `test` has the ids `held_out`, by
      default id 10 alone, and `train` the rest.
    Observation: [7] integers: x, y, object at the agent (0 none, 2 pot, 3 fridge), inventory
      (0-3, 4 empty), three pot slots (0-3, 4 empty); sizes 3, 3, 4, 5, 5, 5, 5.
    Instruction: [2] the recipe (i, j). Both are drawn with replacement from the three fridges of
      the problem; sizes 5, 5.
    Actions: 0 left, 1 up, 2 right, 3 down, 4 no-op, 5 ride bus (does nothing), 6 end episode,
      7 pick up (at a fridge it replaces the inventory, at the pot it empties the inventory,
      elsewhere it does nothing), 8 drop (empties the inventory; at the pot the ingredient fills the
      next free slot, and is lost if the pot is full). Moves stop at the border.
    Reward: depends on the state after the action. A step advances at most one stage. The reward is
      -0.1 unless the stage says otherwise:
      stage 0: inventory = i: +0.25 and stage 1. Otherwise a pick up, anywhere, gives -0.35.
      stage 1: slot 0 = i: +0.25 and stage 2. Otherwise inventory != i: -0.35 and stage 0.
      stage 2: as stage 0, with j instead of i and stage 3 next.
      stage 3: slots 0-1 = (i, j): +0.25 and done. Otherwise inventory != j: -0.35 and stage 2.
      Ending the episode costs another 0.1 for every step left.
    Termination: recipe finished, or by "end episode". Truncation: at `horizon` steps.
    Reset and step: deterministic.

    Raises ValueError for a horizon below 1, and for held-out ids that are repeated, not from 0 to
    63, or all of them.
    """

    name = "cooking"
    observation_sizes: tuple[int, ...] = (SIZE, SIZE, 4, 5, 5, 5, 5)
    instruction_sizes: tuple[int, ...] = (5, 5)
    num_problems: Any = 64
    # The kitchen: its side, the columns of pot and fridges, and the number that means "no
    # ingredient". There is a fridge in every row.
    size, pot, fridge_x, empty = SIZE, POT, FRIDGE_X, EMPTY
    fall_back_reward = -0.35  # of losing an ingredient that had been found

    def __init__(self, horizon: int = 20, held_out: Sequence[int] = ()):
        super().__init__(horizon)
        self._fill(held_out)

    def _fill(self, held_out: Sequence[int]) -> None:
        """What the fridges of each problem hold, and the splits."""
        everything = np.arange(self.num_problems)
        test = np.unique(held_out) if held_out else everything[everything == HELD_OUT]
        valid = len(test) == len(held_out) and np.isin(test, everything).all()
        if held_out and (not valid or len(test) == self.num_problems):
            raise ValueError(
                f"held_out={held_out!r} must be distinct ids from 0 to {self.num_problems - 1}, "
                "not all of them, for example 10,21"
            )
        self._splits = grid.disjoint_splits(np.setdiff1d(everything, test), test)
        self._contents = np.stack([everything // 4**k % 4 for k in range(3)], axis=1)
        self._contents = self._contents.astype(np.int32)  # [64, 3]

    def contents(self, problem: Array) -> Array:
        """[fridges] int32: the ingredient in each fridge of a problem []."""
        return jnp.asarray(self._contents)[problem]

    def held(self, problem: int) -> list[int]:
        """`contents`, outside of JAX."""
        return self._contents[problem].tolist()

    def instructions(self, problem: int) -> np.ndarray:
        fridges = self.held(problem)
        return np.array([(i, j) for i in fridges for j in fridges], np.int32)

    def sample_instruction(self, key: Key, problem: Array) -> Array:
        return self.contents(problem)[jax.random.randint(key, (2,), 0, self.size)]

    def reset(self, key: Key, problem: Array, instruction: Array) -> tuple[CookingState, TimeStep]:
        zero = jnp.zeros((), jnp.int32)
        state = CookingState(
            jnp.asarray(problem, jnp.int32),
            jnp.asarray(instruction, jnp.int32),
            jnp.array(self.pot, jnp.int32),
            jnp.full((), self.empty, jnp.int32),
            jnp.full((3,), self.empty, jnp.int32),
            zero,
            zero,
        )
        no = jnp.zeros((), bool)
        return state, TimeStep(self._observe(state), jnp.zeros((), jnp.float32), no, no)

    def step(self, state: CookingState, action: Array) -> tuple[CookingState, TimeStep]:
        x, y = state.position
        at_fridge = x == self.fridge_x
        at_pot = (x == self.pot[0]) & (y == self.pot[1])
        inventory, pot = state.inventory, state.pot

        free = pot == self.empty
        put = (action == grid.DROP) & at_pot & jnp.any(free)
        slot = jnp.argmax(free)
        pot = jnp.where(put & (jnp.arange(3) == slot), inventory, pot)
        content = jnp.where(at_fridge, self.contents(state.problem)[y], self.empty)
        inventory = jnp.where((action == grid.PICK) & (at_fridge | at_pot), content, inventory)
        inventory = jnp.where(action == grid.DROP, self.empty, inventory)

        state = state._replace(
            position=grid.move(state.position, action, self.size),
            inventory=inventory,
            pot=pot,
            step=state.step + 1,
        )
        reward, stage, finished = _stage_reward(state, action, self.fall_back_reward)
        ended = action == grid.END
        left = (self.horizon - state.step).astype(jnp.float32)
        reward = (reward - 0.1 * left * ended).astype(jnp.float32)
        state = state._replace(stage=stage)
        terminated = finished | ended
        truncated = (state.step >= self.horizon) & ~terminated
        return state, TimeStep(self._observe(state), reward, terminated, truncated)

    def _observe(self, state: CookingState) -> Array:
        x, y = state.position
        at_pot = (x == self.pot[0]) & (y == self.pot[1])
        kind = jnp.where(at_pot, 2, jnp.where(x == self.fridge_x, 3, 0))
        head = jnp.stack([x, y, kind, state.inventory])
        return jnp.concatenate([head, state.pot]).astype(jnp.int32)

    def render_text(self, state: CookingState) -> str:
        """The grid as text: F fridge (contents beside it), P pot, @ agent.

        The last line shows the inventory, the pot and the recipe.
        """
        board = np.full((self.size, self.size), ".")
        board[self.pot] = "P"
        board[self.fridge_x] = "F"
        board[tuple(np.asarray(state.position))] = "@"
        contents = np.asarray(self.contents(state.problem))
        rows = [" ".join(board[:, y]) + f"  {contents[y]}" for y in reversed(range(self.size))]

        def show(items):
            return " ".join("-" if int(i) == self.empty else str(int(i)) for i in items)

        held = f"holds {show([state.inventory])}, pot {show(state.pot)}"
        return "\n".join([*rows, f"{held}, recipe {show(state.recipe)}"])

    def render_image(self, state: CookingState) -> np.ndarray:
        """[306, 408, 3] uint8: the kitchen as `view` draws it, with the recipe."""
        return raster.pixels(self.view().draw(state, [], told=True), 408)

    def view(self) -> CookingView:
        return CookingView(self)


def _stage_reward(
    state: CookingState, action: Array, fall_back_reward: float
) -> tuple[Array, Array, Array]:
    """(reward [], next stage [], recipe finished []), from the state after the action."""
    first, second = state.recipe
    wanted = jnp.where(state.stage < 2, first, second)
    fetching = state.stage % 2 == 0  # stages 0 and 2 wait for an ingredient in hand
    in_hand = state.inventory == wanted
    cooked_first = state.pot[0] == first
    cooked = cooked_first & ((state.stage == 1) | (state.pot[1] == second))
    advance = jnp.where(fetching, in_hand, cooked)
    fall_back = ~fetching & ~cooked & ~in_hand
    wrong = fetching & (action == grid.PICK)
    lost = jnp.where(fall_back, fall_back_reward, -0.1)
    reward = jnp.where(advance, 0.25, jnp.where(wrong, -0.35, lost))
    finished = (state.stage == 3) & advance
    stage = jnp.where(finished, 3, state.stage + advance - fall_back)
    return reward, stage.astype(jnp.int32), finished
