"""Agents that ship with the library, each with a card that says how it was made.

    agent = dream_jax.load("pretrained:cooking")

A card has the command, the seed, the commit and the software of training, the returns that
`evaluate` measures, and the SHA-256 of the agent's file. An agent is loaded only if its file has
this sum. A maintainer adds the agent of a finished run with

    python -m dream_jax.runs.pretrained DIR NAME
"""

import hashlib
import json
import sys
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from dream_jax.config import ConfigError, nearest
from dream_jax.runs import agent_file, page_data, provenance
from dream_jax.runs import load as loading
from dream_jax.runs.folder import RUN_FILE
from dream_jax.runs.load import LoadedRun
from dream_jax.runs.metrics import write_json
from dream_jax.runs.trained_agent import TrainedAgent

PREFIX = "pretrained:"
TRIALS = 100  # of each split, at least, for the returns of a card
LARGEST_BYTES = 1_000_000
_OF_A_MACHINE = ("platform", "cpu_count")


def names() -> list[str]:
    """The agents that there are."""
    return sorted(path.stem for path in _folder().glob("*.json"))


def card(name: str) -> dict[str, Any]:
    """How an agent was made, and its returns. Raises ConfigError if there is no such agent."""
    if name not in names():
        raise ConfigError(f"unknown agent {PREFIX}{name}; {nearest(name, names())}")
    return json.loads((_folder() / f"{name}.json").read_text(encoding="utf-8"))


def load(name: str) -> TrainedAgent:
    """The agent. Raises ConfigError if there is none, or if its file is not that of its card."""
    return load_run(name).trained_agent()


def load_run(name: str, overrides: Mapping[str, Any] | None = None) -> LoadedRun:
    """The agent as a run of one seed, with other settings where there are overrides."""
    about = card(name)
    file = _folder() / f"{name}.npz"
    if not file.is_file() or _checksum(file) != about["sha256"]:
        raise ConfigError(f"{file} is not the file of its card; install dream_jax again")
    return loading.load_agent(file, overrides)


def returns(agent: TrainedAgent) -> dict[str, Any]:
    """The returns of a card: as `evaluate` measures them, without the table of problems."""
    results = agent.evaluate(TRIALS)
    return {
        split: {name: value for name, value in part.items() if name != "problems"}
        for split, part in results.items()
    }


def make(run: Path, name: str, folder: Path) -> None:
    """Write the agent of a finished run's first seed, and its card, into a folder.

    An agent whose file would be larger than `LARGEST_BYTES` is packed. The card has the returns of
    the agent that the file holds.

    Raises ConfigError if the file is too large all the same. It is then deleted.
    """
    record = provenance.read_json(run / RUN_FILE)
    agent = loading.load_run(run).trained_agent()
    file = folder / f"{name}.npz"
    kept = agent.config, agent.params, agent.seed, agent.trained_trials
    for smaller in (False, True):
        agent_file.write(file, *kept, smaller=smaller)
        if file.stat().st_size <= LARGEST_BYTES:
            break
    else:
        size = file.stat().st_size
        file.unlink()
        raise ConfigError(f"{file} would have {size:,} bytes, more than {LARGEST_BYTES:,}")
    agent = loading.load_file(file)
    about = {
        "benchmark": agent.config.benchmark,
        "preset": agent.config.preset,
        "command": page_data.command(agent.config, [agent.seed], f"runs/{agent.config.benchmark}"),
        "seed": agent.seed,
        "git": record["git"],
        "versions": {k: v for k, v in record["versions"].items() if k not in _OF_A_MACHINE},
        "trained_trials": agent.trained_trials,
        "evaluation_trials": TRIALS,
        "parameters": "float16, and 8-bit integers" if smaller else "float32",
        "splits": returns(agent),
        "sha256": _checksum(file),
    }
    write_json(folder / f"{name}.json", about)


def _folder() -> Path:
    return Path(str(resources.files("dream_jax") / "pretrained"))


def _checksum(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


if __name__ == "__main__":
    make(Path(sys.argv[1]), sys.argv[2], _folder())
