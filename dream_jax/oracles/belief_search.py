"""Search over exact belief states for the Bayes-optimal return of one episode.

The environment is deterministic. So a belief is a set of possible states, at most one for each pair
of problem and instruction. `bounds.tabulate` makes the tables.

  P  pairs of a problem and one of its distinct instructions
  S  states of all pairs, separate for each pair; the first P are the initial ones
  A  actions, T  horizon;  m  pairs that are still possible
"""

from typing import NamedTuple

import numpy as np

MAX_BELIEFS = 300_000  # per search, about a minute; the benchmarks need at most 20,000
TOLERANCE = 1e-5  # returns this close are tied; sums of rounded float32 rewards differ by less


class Table(NamedTuple):
    """Everything that can happen in an environment."""

    problem: np.ndarray  # [P] int32
    weight: np.ndarray  # [P] float64, p(problem, instruction) with uniform problems
    group: np.ndarray  # [P] int, the same for pairs of equal instruction and first observation
    pair: np.ndarray  # [S] int, the pair that a state belongs to
    next_state: np.ndarray  # [S, A] int32, -1 where the episode ends
    signal: np.ndarray  # [S, A] int64, distinct for distinct (observation, reward) that are seen
    reward: np.ndarray  # [S, A] float64; the column `end_action` is valid at one step only
    end_reward: np.ndarray  # [T, S] float64, reward of `end_action` at each step
    end_action: int
    reachable: np.ndarray  # [T] int, at step t only the first reachable[t] states can occur
    rows: np.ndarray  # [S, D] int, the states: pair, then all fields but `step`

    def rewards(self, step: int, states: np.ndarray | slice) -> np.ndarray:
        """[len(states), A] float64: rewards of all actions at a step."""
        reward = self.reward[states].copy()
        reward[:, self.end_action] = self.end_reward[step, states]
        return reward


class Belief:
    """A node of the search. Its expectations are sums over its states, weighted by p(pair)."""

    step: int
    states: np.ndarray  # [m] still possible, at most one for each pair, in the order of the pairs
    pairs: np.ndarray  # [m] of the states
    value: float  # upper bound of the expected Bayes-optimal return; exact when solved
    slack: float  # expectations this close are tied
    reward: np.ndarray  # [A] expected
    children: list[list["Belief"]]  # [A][signals that can be seen]
    expanded: bool = False
    best: list[int]  # actions tied for the highest bound
    solved: bool = False
    returns: np.ndarray  # [m] return from each state, once solved; tied actions are equally likely
    sweep: int = 0  # the last sweep that visited this node

    def successors(self) -> list["Belief"]:
        """All beliefs that the best actions can lead to."""
        return [child for action in self.best for child in self.children[action]]


class Search:
    """AO* (Nilsson 1980) over belief states, in sweeps as in ILAO* (Hansen and Zilberstein 2001).

    The first bound of a belief is the expected return of a policy that knows the problem. The
    search follows only actions with the highest bound. Expanding the beliefs behind them lowers
    their bounds, until every belief behind the best actions is solved. Actions that were never
    followed have lower bounds, so they cannot be better.

    Raises ValueError, from `run` and `solve`, if `MAX_BELIEFS` belief states do not suffice.
    """

    def __init__(self, table: Table, values: list[np.ndarray]):
        self.table, self.values = table, values
        self.beliefs: dict[tuple[int, bytes], Belief] = {}
        self.sweeps = 0

    def run(self) -> np.ndarray:
        """[P] float64: expected return on each pair."""
        returns = np.zeros(len(self.table.problem))
        for group in np.unique(self.table.group):
            pairs = np.flatnonzero(self.table.group == group)
            returns[pairs] = self.solve(pairs)
        return returns

    def solve(self, pairs: np.ndarray) -> np.ndarray:
        """[m] float64: expected return on each of the pairs [m] that are possible at the start."""
        root = self.belief(0, pairs.astype(np.int32))
        while not root.solved:
            self.sweeps += 1
            self.sweep(root, self.sweeps)
        return root.returns

    def belief(self, step: int, states: np.ndarray) -> Belief:
        """The node for a set of states [m] int32 at a step, made on first use."""
        key = (step, states.tobytes())
        if key not in self.beliefs:
            if len(self.beliefs) == MAX_BELIEFS:
                raise ValueError(f"the exact oracles need less than {MAX_BELIEFS:,} belief states")
            node = self.beliefs[key] = Belief()
            node.step, node.states, node.pairs = step, states, self.table.pair[states]
            weight, knowing = self.table.weight[node.pairs], self.values[step][states]
            node.value, node.slack = weight @ knowing, TOLERANCE * weight.sum()
            end = weight @ self.table.end_reward[step, states]
            if len(states) == 1 or node.value - end <= node.slack:
                # The problem is known, or knowing it would gain nothing.
                node.returns, node.solved = knowing, True
        return self.beliefs[key]

    def expand(self, node: Belief) -> None:
        """Computes a node's expected rewards and makes its children."""
        table, states = self.table, node.states
        node.reward = table.weight[node.pairs] @ table.rewards(node.step, states)
        node.children, node.expanded = [[] for _ in node.reward], True
        action, member = np.nonzero(table.next_state[states].T >= 0)
        if node.step + 1 == len(self.values) or not len(action):
            return
        signal = table.signal[states[member], action]
        order = np.lexsort((signal, action))  # a stable sort, which keeps the order of the pairs
        action, signal, member = action[order], signal[order], member[order]
        following = table.next_state[states[member], action]
        cuts = np.flatnonzero((np.diff(action) != 0) | (np.diff(signal) != 0)) + 1
        for a, part in zip(action[np.append(0, cuts)], np.split(following, cuts), strict=True):
            node.children[a].append(self.belief(node.step + 1, part))

    def sweep(self, node: Belief, count: int) -> None:
        """Follows the best actions to unexpanded nodes, expands these, then updates the bounds on
        the way back. `count` numbers the sweep."""
        if node.solved or node.sweep == count:
            return
        node.sweep = count
        if not node.expanded:
            self.expand(node)
        else:
            for child in node.successors():
                self.sweep(child, count)
        q = node.reward + np.array([sum(child.value for child in row) for row in node.children])
        node.value = q.max()
        node.best = np.flatnonzero(q >= node.value - node.slack).tolist()
        successors = node.successors()
        if all(child.solved for child in successors):
            node.solved = True
            node.returns = self.table.rewards(node.step, node.states)[:, node.best].mean(axis=1)
            for child in successors:
                place = np.searchsorted(node.pairs, child.pairs)
                node.returns[place] += child.returns / len(node.best)
