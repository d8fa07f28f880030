"""PEARL-UB: exact returns of Thompson sampling with the true posterior and optimal policies.

The upper bound on PEARL (Rakelly et al. 2019) of Liu et al. 2021, Section 6: whoever explores this
way draws a hypothesis, a problem id, from the posterior and acts optimally for it; what is seen
makes a new posterior. Nothing is learned or simulated at random: probabilities are carried through
all histories that can occur, on tables read off the environment (`oracles.tabulate`).

The exploration episode shows its instruction, or there would be nothing to be optimal for; where
instructions depend on the problem (cooking), they are evidence too. Rewards are seen; in these
environments they tell nothing that observations do not.

Besides what `oracles` needs of an environment, its state must have an integer field `problem`, the
only one in which the initial states of one instruction differ.

  P  pairs of a problem and one of its distinct instructions;  D  numbers in a row of a table
  A  actions, T  horizon
  m  pairs that what was seen leaves possible; while one instruction holds, one for each problem
"""

import collections
import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from dream_jax.config import PearlUbConfig
from dream_jax.oracles import bounds as oracles
from dream_jax.oracles.belief_search import TOLERANCE, Search, Table
from dream_jax.types import Env


class Start(NamedTuple):
    """What is believed when an episode starts."""

    pairs: np.ndarray  # [m] of one instruction and first observation
    weight: np.ndarray  # [m] probabilities; they sum to 1


class Played(NamedTuple):
    """An episode of Thompson sampling from one start."""

    returns: np.ndarray  # [m] expected, on each pair
    ends: list[tuple[np.ndarray, float]]  # pairs still possible, p(that | one of them is true)


class Node(NamedTuple):
    """Histories after which the same states are possible. They need no keeping apart: the future
    is linear in `chance`."""

    start: int  # number of the start
    states: np.ndarray  # [k] still possible, in the order of the pairs
    members: np.ndarray  # [k] which of the start's pairs they belong to
    chance: np.ndarray  # [m] p(these histories' actions and hypothesis = each pair of the start)


def returns(env: Env, split: str, options: PearlUbConfig) -> np.ndarray:
    """[n] return on each id of the split in the exploitation episode, after one of exploration.

    The Bayes-optimal exploitation breaks ties uniformly at random, as `oracles.no_exploration`
    does; `options.ties` is for the policies of the hypotheses. Raises ValueError for environments
    that cannot be tabulated, unless they say themselves what PEARL-UB reaches.
    """
    ids = env.problem_ids(split)
    if hasattr(env, "reference_pearl_ub"):  # known by argument, where there is no end of states
        return np.full(len(ids), env.reference_pearl_ub)
    return _thompson(env).returns(ids, options)  # type: ignore[arg-type]  # hashed by identity


@functools.lru_cache(maxsize=1)  # the tables are large
def _thompson(env: Any) -> "Thompson":
    return Thompson(env)


