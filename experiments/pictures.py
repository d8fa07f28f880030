"""`python -m experiments.pictures [--out=DIR]`: the pictures of docs/pictures.md.

They show what the agents that ship learned: the information gain of a trial step by step, what the
encodings keep and drop, and the returns with each kind of z.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np

from dream_jax.drawing import raster
from dream_jax.drawing.view import view_of
from dream_jax.runs import page_trials, pretrained
from dream_jax.runs.folder import refuse_files
from dream_jax.runs.insight import (
    FROM_EXPLORATION,
    FROM_ID,
    FROM_OTHER,
    ZERO,
    InsightProgram,
    choose,
)
from experiments.cli import process as common
from experiments.cli.command_line import CommandLine

NAMES = {
    "gain": "information_gain.png",
    "encodings": "encodings.png",
    "z": "kinds_of_z.png",
    "trial": "trial_steps.png",
}
_KINDS = {
    FROM_EXPLORATION: "explored",
    FROM_ID: "told",
    FROM_OTHER: "other",
    ZERO: "zero",
}
_INK, _EXPLORE, _EXPLOIT, _BAR = "#222222", "#7a4fb5", "#23784a", "#c9d3de"


def trials_of(name: str, count: int = 20) -> tuple[Any, Any]:
    """An agent that ships, and its trials with what its decoder believed."""
    agent = pretrained.load(name)
    trial = agent.config.trial
    chosen = choose(agent.env, count, trial.exploitation_episodes, trial.redraw_instruction)
    return agent, InsightProgram(agent.functions)(agent.params, chosen)


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


def _figure(width: float, height: float, rows: int, columns: int) -> tuple[Any, Any]:
    from matplotlib.figure import Figure  # heavy, and wanted only here

    figure = Figure(figsize=(width, height), dpi=130, layout="constrained")
    panels = figure.subplots(rows, columns)
    for axes in np.ravel(panels):
        axes.spines[["top", "right"]].set_visible(False)
    return figure, panels


def run(argv: list[str]) -> int:
    line = CommandLine("experiments.pictures", f"\n{__doc__}")
    line.text("out", "docs/figures", "the folder for the pictures")
    out = Path(line.read(argv).out)
    refuse_files(out)
    common.set_up_jax()
    out.mkdir(parents=True, exist_ok=True)
    named = {name: trials_of(name) for name in pretrained.names()}
    information_gain(out / NAMES["gain"], *named["map"])
    encodings(out / NAMES["encodings"], *named["distracting_bus"])
    kinds_of_z(out / NAMES["z"], named)
    trial_steps(out / NAMES["trial"], named["cooking"][0])
    print(f"written to {out}: {', '.join(NAMES.values())}")
    return 0


def main(argv: list[str] | None = None) -> int:
    """0 done, 1 a file cannot be written, 2 bad input."""
    given = sys.argv[1:] if argv is None else argv
    return common.exit_status(lambda: run(given), "interrupted")


if __name__ == "__main__":
    sys.exit(main())
