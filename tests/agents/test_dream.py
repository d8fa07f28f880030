"""DREAM's agent with other settings."""

import jax
import numpy as np
import pytest

from dream_jax.agents.dream import Dream
from dream_jax.config import (
    Config,
    LossConfig,
    NetworkConfig,
    TdConfig,
    TrialConfig,
)
from tests import probes
from tests.agents.dream_case import SMALL, batch_loss, collector, random_params, size
from tests.probes import quick_jit

# Other settings.

RECURRENT = NetworkConfig(
    embedding="mlp",
    hidden_size=8,
    head_size=8,
    z_size=3,
    decoder_memory_size=8,
    decoder_hidden_size=8,
    exploration_memory="lstm",
    decoder_memory="lstm",
    exploitation_memory="lstm",
    time_input=False,
    layer_norm=False,
    film=False,
)
SETTINGS = {
    "three explorations of one step": (
        probes.OneStep,
        Config(networks=SMALL, trial=TrialConfig(3, hidden_goal_ends_exploration=False)),
    ),
    "no instruction, rewards shown": (
        probes.Silent,
        Config(
            networks=SMALL,
            trial=TrialConfig(1, 2, redraw_instruction=False, rewards_in_exploration=True),
        ),
    ),
    "descriptors, as the authors": (
        probes.Described,
        Config(
            networks=RECURRENT,
            losses=LossConfig(
                bottleneck="clipped", td_reaches_decoder=True, normalise_information_gain=False
            ),
            td=TdConfig(trace_lambda=0.0, bootstrap_on_truncation=True),
        ),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("setting", SETTINGS)
def test_every_setting_gives_finite_losses_and_gradients(setting):
    probe, config = SETTINGS[setting]
    agent = Dream(config, probe())
    params, target = random_params(agent, 0), random_params(agent, 1)
    trials = collector(agent)(params, jax.random.key(0), 0.7)
    assert trials.instruction.shape[2] == len(agent.env.instruction_sizes)
    loss = quick_jit(jax.value_and_grad(batch_loss(agent), has_aux=True))
    (total, parts), gradient = loss(params, target, trials, jax.random.key(1))
    assert np.isfinite(total)
    assert all(part > 0 for part in parts.values()), parts
    for group in (*gradient.exploitation, gradient.exploration):
        assert all(np.isfinite(x).all() for x in jax.tree.leaves(group))
        assert size(group) > 0


@pytest.mark.slow
def test_parameters_follow_from_the_key(rich):
    init = quick_jit(rich.agent.init)
    a, b, c = (init(jax.random.key(seed)) for seed in (0, 0, 1))
    leaves = [jax.tree.leaves(params) for params in (a, b, c)]
    assert all(np.array_equal(x, y) for x, y in zip(leaves[0], leaves[1], strict=True))
    drawn = [k for k, x in enumerate(leaves[0]) if np.ptp(x) > 0]
    assert len(drawn) > 10
    assert not any(np.array_equal(leaves[0][k], leaves[2][k]) for k in drawn)
