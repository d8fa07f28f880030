"""The memory that a run prints. `python -m benchmarks.memory` holds it against whole processes."""

import types

import jax
import jax.numpy as jnp
import pytest

from dream_jax.runs import memory
from tests import probes

LOWERED = jax.jit(lambda x: x + 1.0).lower(1.0)
STATE = {"replay": jax.ShapeDtypeStruct((2, 2**20), jnp.uint8), "key": jax.random.key(0)}


# Lines of the training program as StableHLO, MB before compiling, of the states, and at the peak of
# the process: compiled, or from the cache. Means of two runs each on two cores of an Intel Xeon.
@pytest.mark.parametrize(
    ("lines", "before", "state", "compiled", "cached"),
    [
        (9_736, 299, 4.4, 1_102, 836),
        (10_562, 299, 7.3, 1_243, 944),
        (10_178, 299, 8.0, 1_309, 1_025),
    ],
    ids=["map", "cooking", "distracting_bus"],
)
def test_peaks_are_near_those_measured(lines, before, state, compiled, cached):
    said = memory.peaks_mb(lines, before, state)
    assert said[0] == pytest.approx(compiled, rel=0.12)
    assert said[1] == pytest.approx(cached, rel=0.12)


def test_a_large_replay_counts():
    small, large = (memory.peaks_mb(10_000, 300, state) for state in (10, 5_000))
    assert large == (300 + 360 + 200 + 5_000,) * 2
    assert max(small) <= 1_200


def test_a_run_says_what_it_will_take():
    env = probes.Corridor()
    said = memory.describe(env, LOWERED, STATE, 300 * 2**20)
    assert said == "memory: about 502 MB, 502 MB if its programs are cached"
    assert memory.describe(env, LOWERED, STATE, None) is None
    pictures = types.SimpleNamespace(observe=None)
    assert memory.describe(pictures, LOWERED, STATE, 1) is None
    here = memory.resident_bytes()
    assert here is None or here > 50 * 2**20
