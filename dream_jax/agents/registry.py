"""The agents by the name that a config gives them."""

from dream_jax.agents.dream import Dream
from dream_jax.agents.dream_ablations import DreamDynamics, DreamEndToEnd
from dream_jax.agents.e_rl2 import ERl2
from dream_jax.agents.import_agent import Import
from dream_jax.agents.varibad import VariBad
from dream_jax.config import Config, ConfigError
from dream_jax.types import Agent, Env

AGENTS: dict[str, type] = {
    "dream": Dream,
    "random_exploration": Dream,
    "dream_dynamics": DreamDynamics,
    "dream_end_to_end": DreamEndToEnd,
    "e_rl2": ERl2,
    "import": Import,
    "varibad": VariBad,
}
WHOLE_TRIAL = ("e_rl2", "import", "varibad")  # one policy explores and exploits


def make(config: Config, env: Env) -> Agent:
    """The agent of a config. Raises ConfigError for one that is computed, not trained."""
    if config.agent not in AGENTS:
        raise ConfigError(f"agent={config.agent!r} is not trained; valid: {', '.join(AGENTS)}")
    return AGENTS[config.agent](config, env)
