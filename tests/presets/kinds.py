"""Presets that are trained, and those whose returns are computed."""

from dream_jax.presets import methods as presets
from dream_jax.runs import analytic

TRAINED = [
    name for name in presets.PRESETS if presets.preset("bus", name).agent not in analytic.AGENTS
]
ANALYTIC = [name for name in presets.PRESETS if name not in TRAINED]
