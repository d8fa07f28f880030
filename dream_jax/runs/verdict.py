"""One sentence about a finished run: what its columns say when they are read together."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from dream_jax.oracles.bounds import Bounds

TOLERANCE = 0.05  # of what knowing the problem is worth; smaller differences say nothing
_FEWEST = 10  # evaluations from which a trend can be read
_LINE = "a reference line, in which exploration plays no part"


class Returns(NamedTuple):
    """Mean returns of the final evaluation, over the seeds that did not fail."""

    train: float
    test: float
    informed: float | None  # on train, of the agent told the problem id; None: it cannot be told
    held_out: bool  # test problems are not those of training
    line: str | None  # "told" or "never_explores", for a run of one of the reference lines


def sentence(
    returns: Returns, bounds: Mapping[str, Bounds], rows: Sequence[Mapping[str, Any]]
) -> str:
    """What the returns mean, and the remedy, in one sentence.

    Stages are judged in the order in which they are learned: exploitation, exploration, problems
    never seen, and then whether more training would help.

    Args:
      returns: of the final evaluation.
      bounds: by split, the oracles' or the trained lines.
      rows: of metrics.jsonl.
    """
    known = bounds["train"]
    if known.top - known.floor <= 1e-6:
        return "knowing the problem is worth nothing here, so there is nothing to explore for"
    worth = known.top - known.floor
    if not np.isfinite(worth):
        worth = _spread(rows)
    small = TOLERANCE * worth
    exploitation = _exploitation(returns, known, small)
    unseen = _unseen(returns, bounds, small)
    if returns.line == "never_explores":
        parts = [_LINE]
    elif exploitation:
        parts = [exploitation]
    else:
        parts = [_LINE if returns.line else _exploration(returns, known, small, worth), unseen]
    if _rise(rows) > small and not known.top - returns.train <= small:
        parts.append("still rising at the end: raise training.trials")
    return "; ".join(filter(None, parts))


def _exploitation(returns: Returns, known: Bounds, small: float) -> str:
    """Nothing where exploitation is learned, or cannot be judged."""
    if returns.informed is None or not known.top - returns.informed > small:
        return ""
    how_far = _how_far(returns.informed, known.floor, known.top)
    return (
        f"exploitation is {how_far}: told the problem id, it returns {returns.informed:.2f} "
        f"where {known.top:.2f} can be had"
    )


def _how_far(value: float, floor: float, top: float) -> str:
    """Whether a return that falls short is nearer to its top or to its floor."""
    near = value - floor > 0.5 * (top - floor)  # false where one of them is unknown
    return "learned in part" if near else "not learned"


def _exploration(returns: Returns, known: Bounds, small: float, worth: float) -> str:
    if returns.informed is not None:
        if returns.informed - returns.train > small:
            how_far = _how_far(returns.train, known.floor, returns.informed)
            return (
                f"exploration is {how_far}: train returns {returns.train:.2f}, and "
                f"{returns.informed:.2f} when told the problem id"
            )
        return "exploration is solved: train equals told-the-id"
    if not np.isfinite(known.top - known.floor):
        return f"train returns {returns.train:.2f}, and nothing says how much can be had"
    if known.top - returns.train <= small:
        return "the training problems are solved"
    if returns.train - known.floor <= small:
        return "train returns no more than without exploration"
    share = (returns.train - known.floor) / worth
    return f"train reaches {share:.2f} of what exploration is worth"


def _unseen(returns: Returns, bounds: Mapping[str, Bounds], small: float) -> str:
    """Compares shares of what can be had on each split, or returns where that is not known."""
    if not returns.held_out:
        return ""
    ends = bounds["train"], bounds["test"]
    worth = [known.top - known.floor for known in ends]
    behind, most = returns.train - returns.test, small
    if np.all(np.isfinite(worth)) and min(worth) > 1e-6:
        each = zip((returns.train, returns.test), ends, worth, strict=True)
        train, test = ((value - known.floor) / scale for value, known, scale in each)
        behind, most = train - test, TOLERANCE
    if behind <= most:
        return "unseen problems keep up"
    return (
        f"unseen problems fall behind by {behind:.2f}: more training problems, or another "
        "losses.bottleneck_weight"
    )


def _rise(rows: Sequence[Mapping[str, Any]]) -> float:
    """How much the training return rose from the second-to-last fifth of a run to the last."""
    rises = []
    for curve in _curves(rows, "train_return"):
        if len(curve) >= _FEWEST:
            fifth = len(curve) // 5
            rises.append(np.mean(curve[-fifth:]) - np.mean(curve[-2 * fifth : -fifth]))
    return float(np.mean(rises)) if rises else 0.0


def _spread(rows: Sequence[Mapping[str, Any]]) -> float:
    """Between the lowest and the highest return of the curves: a scale where none is known."""
    names = ("train_return", "train_return_encoder")
    values = [value for name in names for curve in _curves(rows, name) for value in curve]
    return float(np.ptp(values)) if values else 0.0


def _curves(rows: Sequence[Mapping[str, Any]], name: str) -> list[list[float]]:
    """The values of a column, by seed."""
    found: dict[Any, list[float]] = {}
    for row in rows:
        if row.get(name) is not None:
            found.setdefault(row["seed"], []).append(row[name])
    return list(found.values())
