"""The code in README and docs: what runs each block, at which short size, or why nothing does.

`python -m tests.docs.blocks` lists every block that a test does not run, with the reason.
"""

import importlib.util
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from dream_jax import envs

ROOT = Path(__file__).parents[2]
HISTORY = {"lab_notebook.md"}  # what was run then, with the flags of then
PAGES = sorted(
    page for page in [*(ROOT / "docs").glob("*.md"), *ROOT.glob("*.md")] if page.name not in HISTORY
)

_WHEEL = "tests/test_wheel.py builds a wheel and runs it from an empty folder"
_TRAINER = (
    "needs somebody else's trainer; tests/examples/test_examples.py calls it where that is"
    " installed, and purejaxrl's example with a stand-in"
)
# A block or a command that begins like this is not run by tests/docs/test_blocks.py.
NOT_RUN = {
    "python3 -m venv": "makes an environment; .ci/run runs the README's command",
    ".venv/bin/pip install": "installs packages; .ci/run does the same",
    "pip install": "installs packages; .ci/run installs the extras dev and docs",
    "pip wheel": _WHEEL,
    "fresh/bin/pip install": _WHEEL,
    "PYTHON=$PWD/fresh": _WHEEL,
    'cd "$(mktemp -d)"': _WHEEL,
    "$PYTHON -m experiments.map": _WHEEL,
    "apt-get install": "installs packages of the system, as root",
    ".venv/bin/python -m pytest": "these tests; .ci/run runs the README's command",
    ".ci/docs": "builds the site; .ci/run does",
    "#SBATCH": "a line for Slurm",
    ".ci/slurm": "needs root and Slurm; tests/experiments/sweeps/test_clusters.py runs it",
    "python -m tests.experiments.sweeps.on_a_cluster": "needs Ray;"
    " tests/experiments/sweeps/test_clusters.py runs it",
    "[ $? -eq 75 ]": "needs Slurm; tests/runs/test_signals.py has the exit status 75",
    "python -m benchmarks.soak": "takes hours; tests/benchmarks/test_soak.py has a short one",
    "scontrol": "a command of Slurm",
    "python -m experiments.results --run=": "trains for minutes; tests/experiments/test_results.py"
    " trains a small one",
    "python -m experiments.evaluate --checkpoint=runs/sign --env=miniworld_sign": "needs OpenGL;"
    " tests/experiments/test_evaluate_command.py plays in a stand-in of Miniworld",
    "python -m benchmarks.throughput": "takes minutes; tests/benchmarks/test_throughput.py runs it",
    "python -m benchmarks.sign_parity": "tests/benchmarks/test_benchmarks.py runs it",
    "python -m benchmarks.render": "tests/benchmarks/test_benchmarks.py runs it",
    "python -m experiments.evaluate --pretrained=sign --page": "compiles for minutes;"
    " tests/browser/test_page.py looks at the page",
    "python -m examples.rejax_bus": _TRAINER,
    "python -m examples.sb3_bus": _TRAINER,
    "python -m examples.purejaxrl_trials": _TRAINER,
    "@inproceedings": "a reference, no code",
    "import time\nimport dream_jax as dj\nfrom IPython.display": "tests/test_notebook.py runs it in"
    " a notebook",
}
# What a block that begins like this imports, and cannot run without.
NEEDS = {
    "import gymnasium\n": "gymnasium",
    "from dream_jax.interop import gymnax_trials": "gymnax",
}
# (text, shorter text): in commands and in Python.
SHORT = (
    ("experiments.BENCHMARK --config=PRESET --out=DIR", "experiments.map --out=runs/DIR"),
    ("--config.training.trials=153600", "--config.training.trials=80"),
    ("experiments.sign --config=dream --seeds=3", "experiments.sign --config=dream"),
    ("--seeds=64", "--seeds=1"),
    ("--seeds=5", "--seeds=2"),
    ("--seeds=3", "--seeds=2"),
    ("--trials=1000", "--trials=8"),
    ("--trials=100", "--trials=8"),
    ("--samples=8", "--samples=1"),
    ("--grid.optimizer.learning_rate=3e-4,1e-3", "--grid.optimizer.learning_rate=3e-4"),
    ("--figure=all", "--figure=3"),
    ("--kills=50", "--kills=1"),
    ("--cases=2000", "--cases=20"),
    ('"map", preset="dream", seeds=2, overrides', '"map", smoke=True, seeds=2, overrides'),
    ('{"training.trials": 25_600}', '{"training.trials": 32}'),
    ('"map", on_evaluation', '"map", smoke=True, on_evaluation'),
    ("event.trials < 10_000", "event.trials < 32"),
    ("1024", "8"),
    ('presets.get("map", "dream")', 'presets.smoke(dj.presets.get("map", "dream"))'),
)
# Flags that make a command short, by the start of its module's name.
FLAGS = {
    "experiments.evaluate": "--trials=8",
    "experiments.results": "--check",
    "experiments.check": "--quick --steps=64",
    # Pictures are drawn slowly by programs that compile fast, as those of tests do.
    "experiments.sign": "--config.env.horizon=4 --config.training.trials=16"
    " --config.training.evaluation_trials=3 --config.training.final_evaluation_trials=3",
}
# Modules that take `--smoke`.
TRAINING = {
    f"experiments.{name}" for name in (*envs.ENVIRONMENTS, "own_problem", "bandit", "sweep")
}
TRAINING.add("experiments.reproduce")
_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
_VARIABLE = re.compile(r"[A-Z_]+=")
_SAVED = re.compile(r"[Ss]ave (?:this|it) as\s+`(\w+\.py)`:\s*$")


