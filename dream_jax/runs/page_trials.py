"""Trials as data for the page: drawings of every step, and the numbers beside them."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from dream_jax import problems
from dream_jax.drawing import svg
from dream_jax.drawing.shapes import Drawing
from dream_jax.drawing.view import WorldView
from dream_jax.envs.splits import split_names
from dream_jax.runs.insight import FROM_EXPLORATION, Insight, Insights, ids
from dream_jax.runs.trial_record import listed, steps, trimmed
from dream_jax.types import Env, Episode
from dream_jax.viz import statistics

NEAREST = 3  # encodings that the decoder's reading is compared with
MOST_EPISODES = 3  # of exploitation, that are shown


class Gallery:
    """Drawings as indices into tables, since most shapes are the same in every step."""

    def __init__(self) -> None:
        self._shapes: dict[str, int] = {}
        self._frames: dict[tuple, int] = {}

    def add(self, drawing: Drawing) -> int:
        """The index of a drawing."""
        elements = tuple(
            self._shapes.setdefault(svg.element(shape), len(self._shapes))
            for shape in drawing.shapes
        )
        frame = (svg.view_box(drawing), drawing.description, elements)
        return self._frames.setdefault(frame, len(self._frames))

    def data(self) -> dict[str, Any]:
        """For the page: "shapes" as SVG, and "frames" as [view box, description, shapes]."""
        frames = [[box, text, list(elements)] for box, text, elements in self._frames]
        return {"shapes": list(self._shapes), "frames": frames}


class Plane:
    """Two directions in which encodings differ most (principal components)."""

    def __init__(self, encodings: np.ndarray):
        """encodings: [P, Z]."""
        self._centre = encodings.mean(axis=0)
        _, sizes, axes = np.linalg.svd(encodings - self._centre, full_matrices=False)
        # Of the variance, that these two directions show.
        variances = np.square(sizes)
        self.share = float(variances[:2].sum()) / max(float(variances.sum()), 1e-12)
        self._axes = np.zeros((2, encodings.shape[1]))
        self._axes[: min(2, len(axes))] = axes[:2]

    def __call__(self, z: np.ndarray) -> list[list[float]]:
        """[..., Z] -> [..., 2] as lists."""
        return rounded((np.asarray(z) - self._centre) @ self._axes.T, 4)


def trials(env: Env, view: WorldView, insights: Insights) -> dict[str, Any]:
    """Everything about trials that the page shows: "trials", and the tables of their drawings.

    Each trial has its problem, its instruction in words, its exploration and, by where z is from,
    its exploitation episodes.
    """
    gallery = Gallery()
    plane = None if insights.encodings is None else Plane(insights.encodings)
    splits = {name: set(ids(env, name)) for name in split_names(env)}
    trained = splits["train"] if problems.is_listed(env) else set()
    made = []
    for i, problem in enumerate(insights.chosen.problem.tolist()):
        one = jax.tree.map(lambda x, i=i: x[i], insights.trials)
        shown = _Shown(env, view, gallery, one)
        told = jax.tree.map(lambda x, i=i: x[i][:MOST_EPISODES], insights.chosen.instruction)
        count = len(jax.tree.leaves(told)[0])
        made.append(
            {
                "problem": problem,
                "split": next(name for name, ids in splits.items() if problem in ids),
                "words": view.problem(problem),
                "instructions": [
                    view.instruction(jax.tree.map(lambda x, n=n: x[n], told)) for n in range(count)
                ],
                "key": [leaf.tolist() for leaf in jax.tree.leaves(told)],
                "other": int(insights.chosen.other[i]),
                "longest": len(one.test.exploration.mask),
                "horizon": env.horizon,
                "exploration": shown.exploration(insights.information_names, problem in trained)
                | _belief(insights, one, problem, plane),
                "exploitation": shown.exploitations(count),
            }
        )
    return {"trials": made, **gallery.data()}


def encodings(view: WorldView, insights: Insights) -> dict[str, Any] | None:
    """The map of encodings: points, and by property the value of each problem."""
    if insights.encodings is None:
        return None
    encoded = insights.problems.tolist()
    groups: dict[str, dict[str, Any]] = {}
    for name, values in view.groups().items():
        mine = [values[problem] for problem in encoded]
        labels = list(dict.fromkeys(mine))
        of = [labels.index(value) for value in mine]
        groups[name] = {"labels": labels, "of": of, "explains": None}
        if len(labels) < len(of):  # values that one problem has each would explain everything
            groups[name]["explains"] = round(statistics.explained(insights.encodings, of), 4)
    plane = Plane(insights.encodings)
    return {
        "problems": encoded,
        "points": plane(insights.encodings),
        "shown": round(plane.share, 4),
        "words": [view.problem(problem) for problem in encoded],
        "groups": groups,
    }


def visits(env: Env, view: WorldView, insights: Insights) -> list[list[int]] | None:
    """How often exploration was in each cell, [rows][columns]; None: there are no cells."""
    if view.cells is None:
        return None
    count = np.zeros((view.cells.rows, view.cells.columns), int)
    explored = set()
    for i, problem in enumerate(insights.chosen.problem.tolist()):
        if problem in explored:  # the same exploration for another instruction
            continue
        explored.add(problem)
        test = jax.tree.map(lambda x, i=i: x[i], insights.trials.test)
        for state in listed(env, test.exploration_states, steps(test.exploration)):
            column, row = view.cell(state)
            count[min(row, view.cells.rows - 1), min(column, view.cells.columns - 1)] += 1
    return count.tolist()


class _Shown:
    """Episodes of one trial, drawn."""

    def __init__(self, env: Env, view: WorldView, gallery: Gallery, trial: Insight):
        self._env, self._view, self._gallery, self._trial = env, view, gallery, trial
        test = trial.test
        self._seen = listed(env, test.exploration_states, steps(test.exploration))

    def exploration(self, names: Mapping[bool, str], trained_on: bool) -> dict[str, Any]:
        test, taken = self._trial.test, steps(self._trial.test.exploration)
        return self._episode(test.exploration, self._seen, test.exploration_q, []) | {
            "information": rounded(self._trial.information[trained_on][:taken], 4),
            "information_name": names[trained_on],
        }

    def exploitations(self, count: int) -> dict[str, list[dict[str, Any]]]:
        """By where z is from, `count` episodes."""
        test = self._trial.test
        rolled = {
            FROM_EXPLORATION: (test.exploitation, test.exploitation_states, test.exploitation_q)
        }
        rolled |= {
            name: (one.episode, one.states, one.q) for name, one in self._trial.exploited.items()
        }
        return {
            name: [self._exploitation(parts, n) for n in range(count)]
            for name, parts in rolled.items()
        }

    def _exploitation(self, parts: tuple[Episode, Any, Any], n: int) -> dict[str, Any]:
        episode, states, q = (jax.tree.map(lambda x: x[n], part) for part in parts)
        return self._episode(episode, listed(self._env, states, steps(episode)), q, self._seen)

    def _episode(
        self, episode: Episode, states: Sequence[Any], q: Any, before: Sequence[Any]
    ) -> dict[str, Any]:
        taken = steps(episode)
        told = bool(before)
        drawn = [
            self._view.draw(state, [*before, *states[:t]], told) for t, state in enumerate(states)
        ]
        return {
            "frames": [self._gallery.add(drawing) for drawing in drawn],
            "actions": trimmed(episode).action.tolist(),
            "rewards": rounded(episode.reward[:taken], 4),
            "q": rounded(np.asarray(q)[:taken], 3),
        }


def _belief(
    insights: Insights, trial: Insight, problem: int, plane: Plane | None
) -> dict[str, Any]:
    """What the decoder read from every prefix of the exploration."""
    if insights.encodings is None or trial.decoded is None or plane is None:
        return {}
    g = np.asarray(trial.decoded)[: steps(trial.test.exploration) + 1]  # [L + 1, Z]
    squared = np.square(g[:, None] - insights.encodings[None]).sum(axis=-1)  # [L + 1, P]
    order = np.argsort(squared, axis=1, kind="stable")[:, :NEAREST]
    belief = {
        "path": plane(g),
        "nearest": [
            [[int(insights.problems[k]), round(float(row[k]), 4)] for k in places]
            for row, places in zip(squared, order, strict=True)
        ],
    }
    place = np.flatnonzero(insights.problems == problem)
    if place.size:  # |f(mu) - g(tau_:t)|^2; f was not trained on other problems
        belief["distance"] = rounded(squared[:, place[0]], 4)
    return belief


def rounded(values: Any, digits: int) -> Any:
    """Numbers as lists, short enough for a page."""
    return np.round(np.asarray(values, np.float64), digits).tolist()
