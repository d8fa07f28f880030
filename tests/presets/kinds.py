"""Presets that are trained, and those whose returns are computed."""

from dream_jax import presets
from dream_jax.agents import registry

TRAINED, ANALYTIC = (
    [
        name
        for name in presets.names()
        if registry.find(presets.get("bus", name).agent).analytic == analytic
    ]
    for analytic in (False, True)
)
