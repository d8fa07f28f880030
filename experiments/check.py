"""`python -m experiments.check MODULE:CLASS`: is it my environment, or the algorithm?

Every finding has a verdict and a remedy. The last ones train for a minute each: an agent that is
told the problem, and one that never explores. If they return the same, there is nothing to find
out.
"""

import json
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

from dream_jax import config as configs
from dream_jax.config import ConfigError
from dream_jax.envs.adapters import own
from experiments.cli import process
from experiments.cli.command_line import CommandLine

MODULE = "experiments.check"
_LEARNED = 0.05  # of the spread of returns: less is no difference


def main(argv: Sequence[str]) -> int:
    """0: nothing is bad; 1: something is; 2: bad input."""

    def work() -> int:
        name = argv[0] if argv else ""
        if (name.startswith("-") and name not in ("-h", "--help")) or not name:
            raise ConfigError(f"{name!r} is not MODULE:CLASS; give the class first, as lamps:Lamps")
        line = CommandLine(f"{MODULE} MODULE:CLASS", "Checks a problem family before training.")
        line.switch("quick", "leave out what trains")
        line.count("steps", 4_096, "random steps to take")
        line.count("seconds", 60, "to train each of the two agents for")
        line.switch("json", "print one JSON object")
        given = line.read(argv if name in ("-h", "--help") else argv[1:])
        process.set_up_jax()
        found = []
        for finding in _findings(name, given):
            found.append(finding._asdict())
            if not given.json:
                remedy = f" -> {finding.remedy}" if finding.remedy else ""
                print(f"{finding.verdict:7} {finding.what}: {finding.text}{remedy}", flush=True)
        bad = [each for each in found if each["verdict"] == "bad"]
        if given.json:
            print(json.dumps({"family": name, "good": not bad, "findings": found}))
        return 1 if bad else 0

    return process.exit_status(work, "interrupted")


def _findings(name: str, given: Any) -> Iterator[Any]:
    from dream_jax import envs, presets
    from dream_jax.envs.adapters import findings
    from dream_jax.envs.adapters.findings import Finding

    config = presets.get(name, "dream") if own.is_own(name) else None
    if config is None and name not in envs.ENVIRONMENTS:
        near = configs.nearest(name, sorted(envs.ENVIRONMENTS))
        raise ConfigError(f"unknown environment {name!r}; {near}, or MODULE:CLASS of your own")
    config = config or presets.get(name, "dream")
    try:
        if own.is_own(name):
            env = own.make_untried(name, horizon=config.env.horizon)
        else:
            env = envs.from_config(name, config.env)
    except ValueError as error:
        yield Finding("protocol", "bad", str(error), "see docs/own_problem.md")
        return
    bad = False
    for finding in findings.of_family(env, given.steps):
        bad |= finding.verdict == "bad"
        yield finding
    if bad:
        return
    yield _replay_size(config, env)
    if not given.quick:
        yield from _worth_exploring(name, given.seconds)


def _replay_size(config: Any, env: Any) -> Any:
    from dream_jax.data import replay
    from dream_jax.envs.adapters.findings import Finding
    from dream_jax.training import setup

    trainer = setup.make_trainer(config, env)
    size = replay.size_bytes(trainer.trial_shape, config.replay.capacity_trials)
    text = f"{size / 2**20:,.0f} MiB for {config.replay.capacity_trials:,} trials of each seed"
    if size > 2**32:
        remedy = "lower replay.capacity_trials, or keep states: `observe` in docs/own_problem.md"
        return Finding("replay", "warning", text, remedy)
    return Finding("replay", "good", text)


def _worth_exploring(name: str, seconds: int) -> Iterator[Any]:
    """Train an agent told the problem and one that never explores, alike."""
    from dream_jax import api
    from dream_jax.envs.adapters.findings import Finding
    from dream_jax.runs.live_line import busy

    returns, trials = {}, {}
    for preset in ("told", "never_explores"):
        ends = time.monotonic() + seconds

        def goes_on(_: Any, ends: float = ends) -> bool:
            return time.monotonic() < ends

        with busy(f"training an agent, {preset.replace('_', ' ')}"):
            run = api.train(name, preset, on_evaluation=goes_on, verbose=False)
        returns[preset] = run.rows[-1]["train_return"]
        trials[preset] = run.rows[-1]["trials"]
    told, never = returns["told"], returns["never_explores"]
    text = (
        f"told the problem {told:.2f} ({trials['told']:,} trials), "
        f"never exploring {never:.2f} ({trials['never_explores']:,} trials)"
    )
    if told - never > _LEARNED * max(abs(told), abs(never), 1e-6):
        yield Finding("worth exploring", "good", text)
    else:
        remedy = "train longer (--seconds); if it stays so, exploration cannot pay in this family"
        yield Finding("worth exploring", "warning", text, remedy)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
