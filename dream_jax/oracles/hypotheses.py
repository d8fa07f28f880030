"""Optimal policies of hypotheses, for Thompson sampling.

A hypothesis is a problem id that the agent acts on as if it were the true one. Once it is refuted,
the agent is in a state that the hypothesis' own problem never leads to. It then acts optimally for
that state with the problem id replaced: as if the fridge held what the hypothesis says, with the
current ingredient in hand.

So a state needs an integer field `problem`, and the initial states of one instruction may differ in
no other field.

  P  pairs of a problem and one of its distinct instructions;  D  numbers in a row of a table
  A  actions
  m  pairs that a start leaves possible: with one instruction, one for each problem
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np

from dream_jax.oracles import bounds as oracles
from dream_jax.oracles.belief_search import TOLERANCE, Table
from dream_jax.types import Env


class Start(NamedTuple):
    """The belief at the start of an episode."""

    pairs: np.ndarray  # [m] int, of one instruction and first observation
    weight: np.ndarray  # [m] float64, probabilities; they sum to 1


class Node(NamedTuple):
    """All histories after which the same states are possible.

    They need not be kept apart, because the future is linear in `chance`.
    """

    start: int  # index of the start
    states: np.ndarray  # [k] int32, still possible, in the order of the pairs
    members: np.ndarray  # [k] int, which of the start's pairs they belong to
    # [m] float64, p(the actions of these histories, and the hypothesis is this pair of the start)
    chance: np.ndarray


class _Tabulated(NamedTuple):
    """A table with what it takes to find rows in it."""

    table: Table
    values: list[np.ndarray]  # [T][reachable[t]] optimal return from step t on
    order: np.ndarray  # [S] int, states in the order of their keys
    keys: np.ndarray  # [S] uint64, keys of the rows, sorted


class Policies:
    """Optimal policies of all problems, also in states that their own problem never leads to."""

    def __init__(self, env: Env, table: Table, values: list[np.ndarray]):
        """`values`: optimal returns of `table`. Raises ValueError if the states do not qualify."""
        self.env, self.table = env, table
        self.column = _problem_column(env)
        self.parts = [_with_keys(table, values)]

    def after(
        self, step: int, nodes: Sequence[Node], begun: Sequence[Start], ties: str
    ) -> list[np.ndarray]:
        """For each node [m, A]: p(action | hypothesis), one row for each pair of its start.

        Rows of hypotheses with chance 0 are zero.
        """
        rows, sizes = [], []
        for node in nodes:
            pairs = begun[node.start].pairs[node.chance > 0]
            supposed = np.repeat(self.table.rows[node.states[:1]], len(pairs), axis=0)
            supposed[:, 0] = pairs
            supposed[:, self.column] = self.table.problem[pairs]
            rows.append(supposed)
            sizes.append(len(pairs))
        if not rows:
            return []
        unique, inverse = _unique_rows(np.concatenate(rows))
        best = _break_ties(self.optimal(unique, step), ties)[inverse]
        result = []
        for node, part in zip(nodes, np.split(best, np.cumsum(sizes)[:-1]), strict=True):
            policy = np.zeros((len(node.chance), best.shape[1]))
            policy[node.chance > 0] = part
            result.append(policy)
        return result

    def optimal(self, rows: np.ndarray, step: int) -> np.ndarray:
        """[n, A] bool: whether an action is optimal in each of the distinct states [n, D]."""
        q = np.zeros((len(rows), self.table.reward.shape[1]))
        missing = np.ones(len(rows), bool)
        for part in self.parts:
            missing[missing] = ~self._look_up(part, rows, missing, step, q)
        if missing.any():
            table = oracles.tabulate(self.env, rows[missing])
            self.parts.append(_with_keys(table, oracles.optimal_values(table)))
            self._look_up(self.parts[-1], rows, missing, step, q)
        return q >= q.max(axis=1, keepdims=True) - TOLERANCE

    @staticmethod
    def _look_up(
        part: _Tabulated, rows: np.ndarray, wanted: np.ndarray, step: int, q: np.ndarray
    ) -> np.ndarray:
        """Writes action values into q [n, A] at those of the rows [n, D] that are `wanted` [n].

        Returns for each wanted row whether the table has its value at this step.
        """
        table, values, order, keys = part
        wanted_keys = oracles.row_keys(rows[wanted])
        place = np.minimum(np.searchsorted(keys, wanted_keys), len(keys) - 1)
        index = order[place]
        # A state that its own problem reaches only later has no value at this step.
        found = (keys[place] == wanted_keys) & (index < table.reachable[step])
        found[found] = (table.rows[index[found]] == rows[wanted][found]).all(axis=1)
        index = index[found]
        value = table.rewards(step, index)
        if step + 1 < len(values):
            after = table.next_state[index]
            value += np.where(after >= 0, values[step + 1][after], 0.0)
        q[np.flatnonzero(wanted)[found]] = value
        return found


def _with_keys(table: Table, values: list[np.ndarray]) -> _Tabulated:
    keys = oracles.row_keys(table.rows)
    order = np.argsort(keys)
    return _Tabulated(table, values, order, keys[order])


def _break_ties(optimal: np.ndarray, ties: str) -> np.ndarray:
    """[n, A] p(action) from [n, A] bool; `ties` is "random", "first" or "last"."""
    if ties == "random":
        return optimal / optimal.sum(axis=1, keepdims=True)
    chosen = optimal.argmax(axis=1)
    if ties == "last":
        chosen = optimal.shape[1] - 1 - optimal[:, ::-1].argmax(axis=1)
    return np.eye(optimal.shape[1])[chosen]


def _unique_rows(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(distinct rows, index of each row among them)."""
    _, first, inverse = np.unique(oracles.row_keys(rows), return_index=True, return_inverse=True)
    return rows[first], inverse


def _problem_column(env: Env) -> int:
    """Column of a table's rows that holds the problem id.

    Raises ValueError unless replacing the id in a state makes it a state of the other problem.
    """
    start = oracles.starts(env)  # type: ignore[arg-type]
    state, _ = env.reset(jax.random.key(0), start.problem[0], start.instruction[0])
    fields = getattr(state, "_fields", ())
    message = f"{env.name}: PEARL-UB needs a state with a field `problem`, the only one in which "
    message += "the initial states of one instruction differ"
    if "problem" not in fields or np.size(state.problem) != 1:
        raise ValueError(message)
    before = fields[: fields.index("problem")]
    column = 1 + sum(np.size(getattr(state, name)) for name in before if name != "step")
    rows = start.rows.copy()
    if not np.array_equal(rows[:, column], start.problem):
        raise ValueError(message)
    rows[:, [0, column]] = 0
    for instruction in np.unique(start.instruction, axis=0):
        same = rows[(start.instruction == instruction).all(axis=1)]
        if np.any(same != same[0]):
            raise ValueError(message)
    return column
