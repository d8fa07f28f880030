"""What a sweep tries, and which points share a program."""

import numpy as np

from dream_jax import config as configs
from experiments.sweeps import space as sweep_space
from tests.experiments.sweeps.small import SMALL


def test_a_grid_is_every_combination():
    axes = [sweep_space.axis("a.b", "1,2", False), sweep_space.axis("c.d", "x, y,z", False)]
    found = sweep_space.points(SMALL, axes, samples=1)
    assert [tuple(point.values()) for point in found] == [
        (a, c) for a in "12" for c in ("x", "y", "z")
    ]


def test_a_random_search_stays_in_its_ranges():
    axes = [
        sweep_space.axis("optimizer.learning_rate", "1e-4:1e-2:log", True),
        sweep_space.axis("networks.z_size", "4:8", True),
        sweep_space.axis("td.trace_lambda", "0,0.8", False),
    ]
    found = sweep_space.points(SMALL, axes, samples=200)
    assert found == sweep_space.points(SMALL, axes, samples=200)
    rates = np.array([float(point["optimizer.learning_rate"]) for point in found])
    assert 1e-4 <= rates.min() < 1.2e-4 and 0.8e-2 < rates.max() <= 1e-2
    assert 0.4 < np.mean(rates < 1e-3) < 0.6  # half of them below the geometric mean
    assert {point["networks.z_size"] for point in found} == {"4", "5", "6", "7", "8"}
    assert {point["td.trace_lambda"] for point in found} == {"0", "0.8"}


def test_points_share_a_program_where_only_numbers_differ():
    changes = [
        {"optimizer.learning_rate": rate, "networks.z_size": size}
        for rate in ("1e-4", "1e-3", "1e-2")
        for size in ("4", "8")
    ]
    every = [configs.override(SMALL, change) for change in changes]
    assert [job.points for job in sweep_space.jobs(every, 16)] == [(0, 2, 4), (1, 3, 5)]
    split = sweep_space.jobs(every, 2)
    assert [job.points for job in split] == [(0, 2), (4,), (1, 3), (5,)]
    for job in split:
        assert job.config.networks == every[job.points[0]].networks


def test_every_shared_field_is_a_float_of_the_config():
    fields = configs.paths(configs.to_dict(SMALL))
    assert all(isinstance(fields[path], float) for path in sweep_space.SHARED)
    values = {path: 0.125 for path in sweep_space.SHARED}
    assert sweep_space.shared_values(sweep_space.with_values(SMALL, values)) == values
