"""Proposition 1 of the paper, checked by dynamic programming on families of a few problems.

Proposition 1: if exploration is long enough, policies that are optimal for DREAM's objectives are
optimal for the return itself (Eq. 1), and return as much as a policy that knows the problem.

Everything is exact: problems, explorations and encodings are enumerated. Encodings are
deterministic, so an encoder is a partition of the problems and Eq. 2 is E[V] - lambda I(z; mu).
Exploitation is the choice of one arm; sequences of actions would be more arms.
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

TIE = 1e-9


class Family(NamedTuple):
    """Problems 0 .. M - 1, all equally likely, and a world to explore them in.

    Exploration starts at node 0. Each step follows one of K edges and shows what the new node looks
    like in this problem. Then an instruction is drawn, and one arm is pulled.
    """

    edges: np.ndarray  # [nodes, K] the next node
    looks: np.ndarray  # [M, nodes] what a node looks like
    rewards: np.ndarray  # [M, instructions, arms]

    @property
    def problems(self) -> tuple[int, ...]:
        return tuple(range(len(self.looks)))


class Outcome(NamedTuple):
    """What an objective leads to. Ties, of encodings and of actions, end in the worst way."""

    encoding: tuple[int, ...]  # [M] z of each problem
    information: float  # nats about z that exploration gains
    value: float  # the expected return, at meta-test


def signs() -> Family:
    """Two signs. The near one, one step left, says nothing of use but has three texts. The far one,
    two steps right, has two texts and says which arm pays. A third arm always pays 0.6."""
    problems = [(useful, useless) for useful in range(2) for useless in range(3)]
    edges = np.array([[1, 2], [1, 0], [0, 3], [2, 3]])  # hall, near sign, corridor, far sign
    looks = np.array([[0, 1 + b, 0, 1 + a] for a, b in problems])
    rewards = np.full((6, 2, 3), 0.6)
    for k, (a, _) in enumerate(problems):
        for instruction in range(2):
            rewards[k, instruction, :2] = 0.0
            rewards[k, instruction, (a + instruction) % 2] = 1.0
    return Family(edges, looks, rewards)


def hidden_twin() -> Family:
    """What the proposition needs besides long exploration: problems that look different somewhere.

    Problems 0 and 1 look alike, problem 2 does not. Arm 0 is best in 0 and 2, arm 1 in 0 and 1. So
    arm 1 after the first look and arm 0 after the second returns all there is. But one z for 0 and
    2 is as short an encoding, and exploration cannot tell it from that of 1.
    """
    looks = np.array([[0, 0], [0, 0], [0, 1]])
    rewards = np.array([[[1.0, 1.0]], [[0.0, 1.0]], [[1.0, 0.0]]])
    return Family(np.array([[1], [1]]), looks, rewards)


def random_family(seed: int, problems: int = 5) -> Family:
    """A small family with random edges, looks and rewards; its nodes can all be reached."""
    draw = np.random.default_rng(seed)
    nodes = 4
    edges = draw.integers(nodes, size=(nodes, 2))
    edges[:, 0] = (np.arange(nodes) + 1) % nodes  # a ring
    looks = draw.integers(2, size=(problems, nodes))
    rewards = draw.choice([0.0, 0.5, 1.0], size=(problems, 2, 3))
    return Family(edges, looks, rewards)


def informed_value(family: Family) -> float:
    """V*: the return of exploitation that knows the problem."""
    return float(family.rewards.max(axis=2).mean())


def uninformed_value(family: Family) -> float:
    """The return of exploitation that knows nothing of the problem."""
    return _bayes(family, family.problems)


def best_value(family: Family, steps: int) -> float:
    """Eq. 1: the highest return of any exploration policy and any exploitation policy."""

    def best(problems: Sequence[int], node: int, left: int) -> float:
        if left == 0:
            return _bayes(family, problems) * len(problems) / len(family.problems)
        return max(
            sum(best(alike, there, left - 1) for alike in _split(family, problems, there))
            for there in family.edges[node]
        )

    return best(family.problems, 0, steps)


def can_be_told_apart(family: Family, steps: int) -> bool:
    """Whether some exploration identifies every problem."""
    every = tuple(family.problems)
    most = _explore(family, steps, every, every).information
    return most > math.log(len(every)) - TIE


def dream(family: Family, steps: int, bottleneck_weight: float) -> Outcome:
    """What optimal policies for DREAM's objectives return.

    Eq. 2 gives the encoding and the exploitation policy, Eq. 4 the decoder, which is then the true
    posterior of z, and Eq. 5 without step penalty the exploration policy.

    Args:
      family: the problems.
      steps: of exploration.
      bottleneck_weight: lambda of Eq. 2, per nat.
    """
    tied = _encodings(family, bottleneck_weight)
    found = [_explore(family, steps, encoding, encoding) for encoding in tied]
    return min(found, key=lambda outcome: outcome.value)


def dynamics(family: Family, steps: int, bottleneck_weight: float) -> Outcome:
    """The same, but exploration is paid for predicting the whole problem."""
    every = tuple(family.problems)
    tied = _encodings(family, bottleneck_weight)
    found = [_explore(family, steps, encoding, every) for encoding in tied]
    return min(found, key=lambda outcome: outcome.value)


def _encodings(family: Family, bottleneck_weight: float) -> list[tuple[int, ...]]:
    """Every encoding that is optimal for Eq. 2."""
    objective = {
        z: _encoded_value(family, z) - bottleneck_weight * _entropy(z)
        for z in _partitions(len(family.problems))
    }
    return [z for z, value in objective.items() if value > max(objective.values()) - TIE]


def _explore(family: Family, steps: int, encoding: Sequence[int], target: Sequence[int]) -> Outcome:
    """Exploration that gains the most information about `target`, then z ~ q(z | tau).

    The sum of the rewards of Eq. 5 is log q(target | tau) - log q(target).
    """
    count = len(family.problems)

    def search(problems: Sequence[int], node: int, left: int) -> tuple[float, float]:
        """(information, return) of the rest, weighted by the probability of being here."""
        if left == 0:
            weight = len(problems) / count
            unknown = _entropy([target[k] for k in problems])
            return -weight * unknown, weight * _sampled(family, problems, encoding)
        found = []
        for there in family.edges[node]:
            parts = [search(alike, there, left - 1) for alike in _split(family, problems, there)]
            found.append((sum(part[0] for part in parts), sum(part[1] for part in parts)))
        most = max(information for information, _ in found)
        return most, min(value for information, value in found if information > most - TIE)

    information, value = search(family.problems, 0, steps)
    return Outcome(tuple(encoding), information + _entropy(target), value)


def _split(family: Family, problems: Sequence[int], node: int) -> list[list[int]]:
    """The problems by what the node looks like."""
    looks = dict.fromkeys(int(family.looks[k, node]) for k in problems)
    return [[k for k in problems if family.looks[k, node] == look] for look in looks]


def _bayes(family: Family, problems: Sequence[int]) -> float:
    """The best return where any of these problems is as likely."""
    return float(family.rewards[list(problems)].mean(axis=0).max(axis=1).mean())


def _arms(family: Family, encoding: Sequence[int]) -> np.ndarray:
    """[z, instructions] the arm that Eq. 2 chooses: the best for the problems with this z."""
    members = [
        [k for k, z in enumerate(encoding) if z == code] for code in range(max(encoding) + 1)
    ]
    return np.array([family.rewards[alike].mean(axis=0).argmax(axis=1) for alike in members])


def _encoded_value(family: Family, encoding: Sequence[int]) -> float:
    """E[V] of exploitation with z = F(mu)."""
    arms = _arms(family, encoding)
    return float(np.mean([_pulled(family, k, arms[z]) for k, z in enumerate(encoding)]))


def _sampled(family: Family, problems: Sequence[int], encoding: Sequence[int]) -> float:
    """The return at meta-test: z drawn from the posterior, whichever problem it is."""
    arms = _arms(family, encoding)
    drawn = [encoding[k] for k in problems]
    return float(np.mean([_pulled(family, k, arms[z]) for k in problems for z in drawn]))


def _pulled(family: Family, problem: int, arms: np.ndarray) -> float:
    """The return on a problem of one arm for each instruction."""
    return float(family.rewards[problem, np.arange(len(arms)), arms].mean())


def _entropy(codes: Sequence[int]) -> float:
    """Nats, of codes that are equally likely each."""
    shares = np.unique(np.array(codes), return_counts=True)[1] / len(codes)
    return float(-np.sum(shares * np.log(shares)))


def _partitions(count: int) -> Iterator[tuple[int, ...]]:
    """Every partition of 0 .. count - 1, as the number of each element's part."""

    def extend(codes: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        if len(codes) == count:
            yield codes
            return
        for code in range(max(codes, default=-1) + 2):
            yield from extend((*codes, code))

    return extend(())


def largest_weight(family: Family) -> float:
    """A lambda of Eq. 2 below which no encoding gives up return for brevity."""
    values = sorted(
        {round(_encoded_value(family, z), 12) for z in _partitions(len(family.problems))}
    )
    gap = values[-1] - values[-2] if len(values) > 1 else 1.0
    return gap / math.log(max(2, len(family.problems)))
