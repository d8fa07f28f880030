"""`python -m experiments.report DIR [DIR ...] [--out=FILE]`: runs as one page, report.html.

The page is one file that a browser opens. It plays trials step by step and has learning curves, the
map of encodings, visits of exploration, returns beside the oracles', settings that differ from the
preset, software and devices. Several runs share its charts, and their players show the same trial
side by side. A run that has not finished is shown as far as it got. FILE is DIR/report.html by
default; several runs need it. `--lines` names finished runs of the presets told and never_explores,
which are drawn as lines.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from dream_jax import config as configs
from dream_jax.agents import registry
from dream_jax.config import ConfigError
from dream_jax.drawing.view import view_of
from dream_jax.runs import lines as reference_lines
from dream_jax.runs import page_data, page_trials, provenance
from dream_jax.runs.folder import RUN_FILE, refuse_files
from dream_jax.runs.insight import InsightProgram, choose
from dream_jax.runs.live_line import busy
from dream_jax.runs.load import load_run
from dream_jax.runs.run_page import PAGE, TRIALS, VISITS
from dream_jax.runs.summary import OTHERS
from dream_jax.viz import report_page
from experiments.cli import process as common
from experiments.cli.command_line import CommandLine
from experiments.figures import bandit_page, curves

_BOUNDS = ("optimal", "no_exploration", *OTHERS)


class Run(NamedTuple):
    folder: Path
    config: configs.Config
    record: Mapping[str, Any]  # of config.json
    rows: list[dict[str, Any]]  # of metrics.jsonl
    summary: Mapping[str, Any] | None  # None: it has not ended

    @property
    def seeds(self) -> list[int]:
        return self.record["seeds"]


class Request(NamedTuple):
    runs: list[Run]
    out: Path


def parse(argv: list[str]) -> Request:
    """The request of a command line. Raises ConfigError, one clear line."""
    line = CommandLine("experiments.report DIR [DIR ...]", f"\n{__doc__}")
    line.text("out", "", "the page; by default DIR/report.html")
    line.text("lines", "", "finished runs of told and never_explores, separated by a comma")
    values, rest = line.read_known(argv, anywhere=True)
    line.refuse([word for word in rest if word.startswith("-")])
    if not rest:
        raise ConfigError("no run is given: name folders, for example runs/cooking")
    if len(rest) > 1 and not values.out:
        raise ConfigError(
            f"{len(rest)} runs are given: say where with --out, for example --out={PAGE}"
        )
    runs = [read(Path(word)) for word in rest]
    if values.lines:
        runs = [with_lines(run, values.lines.split(",")) for run in runs]
    return Request(runs, page_file(values.out or str(runs[0].folder / PAGE), "out"))


def page_file(name: str, flag: str) -> Path:
    """The file to write a page to. Raises ConfigError if that is a folder or another's file."""
    file = Path(name)
    if file.is_dir():
        raise ConfigError(f"--{flag}={file} is a folder; give a file, for example {file / PAGE}")
    refuse_files(file.parent)
    if file.exists():
        head = file.read_text(encoding="utf-8", errors="replace")[:1000]
        if report_page.MARK not in head:
            raise ConfigError(f"--{flag}={file} is a file and no report of ours; give another name")
    return file


def read(folder: Path) -> Run:
    """The run in a folder. Raises ConfigError if there is none, or it was never evaluated."""
    try:
        record = provenance.read_json(folder / RUN_FILE)
        config = provenance.config_of(record)
        rows = curves.read_rows(folder / "metrics.jsonl")
        path = folder / "summary.json"
        summary = provenance.read_json(path) if path.exists() else None
        if not rows:
            raise ConfigError("it has not been evaluated yet")
        if not all(isinstance(record[name], kind) for name, kind in _RECORD.items()):
            raise ValueError(f"its {RUN_FILE} is not one of ours")
        return Run(folder, config, record, rows, summary)
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        what = f"{folder} is no run that can be reported ({reason})"
        raise ConfigError(f"{what}; give the --out of one, for example runs/cooking") from error


def with_lines(run: Run, folders: Sequence[str]) -> Run:
    """The run with the lines of finished runs. Raises ConfigError if they do not fit it."""
    if run.summary is None:
        raise ConfigError(f"--lines: {run.folder} has not finished; name them where it trains")
    lines = reference_lines.read(folders, run.config)
    return run._replace(summary=reference_lines.in_summary(run.summary, lines))


_RECORD = {"seeds": list, "versions": dict}


def data(run: Run) -> dict[str, Any]:
    """A run as data for the page. Without a checkpoint that can be read it has no trials."""
    made = page_data.of_run(about(run))
    try:
        return made | trials(run)
    except ConfigError as error:
        return made | {"note": f"No trials are shown: {error}"}


def about(run: Run) -> page_data.About:
    known: dict[str, dict[str, float]] = {}
    for split, part in (run.summary or {"splits": {}})["splits"].items():
        known[split] = {name: part[name] for name in _BOUNDS if part.get(name) is not None}
    return page_data.About(
        page_data.folder_name(run.folder),
        run.config,
        run.seeds,
        run.rows,
        run.summary,
        known or {split: {} for split in ("train", "validation", "test")},
        run.record["versions"],
        run.record.get("git"),
    )


def trials(run: Run) -> dict[str, Any]:
    """Trials of the first seed, and visits. Raises ConfigError if there is no such checkpoint."""
    if registry.find(run.config.agent).analytic:
        raise ConfigError(f"{run.config.agent} is computed, it does not act")
    loaded = load_run(run.folder)
    trial = run.config.trial
    chosen = choose(loaded.env, TRIALS, trial.exploitation_episodes, trial.redraw_instruction)
    insights = InsightProgram(loaded.agent)(loaded.trained_agent().params, chosen, run.seeds[0])
    return page_data.of_trials(loaded.env, insights) | {
        "visits": page_data.of_visits(view_of(loaded.env), _visits(run, loaded.env, insights))
    }


def _visits(run: Run, env: Any, insights: Any) -> list[dict[str, Any]]:
    """What the run noted while it trained, or else the visits of its newest checkpoint."""
    path = run.folder / VISITS
    if path.exists():
        return [json.loads(line) for line in path.read_text().splitlines()]
    counts = page_trials.visits(env, view_of(env), insights)
    return [] if counts is None else [{"env_steps": run.rows[-1]["env_steps"], "counts": counts}]


def run(request: Request) -> int:
    common.set_up_jax()
    request.out.parent.mkdir(parents=True, exist_ok=True)
    made = []
    for k, each in enumerate(request.runs, 1):
        with busy(f"compiling and playing trials of run {k} of {len(request.runs)}"):
            made.append(data(each))
    report_page.write(request.out, made)
    print(f"written to {request.out}")
    return 0


def main(argv: list[str] | None = None) -> int:
    """0 done, 1 a file cannot be written, 2 bad input."""
    given = sys.argv[1:] if argv is None else argv
    # The bandit's runs have tables and figures of their own.
    work = bandit_page.run if bandit_page.asked(given) else (lambda words: run(parse(words)))
    return common.exit_status(lambda: work(given), "interrupted")


if __name__ == "__main__":
    sys.exit(main())
