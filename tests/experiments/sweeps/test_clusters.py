"""Sweeps on real clusters of this machine equal those of the local pool, whatever is lost."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.experiments.sweeps import on_a_cluster

ROOT = Path(__file__).parents[3]
SBIN = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"])
HAS_RAY = importlib.util.find_spec("ray") is not None
HAS_SLURM = (
    importlib.util.find_spec("submitit") is not None
    and all(shutil.which(name, path=SBIN) for name in ("slurmctld", "slurmd", "munged"))
    and os.getuid() == 0
)


def test_every_sweep_has_two_jobs_to_lose_one():
    assert on_a_cluster.FLAGS[0] == "lamps:Lamps"
    assert on_a_cluster.PERIODS > 20  # long enough that a loss comes in the middle


def swept(pool, out, *before):
    """(standard output, the table, the logs of the jobs) of a sweep."""
    done = subprocess.run(
        [*before, sys.executable, "-m", "tests.experiments.sweeps.on_a_cluster", pool, str(out)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "RAY_worker_niceness": "0"},
        capture_output=True,
        text=True,
        timeout=1_800,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    jobs = out / "sweep" / "jobs"
    results = [(jobs / f"{job:04d}.result.json").read_text() for job in (0, 1)]
    logs = [(jobs / f"{job:04d}.log").read_text() for job in (0, 1)]
    assert (out / "sweep" / "best" / "summary.json").exists()
    return done.stdout, ((out / "sweep" / "sweep.csv").read_text(), *results), logs


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    return swept("local", tmp_path_factory.mktemp("local") / "out")[1]


@pytest.mark.slow
@pytest.mark.skipif(not HAS_RAY, reason="needs ray: pip install -e '.[ray]'")
def test_two_ray_nodes_of_which_one_is_killed(tmp_path, local):
    said, found, logs = swept("ray", tmp_path / "out")
    assert "nodes: 2, CPUs: 2" in said
    assert "killed the second node" in said
    assert found == local
    assert sum("resumed at " in log for log in logs) == 1  # the job of the node that was lost


@pytest.mark.slow
@pytest.mark.skipif(
    not HAS_SLURM,
    reason="needs root, slurm-wlm, munge and submitit: pip install -e '.[slurm]'",
)
def test_slurm_jobs_of_which_one_is_queued_again_and_one_cancelled(tmp_path, local):
    said, found, logs = swept("slurm", tmp_path / "out", str(ROOT / ".ci" / "slurm"))
    assert "scancel --signal=USR2 1_0" in said and "scancel 1_1" in said
    assert "status 1\n" in said  # of the sweep whose job was cancelled
    assert found == local
    assert all("resumed at " in log for log in logs)
