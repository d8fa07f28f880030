"""Draws the pictures of docs/pictures.md, each from a trained agent or from the record of a run."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from dream_jax.drawing import raster
from dream_jax.drawing.view import view_of
from dream_jax.runs import page_trials
from dream_jax.runs.insight import FROM_EXPLORATION, FROM_ID, FROM_OTHER, ZERO, InsightProgram
from dream_jax.viz import statistics
from experiments.figures import coupling as bandit_coupling

_KINDS = {
    FROM_EXPLORATION: "explored",
    FROM_ID: "told",
    FROM_OTHER: "other",
    ZERO: "zero",
}
_INK, _EXPLORE, _EXPLOIT, _BAR = "#222222", "#7a4fb5", "#23784a", "#c9d3de"
_METHODS = {"rl2": "#c8501e", "dream": "#1f6fb2"}
RECENT = 50  # trials over which the choices of exploration are averaged


def information_gain(file: Path, agent: Any, insights: Any) -> None:
    """Bars of Eq. 5, and below them the distance of the decoder's reading to the encoding."""
    view = view_of(agent.env)
    data = page_trials.trials(agent.env, view, insights)
    trial = next(t for t in data["trials"] if t["split"] == "train")
    steps, names = trial["exploration"], view.action_names
    figure, (above, below) = _figure(8, 4.2, 2, 1)
    count = len(steps["actions"])
    above.bar(range(1, count + 1), steps["information"], color=_EXPLORE)
    above.set_ylabel("information gain")
    below.plot(range(count + 1), steps["distance"], color=_EXPLORE, lw=2)
    below.set_ylabel("|f(mu) - g(tau)|^2")
    below.set_xticks(range(1, count + 1))
    below.set_xticklabels([names[a] for a in steps["actions"]], rotation=60, ha="right", fontsize=8)
    above.set_xticks([])
    figure.savefig(file)


def encodings(file: Path, agent: Any, insights: Any) -> None:
    """The map of encodings, coloured by what exploitation needs and by what it does not."""
    from matplotlib import colormaps

    found = page_trials.encodings(view_of(agent.env), insights)
    assert found is not None  # the agents that ship have an encoder
    points = np.array(found["points"])
    figure, panels = _figure(8, 4.2, 1, 2)
    for axes, name in zip(panels, ("coloured buses", "grey buses"), strict=True):
        group = found["groups"][name]
        colours = colormaps["hsv"](np.array(group["of"]) / len(group["labels"]))
        axes.scatter(*points.T, c=colours, s=36, edgecolors="white", linewidths=0.6)
        axes.set_title(f"coloured by the order of the {name}", fontsize=10, color=_INK)
        axes.set_xticks([])
        axes.set_yticks([])
    figure.savefig(file)


def kinds_of_z(file: Path, named: dict[str, tuple[Any, Any]]) -> None:
    """Mean returns of exploitation by where z is from, over training problems of a page."""
    figure, panels = _figure(8, 3.0, 1, len(named))
    for axes, (name, (agent, insights)) in zip(panels, named.items(), strict=True):
        data = page_trials.trials(agent.env, view_of(agent.env), insights)
        known = [t["exploitation"] for t in data["trials"] if t["split"] == "train"]
        means = [np.mean([sum(t[kind][0]["rewards"]) for t in known]) for kind in _KINDS]
        axes.bar(range(len(means)), means, color=[_EXPLOIT, _EXPLOIT, _BAR, _BAR])
        axes.axhline(0, color=_INK, lw=0.8)
        axes.set_xticks(range(len(means)))
        axes.set_xticklabels(_KINDS.values(), fontsize=8)
        axes.set_title(name.replace("_", " "), fontsize=10, color=_INK)
    panels[0].set_ylabel("return")
    figure.savefig(file)


