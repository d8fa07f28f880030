"""The bus grid worlds of Liu et al. 2021: plain, with distracting buses, and with a map."""

import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dream_jax.drawing import raster
from dream_jax.envs.grids import grid
from dream_jax.envs.grids.bus_view import BusView
from dream_jax.types import Array, Key, TimeStep

SIZE = 9
START = (4, 4)
MAP_CELL = (7, 3)
GOALS = ((0, 0), (8, 8), (0, 8), (8, 0))
STOPS = ((4, 5), (5, 4), (3, 4), (4, 3))
DESTINATIONS = ((0, 1), (0, 7), (8, 1), (8, 7))
GREY_STOPS = ((5, 5), (3, 3), (3, 5), (5, 3))
GREY_DESTINATIONS = ((0, 4), (4, 0), (8, 4), (4, 8))


class BusState(NamedTuple):
    """State of one episode."""

    problem: Array  # [] int32, the problem id
    goal: Array  # [2] int32, (x, y): the instruction
    position: Array  # [2] int32, (x, y)
    step: Array  # [] int32, steps taken


class Bus(grid.GridProblems):
    """Find out which bus goes where, then reach a goal corner in time (Liu et al. 2021, Section 6).

    Grid: 9 x 9, start (4, 4), at most 20 steps (`horizon`).
    Problem: 24 ids. The coloured stops (4,5) (5,4) (3,4) (4,3) lead to the destinations (0,1) (0,7)
      (8,1) (8,7), in the id-th order of `itertools.permutations`. Each destination has a bus stop
      too; riding from there leads back. `train` and `test` both contain all ids.
    Observation: [3] integers: x, y, object at the agent (0 none, 1 bus); sizes 9, 9, 4.
    Instruction: [2] the goal cell, uniform over (0,0) (8,8) (0,8) (8,0); sizes 9, 9.
    Actions: 0 left (x-1), 1 up (y+1), 2 right (x+1), 3 down (y-1), 4 no-op, 5 ride bus,
      6 end episode, 7 pick up, 8 drop. Actions 4, 7 and 8 do nothing. Moves stop at the border.
    Reward: depends on the position after the action: +1 at the goal, else -0.1. Ending the episode
      costs another 0.1 for every step left, so it is worth as much as idling.
    Termination: at the goal, or by "end episode". Truncation: at `horizon` steps.
    Reset and step: deterministic.
    """

    name = "bus"
    observation_sizes: tuple[int, ...] = (SIZE, SIZE, 4)
    instruction_sizes: tuple[int, ...] = (SIZE, SIZE)
    num_problems = 24
    has_map = False

    def __init__(self, horizon: int = 20):
        super().__init__(horizon)
        everything = np.arange(self.num_problems, dtype=np.int32)
        self._splits = {"train": everything, "test": everything}
        self._buses = [self._bus_pairs(i) for i in range(self.num_problems)]
        teleport = np.tile(np.arange(SIZE * SIZE, dtype=np.int32), (self.num_problems, 1))
        # [problems, cells] index of the bus at each cell: 0 to 3 coloured, 4 to 7 grey, -1 none.
        self.bus_at = np.full_like(teleport, -1)
        for problem, pairs in enumerate(self._buses):
            for index, (a, b) in enumerate(pairs):
                teleport[problem, _cell(a)], teleport[problem, _cell(b)] = _cell(b), _cell(a)
                self.bus_at[problem, [_cell(a), _cell(b)]] = index
        self._teleport = teleport
        self._is_bus = (self.bus_at[0] >= 0).astype(np.int32)  # [cells], the same in every problem

    def _bus_pairs(self, problem: int) -> list[tuple[tuple[int, int], tuple[int, int]]]:
        order = list(itertools.permutations(DESTINATIONS))[problem % 24]
        return list(zip(STOPS, order, strict=True))

    def instructions(self, problem: int) -> np.ndarray:
        return np.array(GOALS, np.int32)

    def sample_instruction(self, key: Key, problem: Array) -> Array:
        return jnp.asarray(np.array(GOALS, np.int32))[jax.random.randint(key, (), 0, len(GOALS))]

    def reset(self, key: Key, problem: Array, instruction: Array) -> tuple[BusState, TimeStep]:
        state = BusState(
            jnp.asarray(problem, jnp.int32),
            jnp.asarray(instruction, jnp.int32),
            jnp.array(START, jnp.int32),
            jnp.zeros((), jnp.int32),
        )
        no = jnp.zeros((), bool)
        return state, TimeStep(self._observe(state), jnp.zeros((), jnp.float32), no, no)

    def step(self, state: BusState, action: Array) -> tuple[BusState, TimeStep]:
        cell = state.position[0] * SIZE + state.position[1]
        ridden = jnp.asarray(self._teleport)[state.problem, cell]
        cell = jnp.where(action == grid.RIDE, ridden, cell)
        position = grid.move(jnp.stack([cell // SIZE, cell % SIZE]), action, SIZE)
        state = state._replace(position=position, step=state.step + 1)
        at_goal = jnp.all(position == state.goal)
        ended = action == grid.END
        left = (self.horizon - state.step).astype(jnp.float32)
        reward = jnp.where(at_goal, 1.0, -0.1 - 0.1 * left * ended)
        terminated = at_goal | ended
        truncated = (state.step >= self.horizon) & ~terminated
        reward = reward.astype(jnp.float32)
        return state, TimeStep(self._observe(state), reward, terminated, truncated)

    def _observe(self, state: BusState) -> Array:
        x, y = state.position
        parts = [x, y, jnp.asarray(self._is_bus)[x * SIZE + y]]
        if self.has_map:
            at_map = (x == MAP_CELL[0]) & (y == MAP_CELL[1])
            parts.append(jnp.where(at_map, state.problem + 1, 0))
        return jnp.stack(parts).astype(jnp.int32)

    def render_text(self, state: BusState) -> str:
        """The grid as text. Both stops of a bus share a letter: A to D coloured, a to d grey.

        * is the goal, M the map, @ the agent.
        """
        board = np.full((SIZE, SIZE), ".")
        if self.has_map:
            board[MAP_CELL] = "M"
        for letter, pair in zip("ABCDabcd", self._buses[int(state.problem)], strict=False):
            for cell in pair:
                board[cell] = letter
        board[tuple(np.asarray(state.goal))] = "*"
        board[tuple(np.asarray(state.position))] = "@"
        return "\n".join(" ".join(board[:, y]) for y in reversed(range(SIZE)))

    def render_image(self, state: BusState) -> np.ndarray:
        """[348, 348, 3] uint8: the grid as `view` draws it, with the goal."""
        return raster.pixels(self.view().draw(state, [], told=True), 348)

    def view(self) -> BusView:
        return BusView(self._buses, self.bus_at, MAP_CELL if self.has_map else None)


class DistractingBus(Bus):
    """`Bus` with four grey buses as distractions: a coloured bus is faster to every goal.

    The grey stops (5,5) (3,3) (3,5) (5,3) lead to (0,4) (4,0) (8,4) (4,8) and back.
    Problem: 576 ids. id % 24 orders the coloured destinations, id // 24 the grey ones.
      `train` contains every 11th id from 0 (53 ids), `test` the other 523.
    Everything else is as in `Bus`.
    """

    name = "distracting_bus"
    num_problems = 576

    def __init__(self, horizon: int = 20):
        super().__init__(horizon)
        everything = np.arange(self.num_problems)
        self._splits = grid.disjoint_splits(everything[::11], everything[everything % 11 != 0])

    def _bus_pairs(self, problem: int) -> list[tuple[tuple[int, int], tuple[int, int]]]:
        order = list(itertools.permutations(GREY_DESTINATIONS))[problem // 24]
        return super()._bus_pairs(problem) + list(zip(GREY_STOPS, order, strict=True))


class Map(Bus):
    """`Bus` with a map at cell (7, 3), which reveals the problem id.

    Observation: [4] integers, sizes 9, 9, 4, 25. The fourth is id + 1 at the map, elsewhere 0.
    Everything else is as in `Bus`.
    """

    name = "map"
    observation_sizes = (SIZE, SIZE, 4, 25)
    has_map = True


def _cell(position: tuple[int, int]) -> int:
    return position[0] * SIZE + position[1]
