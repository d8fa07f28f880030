"""`python -m experiments.reference [--check]`: writes docs/settings.md, the reference of settings.

The page lists every field of a config with its type, its default and the comment beside it in
dream_jax/config.py. It also lists the settings that each preset changes on each benchmark. With
`--check` nothing is written, and the exit status is 1 if the page is not up to date.
"""

import ast
import dataclasses
import inspect
import sys
import textwrap
from pathlib import Path
from typing import Any

from dream_jax import config as configs
from dream_jax import envs, presets
from dream_jax.config import Config
from experiments.cli import process as common
from experiments.cli.command_line import CommandLine

PAGE = Path(__file__).parents[1] / "docs" / "settings.md"
_HEAD = """# Look up a setting

After this page you know every setting, its default, and what each preset changes. Set any of them
with `--config.GROUP.FIELD=VALUE`, or in Python with `overrides={"GROUP.FIELD": VALUE}`.

`python -m experiments.reference` writes this page from `dream_jax/config.py` and the presets.
"""


def page() -> str:
    """The whole page."""
    lines = [_HEAD, "## Which settings are there?", ""]
    for group in dataclasses.fields(Config):
        value = getattr(Config(), group.name)
        if dataclasses.is_dataclass(value):
            lines += [f"### `{group.name}`", "", *_table(type(value), f"{group.name}."), ""]
    lines += ["## What does each preset change?", "", _PRESETS]
    for name in presets.names():
        lines += [f"### `{name}`", "", *_preset(name), ""]
    return "\n".join(lines).rstrip() + "\n"


_PRESETS = """The rows of `dream` are settings that differ from the defaults above. Those of other
presets differ from `dream` on the same benchmark.
"""


def comments(kind: type) -> dict[str, str]:
    """The comment of each field: the lines above it, and the one beside it."""
    source = textwrap.dedent(inspect.getsource(kind))
    lines = source.splitlines()
    (tree,) = ast.parse(source).body
    assert isinstance(tree, ast.ClassDef)
    found = {}
    for node in tree.body:
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        above: list[str] = []
        row = node.lineno - 2
        while row >= 0 and lines[row].strip().startswith("#"):
            above.insert(0, lines[row].strip().lstrip("# "))
            row -= 1
        beside = lines[(node.end_lineno or 1) - 1][node.end_col_offset or 0 :].strip()
        words = [*above, beside.lstrip("# ")] if beside.startswith("#") else above
        found[node.target.id] = " ".join(words)
    return found


def _table(kind: Any, prefix: str) -> list[str]:
    about = comments(kind)
    rows = ["| setting | type | default | meaning |", "|---|---|---|---|"]
    for field in dataclasses.fields(kind):
        type_name = (
            field.type if isinstance(field.type, str) else inspect.formatannotation(field.type)
        )
        type_name = type_name.replace("typing.", "")
        default = getattr(kind(), field.name)
        cells = [f"`{prefix}{field.name}`", f"`{type_name}`", f"`{default!r}`", about[field.name]]
        rows.append("| " + " | ".join(_cell(cell) for cell in cells) + " |")
    return rows


def _preset(name: str) -> list[str]:
    changes: dict[tuple[str, str], list[str]] = {}
    for benchmark in envs.BENCHMARKS:
        config = presets.get(benchmark, name)
        base = Config() if name == presets.names()[0] else presets.get(benchmark)
        for path, (_, now) in configs.differences(base, config).items():
            if path not in ("preset", "benchmark"):
                changes.setdefault((path, repr(now)), []).append(benchmark)
    rows = ["| setting | value | on |", "|---|---|---|"]
    for (path, value), benchmarks in changes.items():
        where = "all" if len(benchmarks) == len(envs.BENCHMARKS) else ", ".join(benchmarks)
        rows.append(f"| `{path}` | {_cell(f'`{value}`')} | {where} |")
    return rows if changes else ["It changes nothing."]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def run(argv: list[str]) -> int:
    line = CommandLine("experiments.reference", f"\n{__doc__}")
    line.switch("check", "write nothing; exit with status 1 if the page is not up to date")
    values = line.read(argv)
    made = page()
    if values.check:
        if PAGE.read_text(encoding="utf-8") == made:
            return 0
        print(f"{PAGE} is not up to date: run python -m experiments.reference", file=sys.stderr)
        return 1
    PAGE.write_text(made, encoding="utf-8")
    print(f"written to {PAGE}")
    return 0


def main(argv: list[str] | None = None) -> int:
    """0 done, 1 the page is not up to date, 2 bad input."""
    given = sys.argv[1:] if argv is None else argv
    return common.exit_status(lambda: run(given), "interrupted")


if __name__ == "__main__":
    sys.exit(main())
