"""Where the jobs of a sweep run, and what is said of those that fail."""

import signal
import sys
import types

import pytest

from experiments import sweep
from experiments.cli import process
from experiments.sweeps import folder, run_job
from experiments.sweeps import pools as sweep_pools
from experiments.sweeps import slurm as sweep_slurm
from tests.experiments.sweeps.small import request


@pytest.mark.parametrize("pool", ["ray", "slurm"])
def test_a_pool_that_is_not_installed_is_one_line(tmp_path, monkeypatch, capsys, pool):
    monkeypatch.setitem(sys.modules, {"ray": "ray", "slurm": "submitit"}[pool], None)
    assert sweep.main(request(tmp_path / "out", f"--pool={pool}")) == 2
    assert f"pip install -e '.[{pool}]'" in capsys.readouterr().err


def test_the_local_pool_reports_what_a_job_said_last(tmp_path):
    path = tmp_path / "0000.json"
    path.write_text("{}")
    ((job, error),) = sweep_pools.local([path], 1, tmp_path)
    assert job == path
    assert error == "exit status 1: KeyError: 'config'"
    lines = path.with_suffix(".log").read_text().splitlines()
    assert lines[0].startswith("Traceback") and lines[-1] == "error: KeyError: 'config'"


def test_a_job_uses_as_many_cores_as_its_scheduler_gave_it(tmp_path, monkeypatch):
    monkeypatch.setattr(process, "cores", lambda: [0, 1, 2, 3])
    monkeypatch.delenv("NPROC", raising=False)
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", "3")  # set by the user

    def given(cpus):
        return run_job.command(tmp_path / "0000.json", cpus).environment

    assert (given(2)["NPROC"], given(2)["JAX_NUM_CPU_DEVICES"]) == ("2", "3")
    for cpus in (None, 0, 4):
        assert "NPROC" not in given(cpus)


class Lost:
    """Of Ray or submitit: a job, of which the second is lost."""

    def __init__(self, path):
        self.path = path

    def result(self):
        if self.path.stem == "0001":
            raise RuntimeError("node\nlost")
        return None


def test_jobs_that_ray_loses_are_outcomes_too(tmp_path, monkeypatch):
    """Against a stand-in with the few names that are used."""
    library = types.SimpleNamespace(
        init=lambda **_: None,
        remote=lambda function: types.SimpleNamespace(remote=Lost),
        wait=lambda waiting: (waiting[:1], waiting[1:]),
        get=lambda reference: reference.result(),
    )
    monkeypatch.setitem(sys.modules, "ray", library)
    jobs = [tmp_path / f"{n:04d}.json" for n in range(3)]
    found = dict(sweep_pools.ray(jobs, 3, tmp_path))
    assert found == {jobs[0]: None, jobs[1]: "RuntimeError: node lost", jobs[2]: None}


@pytest.fixture
def queue(tmp_path, monkeypatch):
    """A stand-in for submitit and squeue: the state of each job by its number."""
    states: dict[str, str] = {}

    class Job(Lost):
        def __init__(self, path, number):
            super().__init__(path)
            self.job_id = f"7_{number}"
            states[self.job_id] = "queued"

        @property
        def paths(self):
            done = tmp_path if states[self.job_id] == "done" else tmp_path / "none"
            return types.SimpleNamespace(result_pickle=done)

        def cancel(self):
            states[self.job_id] = "cancelled"

    class AutoExecutor:
        def __init__(self, folder, cluster, slurm_max_num_timeout):
            assert (folder, cluster) == (str(tmp_path / "slurm"), "slurm")
            assert slurm_max_num_timeout > 100

        def update_parameters(self, slurm_array_parallelism, timeout_min):
            assert slurm_array_parallelism == 3 and timeout_min >= 600

        def map_array(self, function, paths):
            assert isinstance(function, sweep_slurm.RequeuedJob)
            return [Job(path, number) for number, path in enumerate(paths)]

    def squeue(line, **_):
        assert line[0] == "squeue" and line[-1] == "--jobs=7"
        listed = [name for name, state in states.items() if state == "queued"]
        error = "" if listed else "slurm_load_jobs error: Invalid job id specified"
        return types.SimpleNamespace(
            returncode=0 if listed else 1, stdout="\n".join(listed), stderr=error
        )

    monkeypatch.setitem(sys.modules, "submitit", types.SimpleNamespace(AutoExecutor=AutoExecutor))
    monkeypatch.setattr(sweep_slurm.subprocess, "run", squeue)
    monkeypatch.setattr(sweep_slurm, "_QUEUE_PERIOD_S", 0.0)
    monkeypatch.setattr(sweep_slurm, "_QUEUE_PERIOD_S", 0.0)
    return states


def test_slurm_jobs_end_in_any_order_and_may_be_cancelled(tmp_path, queue, monkeypatch):
    jobs = [tmp_path / f"{n:04d}.json" for n in range(4)]
    events = [("7_1", "done"), ("7_2", "cancelled"), ("7_3", "cancelled"), ("7_0", "done")]
    monkeypatch.setattr(sweep_slurm, "_wait", lambda: queue.update(events[:1] and [events.pop(0)]))
    folder.JobFiles(jobs[3]).result.write_text("{}")  # it wrote that before it went
    found = list(sweep_pools.POOLS["slurm"](jobs, 3, tmp_path))
    assert [job for job, _ in found] == [jobs[1], jobs[2], jobs[0], jobs[3]]
    assert dict(found) == {
        jobs[0]: None,
        jobs[1]: "RuntimeError: node lost",
        jobs[2]: "it left Slurm's queue without a result (cancelled, killed, or out of memory)",
        jobs[3]: None,
    }


def test_slurm_jobs_are_cancelled_after_an_interruption(tmp_path, queue, monkeypatch):
    def interrupt():
        queue["7_0"] = "done"
        raise KeyboardInterrupt

    monkeypatch.setattr(sweep_slurm, "_wait", interrupt)
    with pytest.raises(KeyboardInterrupt):
        list(sweep_pools.POOLS["slurm"]([tmp_path / "0.json", tmp_path / "1.json"], 3, tmp_path))
    assert set(queue.values()) == {"cancelled"}


def test_a_slurm_job_that_is_asked_to_end_lets_submitit_queue_it_again(tmp_path, monkeypatch):
    asked = []

    def run(path, cpus):
        assert cpus == 3
        raise process.Asked(signal.SIGUSR2)

    monkeypatch.setenv("SLURM_CPUS_ON_NODE", "3")
    monkeypatch.setattr(sweep_slurm, "run_job", run)
    with process.handled((signal.SIGUSR2,), lambda number, frame: asked.append(number)):
        said = sweep_slurm.RequeuedJob()(tmp_path / "0000.json")
    assert asked == [signal.SIGUSR2]  # submitit's handler would not return
    assert said == "stopped by SIGUSR2, with a checkpoint"
