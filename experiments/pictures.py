"""`python -m experiments.pictures`: the pictures of docs/pictures.md.

They show what the agents that ship learned, step by step. One compares with a run of the
distracting bus without bottleneck. It is drawn if `--no_bottleneck=DIR` gives such a run.
"""

import sys
from pathlib import Path
from typing import Any

from dream_jax.config import ConfigError
from dream_jax.runs import pretrained
from dream_jax.runs.folder import refuse_files
from dream_jax.runs.insight import InsightProgram, choose
from dream_jax.runs.live_line import busy
from dream_jax.runs.load import load_run
from experiments.cli import process as common
from experiments.cli.command_line import CommandLine
from experiments.figures import pictures, records

NAMES = {
    "trial": "trial_steps.png",
    "coupling": "coupling_cycle.png",
    "testing": "training_and_testing.png",
    "gain": "information_gain.png",
    "belief": "belief.png",
    "encodings": "encodings.png",
    "bottleneck": "bottleneck.png",
    "z": "kinds_of_z.png",
    "visits": "where_exploration_goes.png",
}
TRIALS = 20
_RECORDS = ("map", "distracting_bus")  # of docs/data/comparison


def insights_of(agent: Any) -> Any:
    """Trials of an agent with what its decoder believed."""
    return InsightProgram(agent.functions)(agent.params, _chosen(agent))


def _chosen(agent: Any) -> Any:
    trial = agent.config.trial
    return choose(agent.env, TRIALS, trial.exploitation_episodes, trial.redraw_instruction)


def read(folder: str) -> Any:
    """The agent of a run without bottleneck. Raises ConfigError for another one."""
    agent = load_run(folder).trained_agent()
    config = agent.config
    if config.benchmark != "distracting_bus" or config.losses.bottleneck_weight:
        raise ConfigError(
            f"--no_bottleneck={folder} is {config.preset} on {config.benchmark}; give a run of "
            "experiments.distracting_bus --config=dream_no_bottleneck"
        )
    return agent


def draw(out: Path, without: Any) -> list[str]:
    """Draw all pictures that can be drawn, and return their names."""
    named = {}
    for name in pretrained.names():
        agent = pretrained.load(name)
        named[name] = agent, insights_of(agent)
    at = {key: out / name for key, name in NAMES.items()}
    pictures.trial_steps(at["trial"], named["cooking"][0])
    pictures.coupling_cycle(at["coupling"])
    comparison = records.DATA / "comparison"
    there = {name: sorted(comparison.glob(f"{name}-dream-s*.csv")) for name in _RECORDS}
    pictures.training_and_testing(at["testing"], there)
    pictures.information_gain(at["gain"], *named["map"])
    pictures.belief(at["belief"], *named["map"])
    pictures.encodings(at["encodings"], *named["distracting_bus"])
    pictures.kinds_of_z(at["z"], named)
    agent = named["cooking"][0]
    pictures.where_exploration_goes(at["visits"], agent, _chosen(agent))
    if without is not None:
        pairs = {"with": named["distracting_bus"], "without": (without, insights_of(without))}
        labels = {f"{k}, {one[0].trained_trials:,} trials": one for k, one in pairs.items()}
        pictures.bottleneck(at["bottleneck"], labels)
    return [name for key, name in NAMES.items() if key != "bottleneck" or without is not None]


def run(argv: list[str]) -> int:
    line = CommandLine("experiments.pictures", f"\n{__doc__}")
    line.text("out", "docs/figures", "the folder for the pictures")
    line.text("no_bottleneck", "", "the folder of a run of dream_no_bottleneck, distracting_bus")
    values = line.read(argv)
    out = Path(values.out)
    refuse_files(out)
    common.set_up_jax()
    without = read(values.no_bottleneck) if values.no_bottleneck else None
    out.mkdir(parents=True, exist_ok=True)
    with busy("compiling, playing trials and drawing"):
        drawn = draw(out, without)
    print(f"written to {out}: {', '.join(drawn)}")
    if without is None:
        print(f"{NAMES['bottleneck']} needs --no_bottleneck=DIR")
    return 0


def main(argv: list[str] | None = None) -> int:
    """0 done, 1 a file cannot be written, 2 bad input."""
    given = sys.argv[1:] if argv is None else argv
    return common.exit_status(lambda: run(given), "interrupted")


if __name__ == "__main__":
    sys.exit(main())
