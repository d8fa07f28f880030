"""Does a trained DREAM agent use z? Returns with z of the trial, of another problem, and without.

python -m experiments.use_of_z --checkpoint=DIR | --pretrained=NAME [--trials=1000] [--record]

Plays the same exploitation episodes four times: with z read from the trial's exploration, from an
exploration of another problem, from no exploration at all, and with z = 0. The returns are
normalised: 0 is the best return without exploration, 1 the optimal return. `--record` keeps them in
docs/data for the tables of docs/results.md.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from dream_jax import config as configs
from dream_jax.agents.dream_policy import DreamPolicy
from dream_jax.config import ConfigError
from dream_jax.envs.splits import split_names
from dream_jax.runs import pretrained, provenance
from dream_jax.runs.folder import saved_run
from dream_jax.runs.live_line import busy
from dream_jax.runs.load import LoadedRun
from dream_jax.runs.metrics import to_json, versions
from dream_jax.runs.summary import normalised
from experiments import evaluate
from experiments.analyses import use_of_z
from experiments.cli import process, which_agent
from experiments.cli.command_line import CommandLine
from experiments.figures import records, studies
from experiments.figures.listed_runs import Listed


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, 2 bad input, 130 interrupted."""
    given = sys.argv[1:] if argv is None else argv
    return process.exit_status(lambda: run(given), "interrupted; nothing was written")


class Request(NamedTuple):
    folder: Path | None  # of a run
    pretrained: str  # the name of an agent that ships, where there is no folder
    trials: int
    as_json: bool
    record: bool
    data: Path  # where records are

    @property
    def agent(self) -> str:
        return str(self.folder or f"{pretrained.PREFIX}{self.pretrained}")


def parse(argv: Sequence[str]) -> Request:
    """Raises ConfigError, one clear line."""
    line = CommandLine("experiments.use_of_z", f"\n{__doc__}")
    which_agent.define(line)
    line.count("trials", 1_000, "trials of each split and seed, at least")
    line.switch("json", "print one JSON object")
    line.switch("record", "keep the returns as a record for docs/results.md")
    line.text("data", str(records.DATA), "the folder of the records")
    values = line.read(argv)
    which_agent.check(values)
    folder = Path(values.checkpoint) if values.checkpoint else None
    if folder is not None and values.record:
        _listed(folder)
    return Request(
        folder, values.pretrained, values.trials, values.json, values.record, Path(values.data)
    )


def run(argv: Sequence[str]) -> int:
    """Prints the table. Raises ConfigError, one clear line."""
    request = parse(argv)
    process.set_up_jax()
    if request.folder is None:
        loaded = pretrained.load_run(request.pretrained)
    else:
        loaded = evaluate.load(request.folder, {})
    with busy("compiling and playing trials with other z"):
        found = measure(loaded, request.agent, request.trials)
    print(json.dumps(to_json(found)) if request.as_json else table(found))
    if request.record:
        made = record_of(request, loaded, found)
        records.write(request.data, made)
        if not request.as_json:
            print(f"{made.path}: written to {request.data}; python -m experiments.results shows it")
    return 0


def measure(loaded: LoadedRun, name: str, trials: int) -> dict[str, Any]:
    """Normalised returns by split, kind of z and seed. Raises ConfigError for agents without z."""
    if not isinstance(loaded.agent, DreamPolicy):
        raise ConfigError(f"{name}: agent={loaded.config.agent!r} has no z; give a run of DREAM")
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
    return {"checkpoint": name, "seeds": loaded.seeds, "splits": splits}


def _listed(folder: Path) -> Listed:
    """The run of a folder. Raises ConfigError for one that is not listed, or has several seeds."""
    found = records.match(folder, studies.STUDIES)
    if len(found) > 1:
        seeds = ", ".join(str(run.first_seed) for run in found)
        raise ConfigError(
            f"--record --checkpoint={folder}: it has the seeds {seeds}; give a run of one seed, or "
            "leave --record out"
        )
    return found[0]


def record_of(request: Request, loaded: LoadedRun, found: dict[str, Any]) -> records.Record:
    """The returns as a record of the study "use_of_z", one row per split, kind of z and seed."""
    if request.folder is None:
        name, source = f"{request.pretrained}-pretrained", f"--pretrained={request.pretrained}"
        card = pretrained.card(request.pretrained)
        trained = {"command": card["command"], "git": card["git"]}
    else:
        listed = _listed(request.folder)
        name, source = listed.name, f"--checkpoint={records.RUNS / listed.path}"
        command = " ".join(["python", "-m", *listed.arguments(records.RUNS)])
        trained = {"command": command, "git": saved_run(request.folder)["git"]}
    about = {
        "study": records.USE_OF_Z,
        "name": name,
        "benchmark": loaded.config.benchmark,
        "preset": loaded.config.preset,
        "seeds": found["seeds"],
        "command": f"python -m experiments.use_of_z {source} --trials={request.trials} --record",
        "trained": trained,
        "git": provenance.git_state(),
        "machine": records.machine(versions()),
        "state": "measured",
        "schema_version": provenance.SCHEMA_VERSION,
        "config": configs.to_dict(loaded.config),
    }
    rows = [
        {"split": split, "z": kind, "seed": seed, "return": value, "normalised": share}
        for split, kinds in found["splits"].items()
        for kind, part in kinds.items()
        for seed, value, share in zip(found["seeds"], *part.values(), strict=True)
    ]
    return records.Record(about, rows)


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
