"""What the page of a run costs, in seconds of CPU.

python -m benchmarks.report_page [--agent=cooking]
python -m benchmarks.report_page --run=cooking [--trials=15360]

The first measures an agent that ships, with JAX's cache of compiled programs off. "one trial" is
what a run would compile for its GIF without a page. The second trains a run and adds up what its
page took: at evaluations, and at the end together with the GIF.
"""

import contextlib
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import jax

from dream_jax import api
from dream_jax.runs import page_data, pretrained, run_page
from dream_jax.runs.insight import InsightProgram, choose
from dream_jax.runs.run_page import TRIALS
from dream_jax.viz import film, report_page
from experiments.cli import process
from experiments.cli.command_line import CommandLine

_EVALUATIONS = 120  # of the curves


def main(argv: list[str]) -> int:
    """0 done, 2 bad input."""

    def work() -> int:
        line = CommandLine("benchmarks.report_page", f"\n{__doc__}")
        line.text("agent", "cooking", f"one that ships: {', '.join(pretrained.names())}")
        line.text("run", "", "a benchmark to train on instead")
        line.count("trials", 15_360, "of that run")
        values = line.read(argv)
        if values.run:
            of_a_run(values.run, values.trials)
        else:
            of_an_agent(values.agent)
        return 0

    return process.exit_status(work, "interrupted")


def of_a_run(benchmark: str, trials: int) -> None:
    """Train one seed, and print what its page took."""
    spent = dict.fromkeys(("evaluated", "stopped", "finished"), 0.0)

    def timed(name: str) -> Callable[..., Any]:
        inner = getattr(run_page.RunPage, name)

        def call(*arguments: Any) -> Any:
            began = time.process_time()
            try:
                return inner(*arguments)
            finally:
                spent[name] += time.process_time() - began

        return call

    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as patches:
        for name in spent:
            patches.enter_context(mock.patch.object(run_page.RunPage, name, timed(name)))
        settings = {"training.trials": trials}
        api.train(benchmark, out=Path(folder) / "run", overrides=settings, verbose=False)
    whole = time.process_time() - began
    print(f"{'the whole run':26} {whole:7.2f} s")
    for name, words in (("evaluated", "page while it trains"), ("finished", "page and GIF at end")):
        print(f"{words:26} {spent[name]:7.2f} s  {100 * spent[name] / whole:.1f} %")


def of_an_agent(name: str) -> None:
    jax.config.update("jax_enable_compilation_cache", False)
    agent = pretrained.load(name)
    trial = agent.config.trial
    chosen = choose(agent.env, TRIALS, trial.exploitation_episodes, trial.redraw_instruction)
    program = InsightProgram(agent.functions)
    record = _measured("one trial, first", agent.trial)
    _measured("trials of the page, first", lambda: program(agent.params, chosen))
    insights = _measured("trials of the page, again", lambda: program(agent.params, chosen))
    data = _measured("their drawings", lambda: page_data.of_trials(agent.env, insights))
    rows = [_row(k) for k in range(_EVALUATIONS)]
    known = {"test": {"optimal": 1.0, "no_exploration": 0.0}}
    about = page_data.About(name, agent.config, [0], rows, None, known, {}, None)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "report.html"

        def write() -> None:
            report_page.write(file, [page_data.of_run(about) | data | {"visits": None}])

        _measured("writing the page, first", write)
        _measured("writing the page, again", write)
        print(f"{file.stat().st_size / 1e6:.2f} MB, {len(chosen.problem)} trials")
        gif = Path(folder) / "trial.gif"
        _measured("a GIF", lambda: film.save(gif, record.frames(0)))


def _row(k: int) -> dict[str, float]:
    names = ("env_steps", "updates", "trials", "wall_s", "train_return", "test_return", "loss_td")
    return {"seed": 0} | dict.fromkeys(names, float(k))


def _measured(what: str, work: Callable[[], Any]) -> Any:
    began = time.process_time()
    result = work()
    print(f"{what:26} {time.process_time() - began:7.3f} s")
    return result


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
