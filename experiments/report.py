"""`python -m experiments.report DIR [DIR ...] [--out=FILE]`: runs as one page, report.html.

The page is one file that a browser opens. It has a table of the runs with their returns beside the
oracles', learning curves, the settings that differ from the preset, software and devices, and the
videos. Runs of the same benchmark share a picture. A run that has not finished is shown as far as
it got. FILE is DIR/report.html by default; several runs need it.
"""

import html
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from dream_jax import config as configs
from dream_jax import presets
from dream_jax.config import ConfigError
from dream_jax.runs import provenance
from dream_jax.runs.folder import RUN_FILE, refuse_files
from dream_jax.viz.page import picture, written
from experiments.cli import process as common
from experiments.cli.command_line import CommandLine
from experiments.figures import bandit_page
from experiments.figures import curves as reproduce_report

NAME = "report.html"
_MARK = '<meta name="generator" content="dream_jax">'  # marks a report of ours
_STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: .5rem 0 1rem; }
th, td { text-align: left; padding: .25rem .8rem .25rem 0; border-bottom: 1px solid #8884; }
td { font-variant-numeric: tabular-nums; }
img { max-width: 100%; background: white; }
"""


class Run(NamedTuple):
    folder: Path
    config: configs.Config
    seeds: list[int]
    versions: Mapping[str, Any]
    rows: list[dict[str, Any]]  # of metrics.jsonl
    summary: Mapping[str, Any] | None  # None: it has not ended


class Request(NamedTuple):
    runs: list[Run]
    out: Path


def parse(argv: list[str]) -> Request:
    """The request of a command line. Raises ConfigError, one clear line."""
    line = CommandLine("experiments.report DIR [DIR ...]", f"\n{__doc__}")
    line.text("out", "", "the page; by default DIR/report.html")
    values, rest = line.read_known(argv, anywhere=True)
    line.refuse([word for word in rest if word.startswith("-")])
    if not rest:
        raise ConfigError("no run is given: name folders, for example runs/cooking")
    if len(rest) > 1 and not values.out:
        raise ConfigError(
            f"{len(rest)} runs are given: say where with --out, for example --out={NAME}"
        )
    runs = [read(Path(word)) for word in rest]
    out = Path(values.out) if values.out else runs[0].folder / NAME
    if out.is_dir():
        raise ConfigError(f"--out={out} is a folder; give a file, for example {out / NAME}")
    refuse_files(out.parent)
    if out.exists() and _MARK not in out.read_text(encoding="utf-8", errors="replace")[:1000]:
        raise ConfigError(f"--out={out} is a file and no report of ours; give another name")
    return Request(runs, out)


def read(folder: Path) -> Run:
    """The run in a folder. Raises ConfigError if there is none, or it was never evaluated."""
    try:
        record = provenance.read_json(folder / RUN_FILE)
        config = provenance.config_of(record)
        rows = reproduce_report.read_rows(folder / "metrics.jsonl")
        path = folder / "summary.json"
        summary = provenance.read_json(path) if path.exists() else None
        if not rows:
            raise ConfigError("it has not been evaluated yet")
        return Run(folder, config, record["seeds"], record["versions"], rows, summary)
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        what = f"{folder} is no run that can be reported ({reason})"
        raise ConfigError(f"{what}; give the --out of one, for example runs/cooking") from error


def page(runs: Sequence[Run]) -> str:
    """The whole file."""
    benchmarks = dict.fromkeys(run.config.benchmark for run in runs)
    parts = [_section(name, [r for r in runs if r.config.benchmark == name]) for name in benchmarks]
    title = html.escape(", ".join(f"{run.config.preset} on {run.config.benchmark}" for run in runs))
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n{_MARK}\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body>\n</html>\n"
    )


def _section(benchmark: str, runs: Sequence[Run]) -> str:
    lines = [f"<h1>{html.escape(benchmark)}</h1>", _table([_line(run) for run in runs])]
    lines.append(picture(_curves(benchmark, runs), "image/png", f"learning curves on {benchmark}"))
    lines += [_details(run) for run in runs]
    return "\n".join(lines)


def _name(run: Run) -> str:
    """The run's folder as text, also where the locale's encoding could not decode it."""
    return os.fsencode(run.folder).decode(errors="replace")


def _line(run: Run) -> dict[str, str]:
    """A run's row of the table."""
    last = run.rows[-len(run.seeds) :]
    total = run.config.training.trials
    row = {
        "run": _name(run),
        "preset": run.config.preset,
        "seeds": str(len(run.seeds)),
        "state": "done" if run.summary else f"at {last[-1]['trials']:,} of {total:,} trials",
        "environment steps": f"{sum(r['env_steps'] for r in last) / len(last):,.0f}",
        "seconds": f"{(run.summary or last[-1])['wall_s']:,.0f}",
    }
    if run.summary is None:
        for split in ("train", "test"):
            row[f"{split} return, per seed"] = _numbers([r.get(f"{split}_return") for r in last])
        return row
    for split, part in run.summary["splits"].items():
        row[f"{split} return, per seed"] = _numbers(part["return_per_seed"])
        row[f"{split}, normalised"] = _numbers(part["normalised_per_seed"])
        row[f"{split}: optimal, no exploration"] = _numbers(
            [part["optimal"], part["no_exploration"]]
        )
    row["seconds to 0.95"] = _numbers(run.summary["time_to_95_s"], "{:,.0f}", "never")
    steps = run.summary.get("env_steps_to_95")  # runs of before have no such number
    if steps is not None:
        row["environment steps to 0.95"] = _numbers(steps, "{:,.0f}", "never")
    return row


def _details(run: Run) -> str:
    """The settings, software and devices of a run, its newest losses and its videos."""
    try:
        base = presets.get(run.config.benchmark, run.config.preset)
        differing = configs.differences(base, run.config)
    except ConfigError:  # a preset of another version, or a problem that is not found from here
        differing = None
    changed = [
        {"field": path, "here": str(now), "preset": str(was)}
        for path, (was, now) in (differing or {}).items()
    ]
    losses = [
        {"seed": str(row["seed"])} | {k: f"{v:.4g}" for k, v in row.items() if _is_loss(k, v)}
        for row in run.rows[-len(run.seeds) :]
    ]
    software = [{"software": k, "version": str(v)} for k, v in run.versions.items()]
    lines = [f"<h2>{html.escape(_name(run))}</h2>"]
    if changed:
        lines += ["<h3>Settings that differ from the preset</h3>", _table(changed)]
    elif differing is None:
        lines.append("<p>This preset is not known here, so settings were not compared with it.</p>")
    else:
        lines.append("<p>All settings are the preset's.</p>")
    lines += ["<h3>Losses at the last evaluation</h3>", _table(losses)] if losses else []
    for path in sorted((run.folder / "videos").glob("*.gif")):
        shows = f"a trial, exploration and then exploitation: {path.name}"
        video = picture(path.read_bytes(), "image/gif", shows)
        lines += [f"<h3>{html.escape(path.stem)}</h3>", video]
    lines += ["<details><summary>Software and devices</summary>", _table(software), "</details>"]
    return "\n".join(lines)


def _is_loss(name: str, value: Any) -> bool:
    return name.startswith("loss_") and value is not None


def _numbers(values: Iterable[float | None], form: str = "{:.3f}", none: str = "none") -> str:
    return ", ".join(none if value is None else form.format(value) for value in values)


def _table(rows: Sequence[Mapping[str, str]]) -> str:
    """A table with the columns of all rows, in the order of their first appearance."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    head = "".join(f"<th>{html.escape(name)}</th>" for name in columns)
    body = "\n".join(
        "<tr>" + "".join(f"<td>{html.escape(row.get(c, ''))}</td>" for c in columns) + "</tr>"
        for row in rows
    )
    return f'<div class="wide"><table>\n<tr>{head}</tr>\n{body}\n</table></div>'


def _curves(benchmark: str, runs: Sequence[Run]) -> bytes:
    """A PNG: test return over environment steps and over seconds, mean and 1 sd over seeds."""
    from matplotlib.figure import Figure  # heavy, and wanted only here

    figure = Figure(figsize=(10, 4), dpi=130, layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for axes, x_name, label in (
        (left, "env_steps", "environment steps"),
        (right, "wall_s", "seconds"),
    ):
        for run in runs:
            x, returns = reproduce_report.curve(run.rows, "test_return", x_name)
            reproduce_report.plot_mean(axes, x, returns, _name(run))
        for name, style in (("optimal", "-"), ("no_exploration", ":")):
            known = [run.summary["splits"]["test"][name] for run in runs if run.summary]
            if known and known[0] is not None:
                axes.axhline(known[0], color="#666666", lw=1, ls=style, label=name)
        axes.set_xlabel(label)
        axes.grid(True, color="#e6e6e6")
    left.set_ylabel(f"return on {benchmark}, test")
    handles, labels = left.get_legend_handles_labels()
    columns = 2 if len(labels) > 3 else len(labels)
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False)
    return written(lambda file: figure.savefig(file, format="png"))


def run(request: Request) -> int:
    request.out.parent.mkdir(parents=True, exist_ok=True)
    request.out.write_text(page(request.runs), encoding="utf-8")
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
