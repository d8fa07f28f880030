"""How much memory training will take on a CPU, said before it compiles.

The peak is that of compiling the training program. It grows with the program's length, which is
known once it is traced. The rates below were measured on map, cooking and distracting bus, with
jax 0.10 on x86-64 (`python -m benchmarks.memory` measures them against what a run prints). Peaks of
equal runs differ by up to 30 %, with the order in which threads allocate.
"""

from typing import Any

import jax

from dream_jax.types import Env, is_pixel_env

# MB for each line of the training program as StableHLO, besides what the process has before.
COMPILING_MB = 0.09
CACHED_MB = 0.063  # when compiled programs come from the cache
TRAINING_MB = 0.036  # the programs themselves
DRAWING_MB = 200.0  # evaluations, curves and the page


def describe(env: Env, program: Any, state: Any, before: int | None) -> str | None:
    """A line for people about the peak; None where it is not known.

    Args:
      env: of the run. Pictures are compiled with other options, which were not measured.
      program: the training program, lowered.
      state: shapes of the states of all seeds.
      before: `resident_bytes` before anything was compiled.
    """
    if before is None or jax.default_backend() != "cpu" or is_pixel_env(env):
        return None
    lines = program.as_text().count("\n")
    compiled, cached = peaks_mb(lines, before / 2**20, _size_bytes(state) / 2**20)
    return f"memory: about {compiled:,.0f} MB, {cached:,.0f} MB if its programs are cached"


def peaks_mb(lines: int, before_mb: float, state_mb: float) -> tuple[float, float]:
    """The peak when the program is compiled, and when it comes from the cache.

    lines: of the training program. state_mb: of all seeds; its pages come as replay fills.
    """
    training = before_mb + TRAINING_MB * lines + DRAWING_MB + state_mb
    compiled, cached = (before_mb + rate * lines for rate in (COMPILING_MB, CACHED_MB))
    return max(compiled, training), max(cached, training)


def resident_bytes() -> int | None:
    """Memory that this process has now; None where the system does not say."""
    try:
        with open("/proc/self/status") as file:
            fields = dict(line.split(":", 1) for line in file)
        return int(fields["VmRSS"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None


def _size_bytes(state: Any) -> int:
    return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(state))
