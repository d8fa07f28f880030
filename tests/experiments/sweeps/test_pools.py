"""Where the jobs of a sweep run, and what is said of those that fail."""

import sys
import types

import pytest

from experiments import sweep
from experiments.sweeps import pools as sweep_pools
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


@pytest.mark.parametrize("pool", ["ray", "slurm"])
def test_jobs_that_a_cluster_loses_are_outcomes_too(tmp_path, monkeypatch, pool):
    """Against stand-ins with the few names of these libraries that are used."""

    class Lost:
        def __init__(self, path):
            self.path = path

        def result(self):
            if self.path.stem == "0001":
                raise RuntimeError("node\nlost")
            return None

    class AutoExecutor:
        def __init__(self, folder):
            assert folder == str(tmp_path / "slurm")

        def update_parameters(self, slurm_array_parallelism, timeout_min):
            assert slurm_array_parallelism == 3 and timeout_min >= 600

        def map_array(self, function, paths):
            assert function is sweep_pools.run_job
            return [Lost(path) for path in paths]

    library = types.SimpleNamespace(
        AutoExecutor=AutoExecutor,
        init=lambda **_: None,
        remote=lambda function: types.SimpleNamespace(remote=Lost),
        wait=lambda waiting: (waiting[:1], waiting[1:]),
        get=lambda reference: reference.result(),
    )
    monkeypatch.setitem(sys.modules, {"ray": "ray", "slurm": "submitit"}[pool], library)
    jobs = [tmp_path / f"{n:04d}.json" for n in range(3)]
    found = dict(sweep_pools.POOLS[pool](jobs, 3, tmp_path))
    assert found == {jobs[0]: None, jobs[1]: "RuntimeError: node lost", jobs[2]: None}
