"""Does a trained DREAM agent use z? Returns with z of the trial, of another problem, and without.

python -m experiments.use_of_z --checkpoint=DIR [--trials=1000] [--json]

Plays the same exploitation episodes four times: with z read from the trial's exploration, from an
exploration of another problem, from no exploration at all, and with z = 0. The returns are
normalised: 0 is the best return without exploration, 1 the optimal return.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dream_jax.agents.dream_policy import DreamPolicy
from dream_jax.config import ConfigError
from dream_jax.envs.splits import split_names
from dream_jax.runs.live_line import busy
from dream_jax.runs.metrics import to_json
from dream_jax.runs.summary import normalised
from experiments import evaluate
from experiments.analyses import use_of_z
from experiments.cli import process
from experiments.cli.command_line import CommandLine


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, 2 bad input, 130 interrupted."""
    given = sys.argv[1:] if argv is None else argv
    return process.exit_status(lambda: run(given), "interrupted; nothing was written")


def run(argv: Sequence[str]) -> int:
    """Prints the table. Raises ConfigError, one clear line."""
    line = CommandLine("experiments.use_of_z", f"\n{__doc__}")
    line.text("checkpoint", None, "the folder of a run (its --out)")
    line.count("trials", 1_000, "trials of each split and seed, at least")
    line.switch("json", "print one JSON object")
    values = line.read(argv)
    if not values.checkpoint:
        raise ConfigError("--checkpoint is missing: the folder of a run, for example runs/cooking")
    process.set_up_jax()
    with busy("compiling and playing trials with other z"):
        found = measure(Path(values.checkpoint), values.trials)
    print(json.dumps(to_json(found)) if values.json else table(found))
    return 0


def measure(folder: Path, trials: int) -> dict[str, Any]:
    """Normalised returns by split, kind of z and seed. Raises ConfigError."""
    loaded = evaluate.load(folder, {})
    if not isinstance(loaded.agent, DreamPolicy):
        name = loaded.config.agent
        raise ConfigError(f"--checkpoint={folder}: agent={name!r} has no z; give a run of DREAM")
    splits: dict[str, Any] = {}
    for split in split_names(loaded.env):
        seeds = use_of_z.returns(loaded.agent, loaded.params, split, trials)
        bounds = loaded.programs.bounds[split]
        splits[split] = {
            kind: {
                "return_per_seed": [one[kind] for one in seeds],
                "normalised_per_seed": [normalised(one[kind], bounds) for one in seeds],
            }
            for kind in use_of_z.UseOfZ._fields
        }
    return {"checkpoint": str(folder), "seeds": loaded.seeds, "splits": splits}


def table(found: dict[str, Any]) -> str:
    lines = [f"{found['checkpoint']}, seeds {', '.join(map(str, found['seeds']))}"]
    for split, kinds in found["splits"].items():
        for kind, part in kinds.items():
            returns = ", ".join(f"{x:.3f}" for x in part["return_per_seed"])
            shares = ", ".join(
                "none" if x is None else f"{x:.3f}" for x in part["normalised_per_seed"]
            )
            lines.append(f"{split:10}  z {kind:10}  return {returns}  normalised {shares}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
