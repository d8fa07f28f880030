"""Exact returns of cooking families that are too large to list: by symmetry over ingredients.

For a recipe (i, j) a fridge holds i, j or something else; which other ingredient makes no
difference. A cook is in one of four phases (the environment's stages), so that a state is a cell, a
phase and what is known of each fridge. Ending the episode is worth as much as idling.
"""

import itertools
from typing import NamedTuple

import numpy as np

_UNKNOWN, _FIRST, _SECOND, _OTHER = range(4)
_STEP, _RIGHT, _WRONG = -0.1, 0.25, -0.35


class Kitchen(NamedTuple):
    """The numbers of a cooking family."""

    size: int  # side; there is a fridge in every row
    pot: tuple[int, int]  # (x, y), where the cook starts
    fridge_x: int
    ingredients: int
    horizon: int
    fall_back_reward: float = -0.35  # of losing the ingredient in hand that was wanted


def returns(kitchen: Kitchen) -> tuple[float, float]:
    """(optimal, without exploration): means over all problems and instructions of a family.

    Optimal knows what the fridges hold. Without exploration, the cook knows the recipe, and that
    it was drawn from the fridges.
    """
    totals = np.zeros(3)  # weight, and weighted returns
    for same in (True, False):
        totals += _of_recipes(kitchen, same)
    return float(totals[1] / totals[0]), float(totals[2] / totals[0])


def _of_recipes(kitchen: Kitchen, same: bool) -> np.ndarray:
    """[3] weight, optimal and unexplored return times weight, of recipes with i = j or i != j."""
    count, fridges = kitchen.ingredients, kitchen.size
    kinds = [_FIRST, _OTHER] if same else [_FIRST, _SECOND, _OTHER]
    alone = {_FIRST: 1.0, _SECOND: 1.0, _OTHER: count - (1.0 if same else 2.0)}
    pairs = count if same else count * (count - 1)
    weight = np.zeros((4,) * fridges)  # of what is known; first of complete knowledge
    for held in itertools.product(kinds, repeat=fridges):
        drawn = held.count(_FIRST) * held.count(_FIRST if same else _SECOND)
        weight[held] = pairs * drawn * np.prod([alone[kind] for kind in held])
    complete = weight.copy()
    for k in range(fridges):  # whatever fridge k holds
        part = weight.swapaxes(0, k)
        part[_UNKNOWN] = part[_FIRST:].sum(axis=0)
    values = _values(kitchen, weight, _FIRST if same else _SECOND)
    start = values[kitchen.pot]  # of what is known
    total = complete.sum()
    return np.array([total, (complete * start).sum(), total * start[(_UNKNOWN,) * fridges]])


def _values(kitchen: Kitchen, weight: np.ndarray, second: int) -> np.ndarray:
    """[size, size, known ...] values of phase 0 with all steps left, by value iteration."""
    size, known = kitchen.size, weight.shape
    value = np.zeros((4, size, size, *known))  # by phase, cell and knowledge
    pot = kitchen.pot
    for _ in range(kitchen.horizon):
        best = _STEP + value  # the no-op
        for dx, dy in ((-1, 0), (1, 0), (0, -1), (0, 1)):
            x, y = (np.clip(np.arange(size) + d, 0, size - 1) for d in (dx, dy))
            best = np.maximum(best, _STEP + value[:, x[:, None], y[None, :]])
        for row in range(size):
            at = (kitchen.fridge_x, row)
            for phase in range(4):
                wanted = _FIRST if phase < 2 else second
                picked = _picked(kitchen, value[:, at[0], at[1]], weight, row, phase, wanted)
                best[phase][at] = np.maximum(best[phase][at], picked)
        for phase in (1, 3):  # dropped, or put back at the pot
            best[phase] = np.maximum(best[phase], kitchen.fall_back_reward + value[phase - 1])
        best[1][pot] = np.maximum(best[1][pot], _RIGHT + value[2][pot])
        best[3][pot] = np.maximum(best[3][pot], _RIGHT)
        value = best
    return value[0]


def _picked(
    kitchen: Kitchen, value: np.ndarray, weight: np.ndarray, row: int, phase: int, wanted: int
) -> np.ndarray:
    """[known ...] the value of picking up at the fridge of a row. value: [phase, known ...]."""
    fetching = phase % 2 == 0
    result = np.zeros(weight.shape)
    chance = weight.swapaxes(0, row)
    found = result.swapaxes(0, row)
    with np.errstate(divide="ignore", invalid="ignore"):
        for kind in (_FIRST, _SECOND, _OTHER):  # of weight 0 where a recipe has one ingredient
            if kind == wanted:
                reward, after = (_RIGHT, phase + 1) if fetching else (_STEP, phase)
            elif fetching:
                reward, after = _WRONG, phase
            else:
                reward, after = kitchen.fall_back_reward, phase - 1
            then = reward + value[after].swapaxes(0, row)[kind]
            found[kind] = then
            share = np.nan_to_num(chance[kind] / chance[_UNKNOWN])
            found[_UNKNOWN] += share * then
    return result
