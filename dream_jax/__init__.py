"""DREAM in JAX. For a notebook:

    import dream_jax as dj

    run = dj.train("map", seeds=2)  # trains; run.train() goes on after a stop
    run.agent(seed=0).trial(problem=3)  # shows itself
    run.agent(seed=0).save("map.npz")
    agent = dj.load("map.npz")  # or the folder of a run

`dj.make` makes an environment, and `dj.HostFamily` wraps worlds that JAX cannot run. `dj.presets`
has the settings. See `dream_jax.api`.
"""

import importlib
import importlib.metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dream_jax import presets
    from dream_jax.api import load, make, train
    from dream_jax.config import Config, ConfigError
    from dream_jax.envs.adapters.host import HostFamily

__all__ = ["Config", "ConfigError", "HostFamily", "__version__", "load", "make", "presets", "train"]

_IN_MODULE = {
    "make": "dream_jax.api",
    "train": "dream_jax.api",
    "load": "dream_jax.api",
    "Config": "dream_jax.config",
    "ConfigError": "dream_jax.config",
    "HostFamily": "dream_jax.envs.adapters.host",
}


def __getattr__(name: str) -> Any:
    """Import at first use: `import dream_jax` alone imports nothing heavy, not even JAX."""
    if name in _IN_MODULE:
        return getattr(importlib.import_module(_IN_MODULE[name]), name)
    if name == "presets":
        return importlib.import_module("dream_jax.presets")
    if name == "__version__":
        return importlib.metadata.version("dream-jax")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
