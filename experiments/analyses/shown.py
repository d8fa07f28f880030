"""Chosen trials of a loaded run: as films, in the terminal, on a page, and problems as a table."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dream_jax import problems as listing
from dream_jax.config import ConfigError
from dream_jax.drawing.view import view_of
from dream_jax.envs.splits import split_names
from dream_jax.runs import page_data, page_trials
from dream_jax.runs.insight import Chosen, InsightProgram, choose, chosen_trials, ids, spread
from dream_jax.runs.live_line import busy
from dream_jax.runs.load import LoadedRun
from dream_jax.runs.metrics import versions
from dream_jax.runs.provenance import git_state
from dream_jax.runs.run_page import TRIALS
from dream_jax.viz import film, report_page
from experiments.analyses.watch import watch

FILMS = 3  # by default
_COLUMNS = ("split", "problem", "words", "return_mean", "exploration_length")


def check_problems(loaded: LoadedRun, problems: Sequence[int]) -> None:
    """Raises ConfigError if the family has no such problem."""
    env = loaded.env
    last = env.num_problems - 1 if listing.is_listed(env) else listing.LARGEST_ID
    for problem in problems:
        if problem > last:
            raise ConfigError(f"--problems={problem}: {loaded.config.benchmark} has 0 to {last}")


def films(loaded: LoadedRun, problems: Sequence[int], out: Path, kind: str) -> list[str]:
    """Write a film of a trial of each problem, by the first seed. Returns their names.

    kind: "gif" or "mp4".
    """
    out.mkdir(parents=True, exist_ok=True)
    agent = loaded.trained_agent()
    names = []
    for problem in problems or spread(ids(loaded.env, "test"), FILMS):
        names.append(f"problem{problem}_seed{agent.seed}.{kind}")
        film.save(out / names[-1], agent.trial(problem, seed=agent.seed).frames(0))
    return names


def in_terminal(loaded: LoadedRun, problems: Sequence[int]) -> None:
    """Play a trial of each problem, by default of one, by the first seed."""
    agent, view = loaded.trained_agent(), view_of(loaded.env)
    for problem in problems or spread(ids(loaded.env, "test"), 1):
        words = f"It was problem {problem}: {view.problem(problem)}."
        with busy("compiling and playing a trial"):
            record = agent.trial(problem, seed=agent.seed)
        watch(record, words)


def page(loaded: LoadedRun, result: Mapping[str, Any], problems: Sequence[int], file: Path) -> None:
    """Write the page: the player, the map of encodings, visits, and the returns of `result`."""
    env, config, view = loaded.env, loaded.config, view_of(loaded.env)
    insights = InsightProgram(loaded.agent)(
        loaded.trained_agent().params, _chosen(loaded, problems), loaded.seeds[0]
    )
    about = page_data.About(
        result["checkpoint"], config, loaded.seeds, [], result, {}, versions(), git_state()
    )
    counts = page_trials.visits(env, view, insights)
    data = page_data.of_run(about) | page_data.of_trials(env, insights)
    data |= {
        "totals": [("trained trials", f"{loaded.trials:,}")],
        "state": "evaluated",
        "command": result["command"],
        "problems": table(loaded, result, problems),
        "visits": page_data.of_visits(view, [{"env_steps": 0, "counts": counts}])
        if counts is not None
        else None,
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    report_page.write(file, [data])


def table(
    loaded: LoadedRun, result: Mapping[str, Any], problems: Sequence[int]
) -> list[dict[str, Any]]:
    """Rows of problems, all of them by default."""
    view = view_of(loaded.env)
    return [
        {"split": split, "words": view.problem(row["problem"]), **row}
        for split in split_names(loaded.env)
        for row in result["splits"][split]["problems"]
        if not problems or row["problem"] in problems
    ]


def as_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """The table as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _chosen(loaded: LoadedRun, problems: Sequence[int]) -> Chosen:
    trial, env = loaded.config.trial, loaded.env
    shape = trial.exploitation_episodes, trial.redraw_instruction
    if not problems:
        return choose(env, TRIALS, *shape)
    each = max(1, TRIALS // len(problems))
    return chosen_trials(env, problems[: 2 * TRIALS], each, *shape)
