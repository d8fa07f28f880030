"""The page of one or several runs: one HTML file with its scripts and data inside."""

import functools
import json
import os
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

MARK = '<meta name="generator" content="dream_jax">'  # a page of ours
_SCRIPTS = ("dom.js", "chart.js", "player.js", "planes.js", "page.js")
_COUPLING_SCRIPTS = ("dom.js", "chart.js", "coupling.js")


def write(file: Path, runs: Sequence[Mapping[str, Any]]) -> None:
    """Write the page, or replace it. A reader never sees half of it."""
    write_whole(file, render(runs))


def write_whole(file: Path, page: str) -> None:
    """Write a page, or replace it. A reader never sees half of it.

    Names of folders that the locale could not decode are in it byte by byte. UTF-8 decodes them.
    """
    content = page.encode(errors="surrogateescape").decode(errors="replace")
    scratch = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        scratch.write_text(content, encoding="utf-8")
        scratch.replace(file)
    finally:
        scratch.unlink(missing_ok=True)


def render(runs: Sequence[Mapping[str, Any]]) -> str:
    """The whole file. runs: as `runs.page_data` makes them."""
    title = ", ".join(dict.fromkeys(f"{run['preset']} on {run['benchmark']}" for run in runs))
    return _template("page.html.j2").render(
        title=title,
        runs=runs,
        mark=MARK,
        style=_text("style.css"),
        scripts=[_text(name) for name in _SCRIPTS],
        data=as_script({"runs": list(runs)}),
    )


def render_coupling(data: Mapping[str, Any], command: str) -> str:
    """The page of the coupling cycle on the bandit.

    Args:
      data: "actions", and "seeds" as `experiments.figures.coupling` makes them.
      command: that made it.
    """
    return _template("coupling.html.j2").render(
        title="RL2 and DREAM on a bandit",
        actions=data["actions"],
        command=command,
        mark=MARK,
        style=_text("style.css"),
        scripts=[_text(name) for name in _COUPLING_SCRIPTS],
        data=as_script(data),
    )


def as_script(data: Any) -> str:
    """JSON that no text in it can end early, inside a script element.

    Numbers that are not finite must have been replaced: JSON has none.
    """
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def number(value: float | None, digits: int = 3) -> str:
    """A number for people; "none" where it is not known."""
    return "none" if value is None else f"{value:.{digits}f}"


@functools.cache
def _template(name: str) -> Any:
    import jinja2  # here, since importing it takes some 50 ms

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["number"] = number
    return environment.from_string(_text(name))


@functools.cache
def _text(name: str) -> str:
    return (resources.files("dream_jax.viz") / "report" / name).read_text(encoding="utf-8")
