"""Search over exact belief states: the Bayes-optimal return within one episode.

For deterministic environments: a belief is the set of states, at most one for each pair of problem
and instruction, that what was seen leaves possible. `oracles` makes the tables.

  P  pairs of a problem and one of its distinct instructions
  S  states of all pairs, each pair's kept apart; the first P are the initial ones
  A  actions, T  horizon
"""

from typing import NamedTuple

import numpy as np

MAX_BELIEFS = 300_000  # of a search, a minute's; the benchmarks need at most 20,000
TOLERANCE = 1e-5  # returns this close are tied; rounding of float32 rewards adds up to less


class Table(NamedTuple):
    problem: np.ndarray  # [P]
    weight: np.ndarray  # [P] p(problem, instruction), problems being uniform
    group: np.ndarray  # [P] number shared by pairs of equal instruction and first observation
    pair: np.ndarray  # [S]
    next_state: np.ndarray  # [S, A] -1 where the episode ends
    signal: np.ndarray  # [S, A] a number for what is seen, observation and reward
    reward: np.ndarray  # [S, A] its column `end_action` holds at one step only
    end_reward: np.ndarray  # [T, S]
    end_action: int
    reachable: np.ndarray  # [T] at step t only the first reachable[t] states can occur
    rows: np.ndarray  # [S, D] the states themselves: pair, then all fields but `step`

    def rewards(self, step: int, states: np.ndarray | slice) -> np.ndarray:
        """[len(states), A]"""
        reward = self.reward[states].copy()
        reward[:, self.end_action] = self.end_reward[step, states]
        return reward


class Belief:
    """A node of the search. Expectations are sums over its states, weighted by p(pair)."""

    step: int
    states: np.ndarray  # [m] still possible, at most one for each pair, in the order of the pairs
    pairs: np.ndarray  # [m]
    value: float  # upper bound of the expected Bayes-optimal return; exact when solved
    slack: float  # expectations this close are tied
    reward: np.ndarray  # [A] expected
    children: list[list["Belief"]]  # [A][signals that can be seen]
    expanded: bool = False
    best: list[int]  # actions tied for the highest bound
    solved: bool = False
    returns: np.ndarray  # [m] when solved: in each state, the best actions equally likely
    sweep: int = 0  # the last sweep that came by

    def successors(self) -> list["Belief"]:
        """All that the best actions can lead to."""
        return [child for action in self.best for child in self.children[action]]


class Search:
    """AO* (Nilsson 1980) over belief states, in sweeps as in ILAO* (Hansen & Zilberstein 2001).

    A belief's first bound is the return of who knows the problem. Only actions with the highest
    bound are followed; expanding what they lead to lowers their bounds, until everything the best
    ones lead to is solved. The rest, unexplored, cannot be better.
    """

    def __init__(self, table: Table, values: list[np.ndarray]):
        self.table, self.values = table, values
        self.beliefs: dict[tuple[int, bytes], Belief] = {}
        self.sweeps = 0

    def run(self) -> np.ndarray:
        """[P] expected return on each pair."""
        returns = np.zeros(len(self.table.problem))
        for group in np.unique(self.table.group):
            pairs = np.flatnonzero(self.table.group == group)
            returns[pairs] = self.solve(pairs)
        return returns

    def solve(self, pairs: np.ndarray) -> np.ndarray:
        """[m] expected return on each of the pairs [m] that are possible at the start."""
        root = self.belief(0, pairs.astype(np.int32))
        while not root.solved:
            self.sweeps += 1
            self.sweep(root, self.sweeps)
        return root.returns

    def belief(self, step: int, states: np.ndarray) -> Belief:
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
                # Nothing is left to learn, or nothing to gain from it.
                node.returns, node.solved = knowing, True
        return self.beliefs[key]

    def expand(self, node: Belief) -> None:
        table, states = self.table, node.states
        node.reward = table.weight[node.pairs] @ table.rewards(node.step, states)
        node.children, node.expanded = [[] for _ in node.reward], True
        action, member = np.nonzero(table.next_state[states].T >= 0)
        if node.step + 1 == len(self.values) or not len(action):
            return
        signal = table.signal[states[member], action]
        order = np.lexsort((signal, action))  # stable, so the order of the pairs is kept
        action, signal, member = action[order], signal[order], member[order]
        following = table.next_state[states[member], action]
        cuts = np.flatnonzero((np.diff(action) != 0) | (np.diff(signal) != 0)) + 1
        for a, part in zip(action[np.append(0, cuts)], np.split(following, cuts), strict=True):
            node.children[a].append(self.belief(node.step + 1, part))

    def sweep(self, node: Belief, count: int) -> None:
        """Expands the ends of the best actions, and lowers the bounds on the way back."""
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