class Thompson:
    """Exploration and exploitation episodes of one environment, from any posterior."""

    def __init__(self, env: Env):
        self.table = oracles.tabulate(env)
        self.values = oracles.optimal_values(self.table)
        self.policies = Policies(env, self.table, self.values)
        self.num_problems = env.num_problems
        # p(instruction | problem); problems are uniform in the table.
        self.share = self.table.weight * env.num_problems

    def returns(self, ids: np.ndarray, options: PearlUbConfig) -> np.ndarray:
        """[n] return on each of the problem ids [n]."""
        prior = np.zeros(self.num_problems)
        prior[ids if options.prior == "split" else slice(None)] = 1.0
        prior /= prior.sum()
        explored = self.posteriors(prior, options)

        # Different posteriors look the same where an instruction rules out what sets them apart.
        found: dict[tuple[bytes, bytes], tuple[int, Start]] = {}
        uses = []
        for chance, posterior in explored:
            for start in self.starts(posterior):
                key = start.pairs.tobytes(), np.round(start.weight, 9).tobytes()
                index, _ = found.setdefault(key, (len(found), start))
                uses.append((index, chance))
        begun = [start for _, start in found.values()]
        if options.exploitation == "bayes_optimal":
            ended = [self.bayes(start) for start in begun]
        else:
            ended = [played.returns for played in self.play(begun, options)]
        total = np.zeros(self.num_problems)
        for index, chance in uses:
            pairs = begun[index].pairs
            problem = self.table.problem[pairs]
            total[problem] += chance[problem] * self.share[pairs] * ended[index]
        return total[ids]

    def posteriors(
        self, prior: np.ndarray, options: PearlUbConfig
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """What exploring leads to from a prior [num_problems]: (p(posterior | problem), posterior),
        each [num_problems]."""
        begun = self.starts(prior)
        found: dict[bytes, tuple[np.ndarray, np.ndarray]] = {}
        for played in self.play(begun, options):
            for pairs, chance in played.ends:
                problem, share = self.table.problem[pairs], self.share[pairs]
                posterior = np.zeros(self.num_problems)
                posterior[problem] = prior[problem] * share
                posterior /= posterior.sum()
                key = np.round(posterior, 9).tobytes()
                total, _ = found.setdefault(key, (np.zeros(self.num_problems), posterior))
                total[problem] += chance * share
        return list(found.values())

    def starts(self, belief: np.ndarray) -> list[Start]:
        """Starts of an episode, one for each instruction and first observation, from a belief
        [num_problems] about the problem."""
        joint = belief[self.table.problem] * self.share
        result = []
        for group in np.unique(self.table.group[joint > 0]):
            pairs = np.flatnonzero((self.table.group == group) & (joint > 0))
            result.append(Start(pairs, joint[pairs] / joint[pairs].sum()))
        return result

    def bayes(self, start: Start) -> np.ndarray:
        """[m] return on each pair of the Bayes-optimal policy within the episode."""
        weight = np.zeros(len(self.table.weight))
        weight[start.pairs] = start.weight
        return Search(self.table._replace(weight=weight), self.values).solve(start.pairs)

    def play(self, begun: Sequence[Start], options: PearlUbConfig) -> list[Played]:
        """Episodes of Thompson sampling, all starts a step at a time."""
        returns = [np.zeros(len(start.pairs)) for start in begun]
        ends: list[dict] = [collections.defaultdict(float) for _ in begun]
        nodes = [
            Node(i, start.pairs.astype(np.int32), np.arange(len(start.pairs)), start.weight)
            for i, start in enumerate(begun)
        ]
        for step in range(len(self.values)):
            policies = self.policies.after(step, nodes, begun, options.ties)
            following: dict[tuple[int, bytes], Node] = {}
            for node, policy in zip(nodes, policies, strict=True):
                acting = node.chance[:, None] * policy  # [m, A]
                reward = self.table.rewards(step, node.states)
                returns[node.start][node.members] += reward @ acting.sum(axis=0)
                for action in np.flatnonzero(acting.any(axis=0)):
                    chance = acting[:, action]
                    for states, members in self.outcomes(node, int(action), step):
                        if states is None:
                            ends[node.start][members.tobytes()] += chance.sum()
                            continue
                        weight = chance
                        if options.hypothesis == "resampled":
                            weight = self.redrawn(chance, members, begun[node.start])
                        key = node.start, states.tobytes()
                        if key in following:
                            weight = weight + following[key].chance
                        following[key] = Node(node.start, states, members, weight)
            nodes = list(following.values())
        return [
            Played(r, [(start.pairs[np.frombuffer(key, int)], p) for key, p in end.items()])
            for start, r, end in zip(begun, returns, ends, strict=True)
        ]

    @staticmethod
    def redrawn(chance: np.ndarray, members: np.ndarray, start: Start) -> np.ndarray:
        """`chance` [m] after hypotheses that are no longer possible have been replaced by draws
        from the posterior over the `members` that are."""
        weight = np.zeros(len(chance))
        posterior = start.weight[members] / start.weight[members].sum()
        refuted = chance.sum() - chance[members].sum()
        weight[members] = chance[members] + max(refuted, 0.0) * posterior
        return weight

    def outcomes(self, node: Node, action: int, step: int) -> list[tuple[Any, np.ndarray]]:
        """(states or None at the end, members) for everything that can be seen after an action."""
        after = self.table.next_state[node.states, action]
        if step + 1 == len(self.values):
            after = np.full_like(after, -1)
        signal = self.table.signal[node.states, action] * 2 + (after < 0)
        result: list[tuple[Any, np.ndarray]] = []
        for value in np.unique(signal):
            same = signal == value
            states = None if value % 2 else after[same]
            result.append((states, node.members[same]))
        return result


class Policies:
    """Optimal policies of all problems, also in states their own problem never leads to.

    A hypothesis that has turned out wrong is acted on in the state that is there, taken as one of
    the hypothesis: as if the fridge held what it was thought to hold, but this in hand instead.
    """

    def __init__(self, env: Env, table: Table, values: list[np.ndarray]):
        self.env, self.table = env, table
        self.column = _problem_column(env)
        self.parts = [(table, values, *_sorted_keys(table))]

    def after(
        self, step: int, nodes: Sequence[Node], begun: Sequence[Start], ties: str
    ) -> list[np.ndarray]:
        """For each node [m, A]: p(action) of each pair of its start. Rows of hypotheses that have
        no chance are zero."""
        rows, sizes = [], []
        for node in nodes:
            pairs = begun[node.start].pairs[node.chance > 0]
            supposed = np.repeat(self.table.rows[node.states[:1]], len(pairs), axis=0)
            supposed[:, 0] = pairs
            supposed[:, self.column] = self.table.problem[pairs]
            rows.append(supposed)
            sizes.append(len(pairs))
        unique, inverse = _unique_rows(np.concatenate(rows)) if rows else (None, None)
        if unique is None:
            return []
        best = _break_ties(self.optimal(unique, step), ties)[inverse]
        result = []
        for node, part in zip(nodes, np.split(best, np.cumsum(sizes)[:-1]), strict=True):
            policy = np.zeros((len(node.chance), best.shape[1]))
            policy[node.chance > 0] = part
            result.append(policy)
        return result

    def optimal(self, rows: np.ndarray, step: int) -> np.ndarray:
        """[n, A] bool, whether an action is optimal in each of the different states [n, D]."""
        q = np.zeros((len(rows), self.table.reward.shape[1]))
        missing = np.ones(len(rows), bool)
        for part in self.parts:
            missing[missing] = ~self.look_up(part, rows, missing, step, q)
        if missing.any():
            table = oracles.tabulate(self.env, rows[missing])
            self.parts.append((table, oracles.optimal_values(table), *_sorted_keys(table)))
            self.look_up(self.parts[-1], rows, missing, step, q)
        return q >= q.max(axis=1, keepdims=True) - TOLERANCE

    def look_up(
        self, part: tuple, rows: np.ndarray, wanted: np.ndarray, step: int, q: np.ndarray
    ) -> np.ndarray:
        """Writes returns of the actions into the wanted rows of q; whether each was found."""
        table, values, order, keys = part
        wanted_keys = oracles.row_keys(rows[wanted])
        place = np.minimum(np.searchsorted(keys, wanted_keys), len(keys) - 1)
        index = order[place]
        # A state may be reached later in its own problem: then its value is not there this early.
        found = (keys[place] == wanted_keys) & (index < table.reachable[step])
        found[found] = (table.rows[index[found]] == rows[wanted][found]).all(axis=1)
        index = index[found]
        value = table.rewards(step, index)
        if step + 1 < len(values):
            after = table.next_state[index]
            value += np.where(after >= 0, values[step + 1][after], 0.0)
        q[np.flatnonzero(wanted)[found]] = value
        return found


def _break_ties(optimal: np.ndarray, ties: str) -> np.ndarray:
    """[n, A] p(action) from [n, A] bool."""
    if ties == "random":
        return optimal / optimal.sum(axis=1, keepdims=True)
    chosen = optimal.argmax(axis=1)
    if ties == "last":
        chosen = optimal.shape[1] - 1 - optimal[:, ::-1].argmax(axis=1)
    return np.eye(optimal.shape[1])[chosen]


def _sorted_keys(table: Table) -> tuple[np.ndarray, np.ndarray]:
    """States [S] in the order of their keys, and the keys [S] in order."""
    keys = oracles.row_keys(table.rows)
    order = np.argsort(keys)
    return order, keys[order]


def _unique_rows(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    _, first, inverse = np.unique(oracles.row_keys(rows), return_index=True, return_inverse=True)
    return rows[first], inverse


def _problem_column(env: Env) -> int:
    """Which number of a row is the problem id; raises ValueError where a hypothesis is not a state
    with another id in it."""
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
