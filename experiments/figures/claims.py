"""The claims of the paper, and questions of this project, beside what the records of runs say.

A claim about learning is judged by every seed, not by their mean: it holds if it holds on each. It
is judged at the paper's budget of environment steps where the paper names one, and at the end.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from dream_jax.viz import statistics
from experiments.figures import bandit_starts
from experiments.figures.groups import PAPER_STEPS, Group, Groups, at_most
from experiments.figures.paper import NAMES, WITHOUT_EXPLORATION

# Normalised returns: 0 is no exploration, 1 is optimal.
REACHED = 0.95  # at least this is optimal
NOWHERE = 0.2  # at most this is no exploration; below -0.2, exploitation has not been learned
MORE = 1.9  # times the return of the others: "90% higher returns" (the paper's introduction)
MORE_THAN_OTHERS = "DREAM returns 90% more than E-RL2, IMPORT and VariBAD"
COOKING_MORE = 3.8  # times, on cooking
HARMLESS = 0.05  # a bottleneck that costs less than this costs nothing
PAPER, PROJECT = "the paper", "this project"  # who asks


class Verdict(NamedTuple):
    """A claim beside what the runs show: one row of table<N>.csv."""

    claim: str
    where: str  # benchmark and split
    budget: str
    seeds: str
    measured: str
    interval: str  # 95%, of the mean over seeds
    verdict: str  # "holds", "does not hold", "holds on 2 of 5 seeds so far", "not measured"
    command: str
    asked_by: str = PAPER


def grid_verdicts(panels: Sequence[tuple[str, str]], groups: Groups) -> list[Verdict]:
    """Figures 6 and 7: the claims about each panel (benchmark, split)."""
    return [verdict for panel in panels for verdict in _panel_verdicts(*panel, groups)]


def _panel_verdicts(benchmark: str, split: str, groups: Groups) -> list[Verdict]:
    found = []
    for steps in dict.fromkeys((PAPER_STEPS.get(benchmark), None)):
        panel = _Panel(groups, benchmark, split, steps)
        found.append(panel.every_seed("dream", "DREAM is optimal", _optimal))
        for name in WITHOUT_EXPLORATION:
            # The sign can be read while exploiting, so returns there rest on not reading it.
            skipped = "reading" if benchmark == "sign" else "exploring"
            claim = f"{NAMES[name]} learns what can be had without {skipped}, and no more"
            found.append(panel.every_seed(name, claim, lambda x: abs(x) <= NOWHERE))
        found.append(panel.times(MORE_THAN_OTHERS, MORE))
        if (benchmark, split) == ("cooking", "train"):
            # On the held-out kitchen optimal is 2.4 times what can be had without exploring.
            claim = "DREAM returns 3.8 times as much as the best of E-RL2, IMPORT and VariBAD"
            found.append(panel.times(claim, COOKING_MORE))
    panel = _Panel(groups, benchmark, split, None)
    return [*found, *panel.bottleneck(), panel.pearl_ub()]


def on_every_panel(verdicts: Sequence[Verdict], claim: str) -> list[Verdict]:
    """A claim about all environments together, at each budget: it must hold on every panel."""
    found = []
    for budget in dict.fromkeys(v.budget for v in verdicts if v.claim == claim):
        mine = [v for v in verdicts if (v.claim, v.budget) == (claim, budget)]
        failed = [v.where for v in mine if v.verdict.startswith("does not")]
        held = [v.where for v in mine if v.verdict == "holds"]
        verdict = "holds" if len(held) == len(mine) else "not measured"
        found.append(
            Verdict(
                claim,
                "every panel",
                budget,
                f"{len(held) + len(failed)} of {len(mine)} panels",
                ", ".join(f"not on {where}" for where in failed),
                "",
                f"does not hold ({len(held)} of {len(mine)} panels)" if failed else verdict,
                "python -m experiments.results --run='comparison/*'",
            )
        )
    return found


class _Panel(NamedTuple):
    """A benchmark and a split, at a number of environment steps or (None) at the end."""

    groups: Groups
    benchmark: str
    split: str
    steps: int | None

    @property
    def where(self) -> str:
        return f"{self.benchmark} ({self.split})"

    def group(self, name: str) -> Group | None:
        return self.groups.get((self.benchmark, name))

    def every_seed(self, name: str, claim: str, holds: Callable[[float], bool]) -> Verdict:
        """A claim about the normalised return of each seed of a preset."""
        group = self.group(name)
        values = [] if group is None else group.normalised(self.split, self.steps)
        if not group or not values:
            return self._unknown(claim, group)
        good = [holds(value) for value in values] + [False] * group.failed
        failed = f", {group.failed} failed" if group.failed else ""
        return Verdict(
            claim,
            self.where,
            at_most(self.steps),
            f"{len(good)} of {group.wanted}",
            f"normalised {numbers(values)}{failed}",
            interval(values),
            judged(good, group.wanted),
            group.command,
        )

    def times(self, claim: str, factor: float) -> Verdict:
        """DREAM's return as a multiple of that of the best of the end-to-end methods.

        Each seed of DREAM is compared with the best seed of any method. One method that is too good
        is enough to refute the claim.
        """
        names = WITHOUT_EXPLORATION
        dream = self.group("dream")
        others = {
            name: found
            for name in names
            if (group := self.group(name)) and (found := group.returns(self.split, self.steps))
        }
        mine = dream.returns(self.split, self.steps) if dream else []
        if not dream or not mine or not others:
            return self._unknown(claim, dream)
        best = max(others, key=lambda name: float(np.mean(others[name])))
        if np.mean(others[best]) > 0:
            times = float(np.mean(mine) / np.mean(others[best]))
            measured = f"{times:.2f} times {NAMES[best]}"
        else:  # a ratio to it says nothing
            measured = f"{np.mean(mine):.2f} against {np.mean(others[best]):.2f} of {NAMES[best]}"
        top = max(max(values) for values in others.values())
        good = [value > 0 and value >= factor * top for value in mine]
        left = [name for name in names if name not in others]
        if left and all(good):  # methods without a run might still be too good
            return self._unknown(claim, dream)
        if left:
            measured += f"; no run of {', '.join(NAMES[name] for name in left)}"
        return Verdict(
            claim,
            self.where,
            at_most(self.steps),
            f"{len(mine)} of {dream.wanted}",
            measured,
            interval(mine, "DREAM's return"),
            judged(good, dream.wanted),
            f"python -m experiments.results --run='comparison/{self.benchmark}-*'",
        )

    def bottleneck(self) -> list[Verdict]:
        """DREAM with and without its bottleneck on this benchmark."""
        if self.benchmark == "distracting_bus":
            claim = "without the bottleneck DREAM is not optimal"
            heads = "one decoder head, as in the paper"
            bare = "dream_one_head_no_bottleneck"
            return [
                self.every_seed("dream_one_head", f"DREAM is optimal ({heads})", _optimal),
                self.every_seed(bare, f"{claim} ({heads})", lambda x: not _optimal(x)),
                self.every_seed(
                    "dream_no_bottleneck",
                    f"{claim} (four decoder heads, as in `dream`)",
                    lambda x: not _optimal(x),
                )._replace(asked_by=PROJECT),
            ]
        if self.benchmark == "map":
            claim = "without the bottleneck DREAM is optimal too"
            return [self.every_seed("dream_no_bottleneck", claim, _optimal)]
        return [self._bottleneck_is_free()]

    def _bottleneck_is_free(self) -> Verdict:
        claim = "the bottleneck costs nothing"
        bare, dream = self.group("dream_no_bottleneck"), self.group("dream")
        without = bare.normalised(self.split, self.steps) if bare else []
        mine = dream.normalised(self.split, self.steps) if dream else []
        if not bare or not without or not dream or not mine:
            return self._unknown(claim, bare)._replace(asked_by=PROJECT)
        good = [value >= float(np.mean(without)) - HARMLESS for value in mine]
        return Verdict(
            claim,
            self.where,
            at_most(self.steps),
            f"{len(mine)} of {dream.wanted}, {len(without)} of {bare.wanted}",
            f"normalised {numbers(mine)} with it, {numbers(without)} without",
            interval(mine, "with it"),
            judged(good, dream.wanted),
            bare.command,
            PROJECT,
        )

    def pearl_ub(self) -> Verdict:
        """PEARL-UB is exact, so one number is all there is."""
        claim = "the best that PEARL could do (PEARL-UB) is not optimal"
        found = self.every_seed("pearl_ub", claim, lambda x: not _optimal(x))
        verdict = found.verdict.split(" (")[0]
        # On sign this rests on how exploitation is read: it may read the sign.
        asked_by = PROJECT if self.benchmark == "sign" else PAPER
        return found._replace(
            seeds="computed", interval="exact", verdict=verdict, asked_by=asked_by
        )

    def _unknown(self, claim: str, group: Group | None) -> Verdict:
        seeds = f"0 of {group.wanted}" if group else "0"
        command = group.command if group else ""
        return Verdict(
            claim, self.where, at_most(self.steps), seeds, "", "", "not measured", command
        )


def bandit_verdicts(
    complexity: Sequence[dict[str, Any]],
    exponents: Sequence[dict[str, Any]],
    seeds: int,
    command: str,
) -> list[Verdict]:
    """Section 5.2: DREAM needs fewer trials, and its advantage grows with the actions.

    Args:
      complexity: one row per method and size, `complexity` of the bandit's summary.json.
      exponents: `exponents` of it.
      seeds: of each.
      command: that measured them.
    """
    mean = {(r["method"], r["actions"], r["horizon"]): r["mean_trials"] for r in complexity}
    sizes = sorted({(a, h) for _, a, h in mean})
    pairs = {s: (mean["rl2", *s], mean["dream", *s]) for s in sizes}
    known = {s: pair for s, pair in pairs.items() if None not in pair}
    ahead = [s for s, (rl2, dream) in known.items() if dream < rl2]

    def verdict(claim: str, measured: str, judged: str) -> Verdict:
        return Verdict(
            claim, "bandit", "both tables from 0", str(seeds), measured, "", judged, command
        )

    claim = "DREAM needs fewer trials than RL2 to explore optimally"
    holds = "holds" if ahead == list(known) else "does not hold"
    text = f"in {len(ahead)} of {len(known)} sizes"
    first = verdict(claim, text if known else "", holds if known else "not measured")
    law = {f["method"]: f for f in exponents if f["law"] == "A^x, H=1"}
    fits = [law[method] for method in ("rl2", "dream")]
    claim = "RL2's trials grow faster with the actions: about A^2 against A"
    if any(fit["ci95"] is None for fit in fits):
        return [first, verdict(claim, "too few settled", "not measured")]
    parts = [f"{f['method']} A^{f['exponent']:.2f}" for f in fits]
    holds = "holds" if fits[0]["ci95"][0] > fits[1]["ci95"][1] else "does not hold"
    second = verdict(claim, ", ".join(parts), holds)
    ranges = ", ".join("{:.2f} to {:.2f}".format(*f["ci95"]) for f in fits)
    return [first, second._replace(interval=ranges)]


def start_verdicts(measured: bandit_starts.Measured, seeds: int, command: str) -> list[Verdict]:
    """The same claims over pairings of RL2's start with DREAM's, at each step size."""
    found = []
    for step in sorted({start.step_size for start, _ in measured}):
        pairs = bandit_starts.pairings(measured, step)
        alike = [pair for pair in pairs if pair.rl2.exploration == pair.dream.exploration]
        name = f"constant steps of {step:g}" if step else "sample averages"
        fewer, slower = "DREAM needs fewer trials than RL2", "DREAM's trials grow more slowly"
        for claim, results in (
            (f"{fewer}, from equal levels of Q_exp", [pair.fewer for pair in alike]),
            (f"{fewer}, whatever their tables start from", [pair.fewer for pair in pairs]),
            (f"{slower}, whatever their tables start from", [pair.slower for pair in pairs]),
        ):
            known = [result for result in results if result is not None]
            settled = "" if len(known) == len(results) else " whose seeds all settle"
            found.append(
                Verdict(
                    f"{claim} ({name})",
                    "bandit",
                    f"A to {max(a for _, a in measured)}, one step",
                    str(seeds),
                    f"in {sum(known)} of {len(known)} pairings{settled}",
                    "",
                    ("holds" if all(known) else "does not hold") if known else "not measured",
                    command,
                    PROJECT,
                )
            )
    return found


def _optimal(normalised: float) -> bool:
    return normalised >= REACHED


def judged(good: Sequence[bool], wanted: int) -> str:
    """The verdict on a claim about every seed, from the seeds there are."""
    if not all(good):
        return f"does not hold ({sum(good)} of {len(good)} seeds)"
    return "holds" if len(good) >= wanted else f"holds on {len(good)} of {wanted} seeds so far"


def numbers(values: Sequence[float]) -> str:
    """A list of numbers with two decimals, without negative zeros."""
    return ", ".join(f"{round(value, 2) + 0.0:.2f}" for value in values)


def interval(values: Sequence[float], what: str = "") -> str:
    """The mean's 95% interval as text; "one seed" has none."""
    found = statistics.ci95(values)
    if found is None:
        return "one seed"
    return f"{what} {found[0] + 0.0:.2f} to {found[1] + 0.0:.2f}".strip()
