"""Presets that are trained, and those whose returns are computed."""

from dream_jax import presets
from dream_jax.runs import analytic

TRAINED = [
    name for name in presets.names() if presets.get("bus", name).agent not in analytic.AGENTS
]
ANALYTIC = [name for name in presets.names() if name not in TRAINED]
