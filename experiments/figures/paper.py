"""The figures of the paper: the benchmarks and presets that each compares, and their colours."""

from typing import Any

from dream_jax import presets
from dream_jax.agents import registry

# A panel is a benchmark and a split. Figure 3 is the bandit's.
PANELS: dict[int, tuple[tuple[str, str], ...]] = {
    3: (),
    6: (("distracting_bus", "test"), ("map", "test")),
    7: (("cooking", "train"), ("cooking", "test"), ("sign", "test")),
}
# Returns that are computed: horizontal lines in these styles.
LINE_STYLES = {"optimal": "-", "no_exploration": ":", "pearl_ub": "--"}
# Methods that are trained: learning curves in Okabe and Ito's colours. DREAM comes first.
COLOURS = {
    "dream": "#0072B2",
    "dream_no_bottleneck": "#56B4E9",
    "e_rl2": "#D55E00",
    "import": "#009E73",
    "varibad": "#CC79A7",
}
# On distracting bus alone: DREAM with the paper's decoder, with and without the bottleneck.
ONE_HEAD = {"dream_one_head": "#E69F00", "dream_one_head_no_bottleneck": "#F0E442"}
PRESETS = (*LINE_STYLES, *COLOURS)
# The paper claims that these learn what is possible without exploration, and no more.
WITHOUT_EXPLORATION = ("e_rl2", "import", "varibad")
NAMES = {"e_rl2": "E-RL2", "import": "IMPORT", "varibad": "VariBAD", "pearl_ub": "PEARL-UB"}


def agent_class(preset: str) -> Any:
    """The class of a preset's agent, which is the same on every benchmark."""
    return registry.find(presets.get("cooking", preset).agent)
