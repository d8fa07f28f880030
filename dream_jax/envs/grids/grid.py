"""What the grid worlds share: actions, moves and splits of problem ids."""

import jax
import jax.numpy as jnp
import numpy as np

ACTIONS = ("left", "up", "right", "down", "no-op", "ride bus", "end episode", "pick up", "drop")
LEFT, UP, RIGHT, DOWN, NO_OP, RIDE, END, PICK, DROP = range(9)
NUM_ACTIONS = len(ACTIONS)

_DX = np.array([-1, 0, 1, 0, 0, 0, 0, 0, 0], np.int32)
_DY = np.array([0, 1, 0, -1, 0, 0, 0, 0, 0], np.int32)


def move(position: jax.Array, action: jax.Array, size: int) -> jax.Array:
    """The next position [2] int32 after action [] on a size x size grid.

    Moves stop at the border. Actions other than the four moves leave the position unchanged.
    """
    delta = jnp.stack([jnp.asarray(_DX)[action], jnp.asarray(_DY)[action]])
    return jnp.clip(position + delta, 0, size - 1)


class GridProblems:
    """Problem ids and their splits, for environments with disjoint or equal splits.

    Subclasses set `num_problems` and `_splits`, which maps a split's name to ids [n] int32.
    `horizon` is the most steps of an episode; a value below 1 raises ValueError.
    """

    name: str
    num_actions = NUM_ACTIONS
    end_episode_action = END
    descriptors: np.ndarray | None = None
    num_problems: int
    _splits: dict[str, np.ndarray]

    def __init__(self, horizon: int = 20):
        if horizon < 1:
            raise ValueError(f"horizon={horizon}: an episode needs at least 1 step, for example 20")
        self.horizon = int(horizon)

    def problem_ids(self, split: str) -> np.ndarray:
        """[n] int32 ids of a split, "train" or "test". Raises ValueError for any other name."""
        if split not in self._splits:
            raise ValueError(f"unknown split {split!r}; valid: {', '.join(self._splits)}")
        return self._splits[split]


def disjoint_splits(train: np.ndarray, test: np.ndarray) -> dict[str, np.ndarray]:
    """The two splits by name, as int32. Raises ValueError if an id is in both."""
    both = np.intersect1d(train, test)
    if both.size:
        raise ValueError(f"problem ids {both.tolist()} are in both splits; they must be disjoint")
    return {"train": train.astype(np.int32), "test": test.astype(np.int32)}
