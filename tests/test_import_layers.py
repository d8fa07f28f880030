"""Imports go one way, and files stay short: read off the source, nothing is imported."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAX_LINES = 340
MAX_FUNCTION_LINES = 62

# Rooms from the bottom up: each may import those above it in this list, never one beside it.
RANKS: list[set[str]] = [
    {"types", "hidden"},
    {"specs"},
    {"problems"},
    {"config", "drawing", "pretrained"},
    {"validation"},
    {"networks", "losses", "envs", "data", "viz"},
    {"oracles"},
    {"agents", "presets", "bandit", "interop"},
    {"training"},
    {"scaling"},
    {"runs"},
    {"api"},
    {"__init__"},
    {"experiments", "benchmarks"},
]
ALLOWED = {part: set().union(*RANKS[:rank]) for rank, parts in enumerate(RANKS) for part in parts}
# Stands on its own: what it is compared with must not help it.
ALLOWED["torch_baseline"] = {"config"}
# Parts that may import a top-level folder from outside it.
USERS = {"experiments": {"benchmarks"}, "benchmarks": set(), "tests": set()}
TOPS = ("dream_jax", "experiments", "benchmarks")


def sources() -> dict[str, str]:
    """Source by path, for every module of the package, the experiments and the benchmarks."""
    paths = [path for top in TOPS for path in (ROOT / top).rglob("*.py")]
    return {path.relative_to(ROOT).as_posix(): path.read_text() for path in sorted(paths)}


def part_of(path: str) -> str:
    """dream_jax/envs/grids/grid.py -> envs, dream_jax/types.py -> types, experiments/* -> same."""
    parts = path.removesuffix(".py").split("/")
    if parts[0] == "dream_jax" or parts[:2] == ["benchmarks", "torch_baseline"]:
        return parts[1]
    return parts[0]


def imported(source: str) -> set[str]:
    """Dotted names a source imports, wherever in it: `from a import b` gives a.b."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            prefix = "." * node.level + (node.module or "")
            names |= {f"{prefix}.{alias.name}" for alias in node.names}
    return names


def _is_foreign(path: str, name: str) -> bool:
    part, top = part_of(path), name.split(".")[0]
    if part == "torch_baseline" and not name.startswith("benchmarks.torch_baseline"):
        return top in ("benchmarks", "experiments", "tests", "jax", "flax", "optax", "rlax")
    return top in USERS and top != path.split("/")[0] and part not in USERS[top]


def violations(path: str, source: str) -> list[str]:
    part = part_of(path)
    if part not in ALLOWED:
        return [f"{path}: {part} has no layer yet; give it one in this test"]
    found = []
    for name in sorted(imported(source)):
        top, *rest = name.split(".")
        if name.startswith("."):
            found.append(f"{path}: relative import {name}")
        elif _is_foreign(path, name):
            found.append(f"{path}: imports {name}")
        elif top == "dream_jax":
            if rest and rest[0] not in ALLOWED[part] | {part}:
                found.append(f"{path}: {part} may not import {name}")
            if any(x.startswith("_") for x in rest):
                found.append(f"{path}: {name} is private")
    if "rlax" in {name.split(".")[0] for name in imported(source)} and not path.endswith("/td.py"):
        found.append(f"{path}: only losses/td.py imports rlax")
    lines = len(source.splitlines())
    if lines > MAX_LINES:
        found.append(f"{path}: {lines} lines, more than {MAX_LINES}")
    found += [
        f"{path}: {name} has {lines} lines, more than {MAX_FUNCTION_LINES}"
        for name, lines in function_lines(source)
        if lines > MAX_FUNCTION_LINES
    ]
    return found


def function_lines(source: str) -> list[tuple[str, int]]:
    """(name, lines without the docstring) of every function of a source."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef):
            docstring = ast.get_docstring(node, clean=False) or ""
            lines = (node.end_lineno or 0) - node.lineno + 1
            found.append((node.name, lines - len(docstring.splitlines())))
    return found


def test_imports_go_one_way():
    found = [line for path, source in sources().items() for line in violations(path, source)]
    assert not found, "\n".join(found)


def test_rlax_is_imported_in_exactly_one_module():
    users = [
        path
        for path, source in sources().items()
        if "rlax" in {name.split(".")[0] for name in imported(source)}
    ]
    assert users == ["dream_jax/losses/td.py"]


@pytest.mark.parametrize(
    "path, source, problem",
    [
        (
            "dream_jax/envs/grids/bus.py",
            "from dream_jax.agents import dream",
            "envs may not import",
        ),
        ("dream_jax/envs/grids/bus.py", "from dream_jax import training", "envs may not import"),
        ("dream_jax/envs/grids/bus.py", "import dream_jax.losses.td", "envs may not import"),
        (
            "dream_jax/training/trainer.py",
            "from benchmarks import worker",
            "imports benchmarks.worker",
        ),
        ("experiments/bus.py", "from benchmarks import worker", "imports benchmarks.worker"),
        ("benchmarks/worker.py", "from tests import probes", "imports tests.probes"),
        ("benchmarks/torch_baseline/nets.py", "import jax.numpy", "imports jax.numpy"),
        ("benchmarks/torch_baseline/nets.py", "from benchmarks import worker", "imports benchm"),
        ("benchmarks/torch_baseline/nets.py", "from experiments import presets", "imports exp"),
        ("benchmarks/torch_baseline/nets.py", "from dream_jax import training", "may not import"),
        ("dream_jax/types.py", "from dream_jax.config import Config", "types may not import"),
        ("dream_jax/viz/plots.py", "from dream_jax.agents import dream", "viz may not import"),
        ("dream_jax/data/rollout.py", "def f():\n  from dream_jax import envs", "data may not"),
        (
            "dream_jax/training/trainer.py",
            "import experiments.cli.process",
            "imports experiments.cli.process",
        ),
        ("experiments/bus.py", "from tests import helpers", "imports tests.helpers"),
        ("dream_jax/agents/dream.py", "from . import e_rl2", "relative import"),
        ("dream_jax/training/trainer.py", "from dream_jax.data import _index", "is private"),
        ("dream_jax/agents/dream.py", "import rlax", "only losses/td.py imports rlax"),
        ("dream_jax/losses/dream.py", "from rlax import lambda_returns", "only losses/td.py"),
        ("dream_jax/novel.py", "", "novel has no layer yet"),
        ("dream_jax/config.py", "\n" * (MAX_LINES + 1), "341 lines"),
        ("dream_jax/config.py", "def f():\n" + "  x = 1\n" * 62, "f has 63 lines"),
    ],
)
def test_the_check_finds(path, source, problem):
    (line,) = violations(path, source)
    assert problem in line


def test_the_check_accepts_what_is_allowed():
    source = "import jax\nfrom dream_jax.types import Env\nfrom dream_jax.envs import grid\n"
    assert violations("dream_jax/envs/grids/bus.py", source) == []
    assert violations("experiments/bus.py", source + "from dream_jax import training") == []
    assert violations("dream_jax/losses/td.py", "import rlax") == []
    source = "from benchmarks import settings\nfrom dream_jax import training\nimport jax\n"
    assert (
        violations("benchmarks/jax_worker.py", source + "from experiments.cli import flags") == []
    )
    source = "from benchmarks.torch_baseline import envs\nfrom dream_jax.config import Config\n"
    assert violations("benchmarks/torch_baseline/nets.py", source) == []
