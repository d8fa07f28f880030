"""The grid worlds for a batch of trials, in NumPy.

An operation on small integers takes a microsecond in NumPy and several in PyTorch. The docstrings
in dream_jax/envs/grids specify the worlds.
"""

import itertools

import numpy as np

NUM_ACTIONS = 9
RIDE, END, PICK, DROP = 5, 6, 7, 8
_MOVES = np.array([(-1, 0), (0, 1), (1, 0), (0, -1)] + [(0, 0)] * 5)

Array = np.ndarray


def _moved(size: int) -> Array:
    """[size * size, A]: the cell after each action in each cell, where cell = x * size + y."""
    x, y = np.divmod(np.arange(size * size), size)
    x = np.clip(x[:, None] + _MOVES[:, 0], 0, size - 1)
    y = np.clip(y[:, None] + _MOVES[:, 1], 0, size - 1)
    return x * size + y


class GridWorld:
    """A batch of B episodes. `reset` starts one per given problem; `step` moves them all.

    There is no auto-reset.
    """

    num_actions = NUM_ACTIONS
    observation_sizes: tuple[int, ...]
    instruction_sizes: tuple[int, ...]
    num_problems: int
    train_ids: Array

    def __init__(self, horizon: int = 20):
        self.horizon = horizon

    def sample_instructions(self, rng: np.random.Generator, problem: Array) -> Array:
        """[B, I] instructions, one for each problem [B]."""
        raise NotImplementedError

    def reset(self, problem: Array, instruction: Array) -> Array:
        """The first observations [B, K], for problems [B] and instructions [B, I]."""
        raise NotImplementedError

    def step(self, action: Array) -> tuple[Array, Array, Array, Array]:
        """(observation [B, K], reward [B], terminated [B], truncated [B]) after actions [B]."""
        raise NotImplementedError

    def _end(self, reward: Array, done: Array, action: Array) -> tuple[Array, Array, Array]:
        """(reward, terminated, truncated), each [B]. Ending an episode costs 0.1 per step left."""
        ended = action == END
        reward = reward - 0.1 * (self.horizon - self.steps) * ended
        terminated = done | ended
        return reward, terminated, ~terminated & (self.steps >= self.horizon)

    steps: int  # steps taken in these episodes


