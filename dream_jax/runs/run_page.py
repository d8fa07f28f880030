"""report.html of a run while it trains: rewritten at evaluations, at a bounded cost."""

import functools
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from dream_jax import problems
from dream_jax.config import Config
from dream_jax.drawing.view import WorldView, view_of
from dream_jax.oracles.bounds import Bounds
from dream_jax.runs import page_data, page_trials, provenance
from dream_jax.runs.agent_programs import AgentPrograms
from dream_jax.runs.folder import RUN_FILE
from dream_jax.runs.insight import Chosen, InsightProgram, Insights, choose, ids
from dream_jax.runs.storage import lines_of
from dream_jax.runs.trial_record import make_record
from dream_jax.viz import film, report_page

PAGE, VISITS = "report.html", "visits.jsonl"
TRIALS = 20  # on the page
SHARE = 0.02  # of a run's seconds that the page may take before the run has finished
_FIRST_COST_S = {True: 8.0, False: 0.5}  # guesses, until it is known; compiling takes longest


class RunPage:
    """Writes the page of a run. A failure to draw ends no run: it is one line of progress.

    At an evaluation the page is rewritten if that keeps its cost within `SHARE` of the run's time.
    Trials are rolled anew under the same condition, so short runs have them at their end.
    """

    def __init__(self, programs: AgentPrograms, out: Path, log: Callable[[str], None]):
        """
        Args:
          programs: of the run's agent.
          out: the folder of the run, which has its config.json.
          log: is called with a line about a failure.
        """
        self._programs, self._out, self._log = programs, out, log
        self._insight = InsightProgram(programs.agent)
        # Seconds in all, and of the newest time, by whether trials were rolled.
        self._spent_s, self._cost_s = {True: 0.0, False: 0.0}, dict(_FIRST_COST_S)
        self._trials: Mapping[str, Any] = {}
        self._visits: list[dict[str, Any]] | None = None  # None: not read yet

    @functools.cached_property
    def _chosen(self) -> Chosen:
        trial = self._programs.config.trial
        episodes, redraw = trial.exploitation_episodes, trial.redraw_instruction
        return choose(self._programs.env, TRIALS, episodes, redraw)

    @functools.cached_property
    def _view(self) -> WorldView:
        return view_of(self._programs.env)

    def evaluated(self, run: Any) -> None:
        """After an evaluation. run: the `loop.Run`."""
        # Half for each, or the numbers would leave nothing for the trials.
        allowed_s = SHARE / 2 * run.rows[-1]["wall_s"]
        if self._spent_s[True] + self._cost_s[True] <= allowed_s:
            self._timed(run, trials=True)
        elif self._spent_s[False] + self._cost_s[False] <= allowed_s:
            self._timed(run, trials=False)

    def stopped(self, run: Any) -> None:
        """When training stops before its end: the page with the newest numbers."""
        self._timed(run, trials=False)

    def finished(self, run: Any, summary: Mapping[str, Any]) -> None:
        """At the end: the page with the newest trials, and a GIF of each seed that did not fail."""
        self._timed(run, True, summary)
        for seed in _live(run):
            try:
                self._film(run, seed)
            except OSError:
                raise
            except Exception as error:  # a drawing of the user's
                self._fail(f"the GIF of seed {seed}", error)

    def _timed(self, run: Any, trials: bool, summary: Mapping[str, Any] | None = None) -> None:
        began = time.perf_counter()
        try:
            if trials:
                self._roll(run)
            self._write(run, summary)
        except Exception as error:  # never a reason not to train
            self._fail(PAGE, error)
        self._cost_s[trials] = time.perf_counter() - began
        self._spent_s[trials] += self._cost_s[trials]

    def _fail(self, what: str, error: Exception) -> None:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        self._log(f"{what} was not written: {reason}")

    def _roll(self, run: Any) -> None:
        insights = self._insights(run, _live(run)[0])
        self._trials = page_data.of_trials(self._programs.env, insights)
        counts = page_trials.visits(self._programs.env, self._view, insights)
        if counts is not None:
            self._note_visits(run, counts)

    def _insights(self, run: Any, seed: int) -> Insights:
        return self._insight(run.agent(seed).params, self._chosen, seed)

    def _note_visits(self, run: Any, counts: list[list[int]]) -> None:
        row = run.rows[-1]
        history = self._history(row["trials"])
        history.append({"trials": row["trials"], "env_steps": row["env_steps"], "counts": counts})
        lines = "".join(json.dumps(one) + "\n" for one in history)
        (self._out / VISITS).write_text(lines)

    def _history(self, trials: int) -> list[dict[str, Any]]:
        """What earlier evaluations noted, also before an interruption."""
        if self._visits is None:
            path = self._out / VISITS
            lines = path.read_text().splitlines() if path.exists() else []
            self._visits = [json.loads(line) for line in lines]
        self._visits = [one for one in self._visits if one["trials"] < trials]
        return self._visits

    def _write(self, run: Any, summary: Mapping[str, Any] | None) -> None:
        about = about_run(self._out, run.config, run.seeds, run.rows, summary, run.bounds)
        data = {**page_data.of_run(about), **self._trials}
        data["visits"] = page_data.of_visits(self._view, self._visits or [])
        report_page.write(self._out / PAGE, [data])

    def _film(self, run: Any, seed: int) -> None:
        """The GIF of a held-out trial. Each seed shows another problem."""
        chosen, env = self._chosen, self._programs.env
        there = chosen.problem.tolist()
        tests, trained = (set(ids(env, split)) for split in ("test", "train"))
        shown = [problem for problem in dict.fromkeys(there) if problem in tests]
        problem = shown[seed % len(shown)]
        # The last of its instructions: in cooking it names two ingredients.
        place = max(i for i, other in enumerate(there) if other == problem)
        insights = self._insights(run, seed)
        known = problems.is_listed(env) and problem in trained
        record = make_record(
            env,
            problem,
            jax.tree.map(lambda x: x[place], chosen.instruction),
            insights.rolled(place, known),
            insights.information_names[known],
        )
        folder = self._out / "videos"
        folder.mkdir(parents=True, exist_ok=True)
        film.save(folder / f"problem{record.problem}_seed{seed}.gif", record.frames(0))


def _live(run: Any) -> list[int]:
    """The seeds that have not failed."""
    return [seed for seed in run.seeds if seed not in run.failed]


def about_run(
    out: Path,
    config: Config,
    seeds: Sequence[int],
    rows: Sequence[Mapping[str, Any]],
    summary: Mapping[str, Any] | None,
    bounds: Mapping[str, Bounds],
) -> page_data.About:
    """What the page says about the run in a folder, which has its config.json."""
    saved = provenance.read_json(out / RUN_FILE)
    return page_data.About(
        page_data.folder_name(out),
        config,
        seeds,
        rows,
        summary,
        lines_of(bounds),
        saved["versions"],
        saved.get("git"),
    )
