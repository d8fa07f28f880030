"""`python -m experiments.proposition`: Proposition 1 of the paper, on families of a few problems.

Prints the highest return that any policies reach (Eq. 1) beside that of policies which are optimal
for DREAM's objectives, and beside exploration that is paid for predicting the whole problem. First
for a family with two signs, then for random families. Everything is computed exactly.
"""

import sys
from collections.abc import Sequence

from experiments.analyses import proposition
from experiments.cli import process
from experiments.cli.command_line import CommandLine

LONG = 8  # steps in which every node of a random family can be seen: two rounds of its ring


def main(argv: Sequence[str] | None = None) -> int:
    """0 the proposition holds, 1 it does not, 2 bad input."""
    given = sys.argv[1:] if argv is None else argv
    return process.exit_status(lambda: run(given), "interrupted")


def run(argv: Sequence[str]) -> int:
    line = CommandLine("experiments.proposition", f"\n{__doc__}")
    line.count("families", 20, "random families")
    count = line.read(argv).families
    family = proposition.signs()
    small = proposition.largest_weight(family) / 2
    print(f"two signs; a policy that knows the problem returns {best(family):.3f}")
    for steps in (1, 2, 3, 5):
        highest = proposition.best_value(family, steps)
        mine = proposition.dream(family, steps, small)
        whole = proposition.dynamics(family, steps, small)
        print(
            f"  {steps} steps: Eq. 1 {highest:.3f}; DREAM {mine.value:.3f}, {mine.information:.2f} "
            f"nats of z; prediction {whole.value:.3f}, {whole.information:.2f} nats of the problem"
        )
    heavy = proposition.dream(family, 5, 1.0)
    print(f"  5 steps, lambda = 1: DREAM {heavy.value:.3f}, with one z for all problems")
    twin = proposition.hidden_twin()
    found = proposition.dream(twin, LONG, proposition.largest_weight(twin) / 2)
    highest = proposition.best_value(twin, LONG)
    print(f"two problems that look alike: Eq. 1 {highest:.3f}; DREAM {found.value:.3f}")
    agree, apply = agreement(count, LONG)
    print(
        f"{count} random families, {LONG} steps: all problems can be told apart in {apply} of them"
    )
    print(f"  there DREAM's return is the highest in {agree}")
    return 0 if agree == apply else 1


def best(family: proposition.Family) -> float:
    """V* of the family."""
    return proposition.informed_value(family)


def agreement(count: int, steps: int) -> tuple[int, int]:
    """Random families to which the proposition applies: with the highest return, and all of them.

    It applies where exploration is long enough to tell all problems apart.
    """
    agree = apply = 0
    for seed in range(count):
        family = proposition.random_family(seed)
        if not proposition.can_be_told_apart(family, steps):
            continue
        apply += 1
        highest = proposition.best_value(family, steps)
        found = proposition.dream(family, steps, proposition.largest_weight(family) / 2)
        agree += abs(found.value - highest) < proposition.TIE
    return agree, apply


if __name__ == "__main__":
    sys.exit(main())