def trial_steps(file: Path, agent: Any) -> None:
    """Six moments of a trial: three of exploration, three of exploitation."""
    frames = agent.trial().frames(0)
    explore = [k for k, frame in enumerate(frames) if frame.exploring]
    exploit = [k for k, frame in enumerate(frames) if not frame.exploring]
    chosen = [part[k] for part in (explore, exploit) for k in (0, len(part) // 3, len(part) - 1)]
    figure, panels = _figure(8, 4.4, 2, 3)
    for axes, k in zip(panels.reshape(-1), chosen, strict=True):
        frame = frames[k]
        phase = "explore" if frame.exploring else "exploit"
        axes.imshow(raster.pixels(frame.world, 400))
        axes.set_title(f"{phase}, step {frame.step}", fontsize=9, color=_INK)
        axes.set_axis_off()
    figure.savefig(file)


def coupling_cycle(file: Path, actions: int = 8, seeds: int = 20, trials: int = 1_500) -> None:
    """The three quantities of the cycle over trials, each seed a line: RL2 above, DREAM below."""
    figure, panels = _figure(8, 4.2, 2, 3)
    titles = (
        f"takes a*, share of {RECENT} trials",
        "p(right arm) after a*",
        "a* is best, share of seeds",
    )
    for row, (method, colour) in zip(panels, _METHODS.items(), strict=True):
        run = bandit_coupling.record(method, actions, range(seeds), trials)
        took = (run.explored == actions - 1).astype(float)
        window = np.ones(RECENT) / RECENT
        share = np.array([np.convolve(one, window)[: len(one)] for one in took])
        for axes, lines in zip(row, (share, run.star_success[:, 1:]), strict=False):
            axes.plot(lines.T, color=colour, lw=0.6, alpha=0.35)
            axes.plot(lines.mean(axis=0), color=colour, lw=2)
        row[2].plot(run.optimal.mean(axis=0), color=colour, lw=2)
        row[0].set_ylabel(bandit_coupling.NAMES[method])
        for axes in row:
            axes.set_ylim(-0.03, 1.03)
            axes.set_xlim(0, trials)
    for axes, title in zip(panels[0], titles, strict=True):
        axes.set_title(title, fontsize=9, color=_INK)
        axes.set_xticks([])
    for axes in panels[1]:
        axes.set_xlabel("trials", fontsize=9)
    figure.savefig(file)


def training_and_testing(file: Path, records: Mapping[str, Sequence[Path]]) -> None:
    """Returns told the problem id, and after exploring, while runs train.

    records: by the name of a benchmark, records of docs/data, one per seed: rows of metrics.jsonl
      as CSV.
    """
    figure, panels = _figure(8, 3.0, 1, len(records))
    lines = {"train_return_encoder": ("told the id", _INK), "train_return": ("explored", _EXPLORE)}
    for axes, (name, files) in zip(panels, records.items(), strict=True):
        for k, record in enumerate(files):
            with record.open(encoding="utf-8", newline="") as text:
                rows = list(csv.DictReader(text))
            steps = [float(row["env_steps"]) / 1e6 for row in rows]
            for column, (label, colour) in lines.items():
                values = [float(row[column]) for row in rows]
                axes.plot(steps, values, color=colour, lw=1, label=None if k else label)
        axes.set_title(f"{name.replace('_', ' ')}, {len(files)} seeds", fontsize=10, color=_INK)
        axes.set_xlabel("million environment steps", fontsize=9)
    panels[0].set_ylabel("return on training problems")
    panels[-1].legend(frameon=False, fontsize=8)
    figure.savefig(file)


def belief(file: Path, agent: Any, insights: Any) -> None:
    """How far the decoder's reading is from every encoding, after each step of one exploration."""
    view = view_of(agent.env)
    trials = page_trials.trials(agent.env, view, insights)["trials"]
    place = next(i for i, one in enumerate(trials) if one["split"] == "train")
    actions, problem = trials[place]["exploration"]["actions"], trials[place]["problem"]
    read = np.asarray(insights.trials.decoded[place])[: len(actions) + 1]  # [L + 1, Z]
    apart = np.square(read[:, None] - insights.encodings[None]).sum(axis=-1)  # [L + 1, P]
    order = np.argsort(apart[-1], kind="stable")
    figure, axes = _figure(8, 4.2, 1, 1)
    image = axes.imshow(np.sqrt(apart[:, order].T), aspect="auto", cmap="viridis_r")
    figure.colorbar(image, label="distance of g(tau) to f(mu)")
    own = int(np.flatnonzero(insights.problems[order] == problem)[0])
    axes.annotate(
        "the problem it is in",
        (len(actions), own),
        (len(actions) * 0.6, own + 4),
        fontsize=9,
        color=_INK,
        arrowprops={"arrowstyle": "->", "color": _INK},
    )
    axes.set_xticks(range(len(actions) + 1))
    names = ["start", *(view.action_names[a] for a in actions)]
    axes.set_xticklabels(names, rotation=60, ha="right", fontsize=8)
    axes.set_yticks([])
    axes.set_ylabel("training problems")
    figure.savefig(file)


def bottleneck(file: Path, named: Mapping[str, tuple[Any, Any]]) -> None:
    """How much of the encodings the order of the coloured buses explains, and how much is left.

    named: by a label, an agent of the distracting bus and its insights.
    """
    figure, axes = _figure(8, 2.6, 1, 1)
    for row, (agent, insights) in enumerate(named.values()):
        found = page_trials.encodings(view_of(agent.env), insights)
        assert found is not None
        needed = statistics.explained(insights.encodings, found["groups"]["coloured buses"]["of"])
        axes.barh(-row, needed, 0.6, color=_EXPLORE)
        axes.barh(-row, 1 - needed, 0.6, left=needed, color=_BAR)
        axes.text(needed / 2, -row, f"{needed:.2f}", ha="center", va="center", color="white")
        axes.text(1.01, -row, f"{1 - needed:.2f}", ha="left", va="center", color=_INK)
    axes.set_yticks([-row for row in range(len(named))])
    axes.set_yticklabels(named)
    axes.set_xlim(0, 1.08)
    axes.set_xlabel("share of z's variance: order of the coloured buses (dark), all else (light)")
    figure.savefig(file)


def where_exploration_goes(file: Path, agent: Any, chosen: Any, seed: int = 0) -> None:
    """Visits of each cell while exploring, with untrained parameters and with the trained ones."""
    view, program = view_of(agent.env), InsightProgram(agent.functions)
    untrained = jax.device_get(jax.jit(agent.functions.init)(jax.random.key(seed)))
    figure, panels = _figure(8, 3.4, 1, 2)
    parts = {"untrained": untrained, "trained": agent.params}
    for axes, (name, params) in zip(panels, parts.items(), strict=True):
        counts = page_trials.visits(agent.env, view, program(params, chosen))
        assert counts is not None
        axes.imshow(np.sqrt(counts), cmap="Purples", vmin=0)
        for (row, column), count in np.ndenumerate(np.array(counts)):
            if count:
                dark = count > 0.4 * np.max(counts)
                colour = "white" if dark else _INK
                axes.text(column, row, str(count), ha="center", va="center", color=colour)
        axes.set_title(name, fontsize=10, color=_INK)
        axes.set_xticks([])
        axes.set_yticks([])
    figure.savefig(file)


def _figure(width: float, height: float, rows: int, columns: int) -> tuple[Any, Any]:
    from matplotlib.figure import Figure  # heavy, and wanted only here

    figure = Figure(figsize=(width, height), dpi=130, layout="constrained")
    panels = figure.subplots(rows, columns)
    for axes in np.ravel(panels):
        axes.spines[["top", "right"]].set_visible(False)
    return figure, panels
