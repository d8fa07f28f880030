"""PEARL-UB: exact returns of Thompson sampling with the true posterior and optimal policies.

This is the upper bound on PEARL (Rakelly et al. 2019) of Liu et al. 2021, Section 6. The agent
draws a hypothesis, a problem id, from the posterior and acts optimally for it; what it sees updates
the posterior. Nothing is learned and nothing is drawn at random: probabilities are propagated
through all histories that can occur, on tables read off the environment (`bounds.tabulate`).

The exploration episode shows its instruction; without one there would be no optimal policy to
follow. Where instructions depend on the problem (cooking), they are evidence too. Rewards are seen
as well, but in these environments they carry no information beyond the observations.

Environments must meet the conditions of `bounds` and of `hypotheses`.

  P  pairs of a problem and one of its distinct instructions
  A  actions, T  horizon
  m  pairs that a start leaves possible: with one instruction, one for each problem
"""

import collections
import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from dream_jax.config import PearlUbConfig
from dream_jax.oracles import bounds as oracles
from dream_jax.oracles.belief_search import Search
from dream_jax.oracles.hypotheses import Node, Policies, Start
from dream_jax.types import Env


class Played(NamedTuple):
    """An episode of Thompson sampling from one start."""

    returns: np.ndarray  # [m] expected return on each pair
    ends: list[tuple[np.ndarray, float]]  # (pairs still possible, p(that | one of them is true))


class Outcome(NamedTuple):
    """One of the things that can be seen after an action."""

    states: np.ndarray | None  # [k] int32, the states it leaves possible; None: the episode is over
    members: np.ndarray  # [k] int, which of the start's pairs they belong to


class Explored(NamedTuple):
    """One of the posteriors that exploration leads to."""

    chance: np.ndarray  # [num_problems] p(this posterior | problem)
    posterior: np.ndarray  # [num_problems]


def returns(env: Env, split: str, options: PearlUbConfig) -> np.ndarray:
    """[n] expected return of the exploitation episode, on each id of the split.

    It follows one exploration episode. Bayes-optimal exploitation breaks ties uniformly at random,
    as `bounds.no_exploration` does; `options.ties` concerns the policies of the hypotheses.

    An environment that cannot be tabulated may declare the return as `reference_pearl_ub`, by the
    name of `options.exploitation`. Raises ValueError if it does not.
    """
    ids = env.problem_ids(split)
    if hasattr(env, "reference_pearl_ub"):  # derived by hand: infinitely many states
        return np.full(len(ids), env.reference_pearl_ub[options.exploitation])
    return _thompson(oracles.tabulated(env)).returns(ids, options)  # hashed by identity


@functools.lru_cache(maxsize=1)  # the tables are large
def _thompson(env: Any) -> "Thompson":
    return Thompson(env)


class Thompson:
    """Exploration and exploitation episodes of one environment, from any posterior.

    Raises ValueError for an environment that cannot be tabulated.
    """

    def __init__(self, env: Env):
        self.table = oracles.tabulate(env)
        self.values = oracles.optimal_values(self.table)
        self.policies = Policies(env, self.table, self.values)
        self.num_problems = env.num_problems
        # p(instruction | problem); problems are uniform in the table.
        self.share = self.table.weight * env.num_problems

    def returns(self, ids: np.ndarray, options: PearlUbConfig) -> np.ndarray:
        """[n] expected return on each of the problem ids [n]."""
        prior = np.zeros(self.num_problems)
        prior[ids if options.prior == "split" else slice(None)] = 1.0
        prior /= prior.sum()
        explored = self.posteriors(prior, options)

        # An instruction may rule out the problems in which two posteriors differ. So several
        # posteriors can share a start, which is then computed once.
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

    def posteriors(self, prior: np.ndarray, options: PearlUbConfig) -> list[Explored]:
        """All posteriors that exploration can lead to from a prior [num_problems]."""
        begun = self.starts(prior)
        found: dict[bytes, Explored] = {}
        for played in self.play(begun, options):
            for pairs, chance in played.ends:
                problem, share = self.table.problem[pairs], self.share[pairs]
                posterior = np.zeros(self.num_problems)
                posterior[problem] = prior[problem] * share
                posterior /= posterior.sum()
                key = np.round(posterior, 9).tobytes()
                new = Explored(np.zeros(self.num_problems), posterior)
                found.setdefault(key, new).chance[problem] += chance * share
        return list(found.values())

    def starts(self, belief: np.ndarray) -> list[Start]:
        """The starts of an episode under a belief [num_problems] about the problem.

        There is one for each instruction and first observation.
        """
        joint = belief[self.table.problem] * self.share
        result = []
        for group in np.unique(self.table.group[joint > 0]):
            pairs = np.flatnonzero((self.table.group == group) & (joint > 0))
            result.append(Start(pairs, joint[pairs] / joint[pairs].sum()))
        return result

    def bayes(self, start: Start) -> np.ndarray:
        """[m] expected return of the policy that is Bayes-optimal within the episode."""
        weight = np.zeros(len(self.table.weight))
        weight[start.pairs] = start.weight
        return Search(self.table._replace(weight=weight), self.values).solve(start.pairs)

    def play(self, begun: Sequence[Start], options: PearlUbConfig) -> list[Played]:
        """Episodes of Thompson sampling from all starts, in lockstep."""
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
        """`chance` [m] after refuted hypotheses have been redrawn.

        Their probability is spread over the `members` still possible, as the posterior is.
        """
        weight = np.zeros(len(chance))
        posterior = start.weight[members] / start.weight[members].sum()
        refuted = chance.sum() - chance[members].sum()
        weight[members] = chance[members] + max(refuted, 0.0) * posterior
        return weight

    def outcomes(self, node: Node, action: int, step: int) -> list[Outcome]:
        """Everything that can be seen after an action."""
        after = self.table.next_state[node.states, action]
        if step + 1 == len(self.values):
            after = np.full_like(after, -1)
        signal = self.table.signal[node.states, action] * 2 + (after < 0)
        result = []
        for value in np.unique(signal):
            same = signal == value
            states = None if value % 2 else after[same]
            result.append(Outcome(states, node.members[same]))
        return result
