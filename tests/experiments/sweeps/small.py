"""A small run to sweep over."""

from dream_jax import config as configs
from dream_jax import presets

SMALL = configs.override(
    presets.smoke(presets.get("bus", "dream")),
    {
        "env.horizon": "5",
        "networks.hidden_size": "8",
        "networks.head_size": "8",
        "networks.decoder_memory_size": "8",
        "networks.decoder_hidden_size": "8",
        "networks.z_size": "4",
        "training.trials": "32",
    },
)
GRID = ["--grid.optimizer.learning_rate=1e-4,1e-2", "--grid.networks.z_size=4,8"]


def small_changes():
    changed = configs.differences(presets.smoke(presets.get("bus", "dream")), SMALL)
    return {path: new for path, (_, new) in changed.items()}


def request(out, *flags):
    return ["bus", "--smoke", "--seeds=2", f"--out={out}", *GRID, *flags]
