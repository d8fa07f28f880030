"""Settings that an agent does not have are refused by name."""

import pytest

from dream_jax import presets
from dream_jax.agents import registry
from dream_jax.config import ConfigError, override


@pytest.mark.parametrize(
    "path", ["trial.instruction_in_exploration", "end_to_end.exploration_return"]
)
def test_settings_of_the_whole_trial_need_an_agent_that_acts_on_it(path):
    for preset in ("e_rl2", "import", "varibad", "pearl"):
        registry.check(override(presets.get("map", preset), {path: True}))
    with pytest.raises(ConfigError, match=f"{path}=true: .* agent='dream' needs false"):
        registry.check(override(presets.get("map", "dream"), {path: True}))
