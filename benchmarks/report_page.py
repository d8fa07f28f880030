"""What the page of a run costs, in seconds of CPU: `python -m benchmarks.report_page [cooking]`.

It measures an agent that ships, with JAX's cache of compiled programs off. "one trial" is what a
run compiled for its GIF before it had a page.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

from dream_jax.runs import page_data, pretrained
from dream_jax.runs.insight import InsightProgram, choose
from dream_jax.runs.run_page import TRIALS
from dream_jax.viz import film, report_page

_EVALUATIONS = 120  # of the curves


def main(name: str) -> None:
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
    main(sys.argv[1] if len(sys.argv) > 1 else "cooking")