class Block(NamedTuple):
    """A fenced block of a page."""

    page: str
    line: int  # of its first line of code
    language: str  # "": commands
    text: str
    saved_as: str  # the file that the page says to save it as, or ""

    @property
    def name(self) -> str:
        return f"{self.page}:{self.line}"


def of_page(page: Path) -> list[Block]:
    """The blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in _FENCED.finditer(text):
        saved = _SAVED.search(text[: match.start()].rstrip())
        line = text.count("\n", 0, match.start()) + 2
        name = str(page.relative_to(ROOT))
        found.append(Block(name, line, match[1], match[2], saved[1] if saved else ""))
    return found


def all_blocks() -> Iterator[Block]:
    for page in PAGES:
        yield from of_page(page)


def commands(block: Block) -> list[str]:
    """The commands of a block without language, as they are written."""
    lines = block.text.replace("\\\n", " ").splitlines()
    kept = (part.strip() for line in lines for part in line.split(" && "))
    return [part for part in kept if part]


def pieces(block: Block) -> list[str]:
    """What is run, or has a reason not to be: commands, or the block as a whole."""
    return [block.text] if block.language else commands(block)


def reason(piece: str) -> str | None:
    """Why a piece is not run; None: it is."""
    for start, package in NEEDS.items():
        if piece.startswith(start) and importlib.util.find_spec(package) is None:
            return f"needs {package}, which is not installed here"
    return next((why for start, why in NOT_RUN.items() if piece.startswith(start)), None)


def shortened(text: str) -> str:
    """Code at a size for tests."""
    for full, short in SHORT:
        text = text.replace(full, short)
    return text


def words(command: str) -> tuple[str, list[str]]:
    """The module of a `python -m MODULE ...` and its arguments, short, with those in brackets."""
    plain = re.sub(r"[\[\]]", " ", shortened(command))
    found = shlex.split(plain.removeprefix("srun ").replace(".venv/bin/python", "python"))
    while found and _VARIABLE.match(found[0]):  # XLA reads its flags once in a process
        del found[0]
    if found[:2] != ["python", "-m"]:
        raise ValueError(f"{command!r} is no `python -m`; run it, or give a reason in NOT_RUN")
    module, rest = found[2], found[3:]
    more = FLAGS.get(module, "").split() if "--list" not in rest else []
    given = {word.partition("=")[0] for word in rest}
    if module in TRAINING and ("--resume" not in given or "--config" in given):
        more += ["--smoke"]  # a run that is resumed has its own settings
    end = rest.index(">") if ">" in rest else len(rest)
    return module, rest[:end] + [w for w in more if w.partition("=")[0] not in given] + rest[end:]


def main() -> None:
    blocks = list(all_blocks())
    print(f"{len(blocks)} blocks on {len({block.page for block in blocks})} pages. Not run:")
    for block in blocks:
        for piece in pieces(block):
            why = reason(piece)
            if why:
                print(f"{block.name}: {piece.splitlines()[0][:60]}: {why}")


if __name__ == "__main__":
    main()
