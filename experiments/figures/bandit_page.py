"""`experiments.report` of a bandit's folder: its tables, figures and settings in one HTML file."""

import base64
import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from dream_jax import config as configs
from dream_jax.config import ConfigError
from dream_jax.runs import provenance
from dream_jax.runs.folder import RUN_FILE, refuse_files
from experiments.cli.command_line import CommandLine
from experiments.figures import bandit_tables
from experiments.figures.bandit_config import PRESETS, BanditConfig
from experiments.figures.bandit_tables import Setting

NAME = "report.html"
_MARK = '<meta name="generator" content="dream_jax">'  # as every report of ours
_STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: .5rem 0 1rem; }
th, td { text-align: left; padding: .25rem .8rem .25rem 0; border-bottom: 1px solid #8884; }
img { max-width: 100%; background: white; }
"""
_FIGURES = ("complexity.png", "figure3.png")


class BanditRun(NamedTuple):
    """A run of the bandit, as far as it got."""

    folder: Path
    config: BanditConfig
    record: Mapping[str, Any]  # config.json
    trials: Mapping[Setting, Any]  # [seeds] each
    summary: Mapping[str, Any] | None  # None: it has not ended


def asked(argv: Sequence[str]) -> bool:
    """Whether any folder of a command line holds a run of the bandit."""
    return any(_is_bandit(Path(word)) for word in argv if not word.startswith("-"))


def run(argv: Sequence[str]) -> int:
    """Writes the page. Raises ConfigError, one clear line."""
    line = CommandLine("experiments.report DIR [DIR ...]", f"\n{__doc__}")
    line.text("out", "", "the page; by default DIR/report.html")
    values, rest = line.read_known(argv, anywhere=True)
    line.refuse([word for word in rest if word.startswith("-")])
    others = [word for word in rest if not _is_bandit(Path(word))]
    if others:
        raise ConfigError(f"{others[0]} is no run of the bandit; give it a page of its own")
    if len(rest) > 1 and not values.out:
        raise ConfigError(
            f"{len(rest)} runs are given: say where with --out, for example --out={NAME}"
        )
    out = Path(values.out) if values.out else Path(rest[0]) / NAME
    if out.is_dir():
        raise ConfigError(f"--out={out} is a folder; give a file, for example {out / NAME}")
    refuse_files(out.parent)
    if out.exists() and _MARK not in out.read_text(encoding="utf-8", errors="replace")[:1000]:
        raise ConfigError(f"--out={out} is a file and no report of ours; give another name")
    runs = [read(Path(word)) for word in rest]
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(page(runs), encoding="utf-8")
    print(f"written to {out}")
    return 0


def read(folder: Path) -> BanditRun:
    """The run in a folder. Raises ConfigError if its files are damaged."""
    record = provenance.read_json(folder / RUN_FILE)
    config = provenance.config_of(record, BanditConfig)
    trials = bandit_tables.read_complexity(folder / "complexity.csv", record["seeds"])
    path = folder / "summary.json"
    summary = provenance.read_json(path) if path.exists() else None
    return BanditRun(folder, config, record, trials, summary)


def page(runs: Sequence[BanditRun]) -> str:
    """The whole file."""
    title = html.escape(", ".join(f"{run.config.preset} on the bandit" for run in runs))
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n{_MARK}\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(_section(run) for run in runs)
        + "\n</body>\n</html>\n"
    )


def _section(run: BanditRun) -> str:
    state = "done" if run.summary else "not finished; the same command with --resume goes on"
    lines = [
        f"<h1>{html.escape(str(run.folder))}</h1>",
        f"<p>{run.config.preset}, {len(run.record['seeds'])} seeds: {state}.</p>",
        "<h2>Trials until exploration is optimal</h2>",
        _table([_size(setting, values) for setting, values in sorted(run.trials.items())]),
    ]
    if run.summary:
        lines += ["<h2>Exponents</h2>", _table([_law(fit) for fit in run.summary["exponents"]])]
        starts = run.summary.get("starts") or []
        lines += (
            ["<h2>First values</h2>", _table([_start(row) for row in starts])] if starts else []
        )
    for name in _FIGURES:
        if (run.folder / name).exists():
            data = base64.b64encode((run.folder / name).read_bytes()).decode()
            lines.append(f'<img alt="{name}" src="data:image/png;base64,{data}">')
    preset: Any = PRESETS.get(run.config.preset, BanditConfig())
    here: Any = run.config
    changed = configs.differences(preset, here)
    settings = [
        {"field": path, "here": str(now), "preset": str(was)}
        for path, (was, now) in changed.items()
    ]
    lines += ["<h2>Settings that differ from the preset</h2>"]
    lines += [_table(settings) if settings else "<p>None.</p>"]
    software = [{"software": k, "version": str(v)} for k, v in run.record["versions"].items()]
    return "\n".join([*lines, "<h2>Software and devices</h2>", _table(software)])


def _size(setting: Setting, trials: Any) -> dict[str, str]:
    settled = trials[trials == trials]  # without NaN
    return {
        **{name: str(value) for name, value in setting._asdict().items()},
        "mean": f"{settled.mean():,.1f}" if len(settled) else "",
        "seeds that settled": f"{len(settled)} of {len(trials)}",
    }


def _law(fit: Mapping[str, Any]) -> dict[str, str]:
    known = fit["exponent"] is not None
    interval = "{:.2f} to {:.2f}".format(*fit["ci95"]) if fit["ci95"] else ""
    value = f"{fit['exponent']:.2f}" if known else "too few settled"
    return {"method": fit["method"], "law": fit["law"], "exponent": value, "95%": interval}


def _start(row: Mapping[str, Any]) -> dict[str, str]:
    means = {f"A = {a}": _mean(value) for a, value in row["mean_trials"].items()}
    names = ("method", "step_size", "exploration", "exploitation")
    return {name: str(row[name]) for name in names} | means | {"exponent": _law(row)["exponent"]}


def _mean(value: float | None) -> str:
    return "not all settle" if value is None else f"{value:,.0f}"


def _table(rows: Sequence[Mapping[str, str]]) -> str:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    head = "".join(f"<th>{html.escape(name)}</th>" for name in columns)
    body = "\n".join(
        "<tr>" + "".join(f"<td>{html.escape(row.get(c, ''))}</td>" for c in columns) + "</tr>"
        for row in rows
    )
    return f"<table>\n<tr>{head}</tr>\n{body}\n</table>"


def _is_bandit(folder: Path) -> bool:
    try:
        return "action_counts" in provenance.read_json(folder / RUN_FILE)["config"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