class DistractingBus(GridWorld):
    """Distracting bus as one table: the next cell by problem, cell and action."""

    observation_sizes = (9, 9, 4)
    instruction_sizes = (9, 9)
    num_problems = 576
    train_ids = np.arange(576)[::11]
    _STOPS = ((4, 5), (5, 4), (3, 4), (4, 3), (5, 5), (3, 3), (3, 5), (5, 3))
    _COLOURED = ((0, 1), (0, 7), (8, 1), (8, 7))
    _GREY = ((0, 4), (4, 0), (8, 4), (4, 8))
    _GOALS = np.array([(0, 0), (8, 8), (0, 8), (8, 0)])

    def __init__(self, horizon: int = 20):
        super().__init__(horizon)
        table = np.tile(_moved(9), (self.num_problems, 1, 1))
        coloured = list(itertools.permutations(self._COLOURED))
        grey = list(itertools.permutations(self._GREY))
        is_bus = np.zeros(81, np.int64)
        for problem in range(self.num_problems):
            ends = coloured[problem % 24] + grey[problem // 24]
            for (ax, ay), (bx, by) in zip(self._STOPS, ends, strict=True):
                a, b = 9 * ax + ay, 9 * bx + by
                table[problem, a, RIDE], table[problem, b, RIDE] = b, a
                is_bus[[a, b]] = 1
        self._next = table
        x, y = np.divmod(np.arange(81), 9)
        self._seen = np.stack([x, y, is_bus], 1)  # [81, K]

    def sample_instructions(self, rng: np.random.Generator, problem: Array) -> Array:
        return self._GOALS[rng.integers(0, 4, len(problem))]

    def reset(self, problem: Array, instruction: Array) -> Array:
        self.problem, self.goal = problem, 9 * instruction[:, 0] + instruction[:, 1]
        self.cell, self.steps = np.full(len(problem), 9 * 4 + 4), 0
        return self._seen[self.cell]

    def step(self, action: Array) -> tuple[Array, Array, Array, Array]:
        self.cell = self._next[self.problem, self.cell, action]
        self.steps += 1
        at_goal = self.cell == self.goal
        reward, terminated, truncated = self._end(np.where(at_goal, 1.0, -0.1), at_goal, action)
        return self._seen[self.cell], reward, terminated, truncated


class Cooking(GridWorld):
    """Cooking: a table of moves, and arrays of the inventory, the pot and the stage."""

    observation_sizes = (3, 3, 4, 5, 5, 5, 5)
    instruction_sizes = (5, 5)
    num_problems = 64
    train_ids = np.delete(np.arange(64), 10)
    _EMPTY, _POT = 4, 4  # an empty slot; the cell of the pot, (1, 1)

    def __init__(self, horizon: int = 20):
        super().__init__(horizon)
        self._contents = np.stack([np.arange(64) // 4**k % 4 for k in range(3)], 1)
        self._moved = _moved(3)
        x, y = np.divmod(np.arange(9), 3)
        kind = np.where(x == 2, 3, np.where(np.arange(9) == self._POT, 2, 0))
        self._seen = np.stack([x, y, kind], 1)

    def sample_instructions(self, rng: np.random.Generator, problem: Array) -> Array:
        return self._contents[problem[:, None], rng.integers(0, 3, (len(problem), 2))]

    def reset(self, problem: Array, instruction: Array) -> Array:
        count = len(problem)
        self.recipe = instruction
        # [B, 9]: the ingredient that a pick up in each cell gives. Fridges are at (2, y).
        self._found = np.full((count, 9), self._EMPTY)
        self._found[:, 6:] = self._contents[problem]
        self.cell, self.steps = np.full(count, self._POT), 0
        self.held, self.stage = np.full(count, self._EMPTY), np.zeros(count, np.int64)
        self.pot = np.full((count, 3), self._EMPTY)
        self._rows = np.arange(count)
        return self._observe()

    def step(self, action: Array) -> tuple[Array, Array, Array, Array]:
        rows, drops, picks = self._rows, action == DROP, action == PICK
        free = self.pot == self._EMPTY
        put = rows[drops & (self.cell == self._POT) & free.any(1)]
        self.pot[put, free[put].argmax(1)] = self.held[put]
        takes = picks & ((self.cell >= 6) | (self.cell == self._POT))
        self.held = np.where(takes, self._found[rows, self.cell], self.held)
        self.held[drops] = self._EMPTY
        self.cell = self._moved[self.cell, action]
        self.steps += 1
        reward, finished = self._cook(picks)
        return self._observe(), *self._end(reward, finished, action)

    def _cook(self, picks: Array) -> tuple[Array, Array]:
        """(reward [B], recipe finished [B]) after the action. Moves `stage` by at most one."""
        second = self.stage >= 2
        wanted = self.recipe[self._rows, second.astype(np.int64)]
        fetching = self.stage % 2 == 0
        in_hand = self.held == wanted
        right = self.pot[:, :2] == self.recipe
        cooked = right[:, 0] & (right[:, 1] | ~second)
        advance = np.where(fetching, in_hand, cooked)
        back = ~fetching & ~cooked & ~in_hand
        penalised = np.where(fetching, picks, back)
        reward = np.where(advance, 0.25, np.where(penalised, -0.35, -0.1))
        finished = advance & (self.stage == 3)
        self.stage = np.where(finished, 3, self.stage + advance - back)
        return reward, finished

    def _observe(self) -> Array:
        return np.concatenate([self._seen[self.cell], self.held[:, None], self.pot], 1)


def make(benchmark: str, horizon: int) -> GridWorld:
    worlds = {"cooking": Cooking, "distracting_bus": DistractingBus}
    if benchmark not in worlds:
        raise ValueError(f"no PyTorch baseline for {benchmark!r}; valid: {', '.join(worlds)}")
    return worlds[benchmark](horizon)
