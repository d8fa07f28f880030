"""The soak finds what grows. `python -m benchmarks.soak --hours=2` is the measurement itself."""

import json
import subprocess
import sys

import pytest

from benchmarks import soak
from dream_jax.config import ConfigError

SECONDS = 100.0


def samples(**growing):
    """A sample each second; `growing` are functions of the time."""
    steady = {
        "memory_kb": 900_000,
        "files": 14,
        "threads": 30,
        "compiled": 20,
        "checkpoints": 3,
        "evaluations": lambda t: 5 + t,
        "log_bytes": lambda t: 4_000 + 600 * t,
    }
    fields = steady | growing
    return [
        soak.Sample(t, **{k: v(t) if callable(v) else v for k, v in fields.items()})
        for t in range(int(SECONDS) + 1)
    ]


def test_a_steady_process_passes_whatever_its_warm_up():
    warming = samples(
        memory_kb=lambda t: 900_000 if t >= 25 else 500_000, compiled=lambda t: min(t, 20)
    )
    found = soak.verdicts(warming, SECONDS, 3)
    assert found["failed"] == []
    assert found["memory_growth"] == 0.0 and found["compiled_after"] == 0
    assert found["log_bytes_per_row"] == [600.0, 600.0]


@pytest.mark.parametrize(
    ("growing", "message"),
    [
        ({"memory_kb": lambda t: 900_000 + 300 * t}, "memory grew by "),
        ({"files": lambda t: 14 + t // 50}, "open files went from 14 to 15"),
        ({"compiled": lambda t: 20 + t // 90}, "1 programs were compiled"),
        ({"log_bytes": lambda t: 600 * t + 4 * t * t}, "logs grew by "),
        ({"checkpoints": lambda t: 3 + t // 30}, "6 checkpoints were kept"),
    ],
)
def test_what_grows_after_the_warm_up_is_found(growing, message):
    (failed,) = soak.verdicts(samples(**growing), SECONDS, 3)["failed"]
    assert failed.startswith(message)


def test_too_short_a_time_is_refused():
    with pytest.raises(ConfigError, match="give more --hours"):
        soak.verdicts(samples()[:3], SECONDS, 3)


def test_training_that_ends_is_one_line(monkeypatch, capsys):
    def dies(config, preset, overrides, out, log):
        log.write(b"error: no room\n")
        return subprocess.Popen([sys.executable, "-c", ""])

    monkeypatch.setattr(soak, "start", dies)
    assert soak.main(["--hours=1", "--sample_s=0.01"]) == 1
    assert capsys.readouterr().err == "error: training ended: error: no room\n"


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_a_process_is_sampled(tmp_path):
    log, out = tmp_path / "log.txt", tmp_path / "run"
    log.write_text("Finished XLA compilation of jit(f) in 1 sec\nhalf a li")
    (out / "checkpoints" / "16").mkdir(parents=True)
    (out / "checkpoints" / "32.tmp").mkdir()
    line = [sys.executable, "-c", "print(flush=True); input()"]
    process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdout.readline()  # Python runs
    watcher = soak.Watch(process, out, log, 2)
    first = watcher.sample()
    assert (first.time_s, first.evaluations) == (-1.0, 0)
    (out / "metrics.jsonl").write_text("{}\n{}\n")
    with log.open("a") as file:
        file.write("ne: Finished XLA compilation of jit(g) in 1 sec\n")
    second = watcher.sample()
    process.communicate(b"\n")
    assert second.time_s >= 0.0 and second.memory_kb > 1_000 and second.files >= 3
    assert (first.compiled, second.compiled) == (1, 2)
    assert (second.evaluations, second.checkpoints) == (2, 1)
    assert second.log_bytes == log.stat().st_size + 6


@pytest.mark.slow
@pytest.mark.usefixtures("processes_compile_fast")
@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_training_is_watched_until_it_is_told_to_end(capsys):
    small = {
        "replay.capacity_trials": 640,
        "replay.warmup_trials_exploitation": 8,
        "replay.warmup_trials_exploration": 16,
        "replay.batch_trials": 4,
        "training.trials_per_iteration": 8,
        "training.updates_per_iteration": 1,
        "training.evaluation_period_trials": 320,
        "training.evaluation_trials": 8,
        "training.final_evaluation_trials": 8,
    }
    flags = [f"--config.{name}={value}" for name, value in small.items()]
    soak.main(["--hours=0.003", "--sample_s=0.5", "--json", *flags])
    found = json.loads(capsys.readouterr().out)
    assert found["seconds"] >= 10.8 and found["rows"] > 2 and found["exit_status"] == 75
    assert found["compiled_before"] > 2 and found["memory_mb"][0] > 100
    # `failed` is not looked at: ten seconds say little about what grows in hours.
