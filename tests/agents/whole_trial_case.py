"""E-RL2, IMPORT and VariBAD on `Corridor` with random parameters, and their trials."""

import dataclasses
import functools

import jax
import jax.numpy as jnp

from dream_jax.agents import registry
from dream_jax.config import Config, EndToEndConfig, TrialConfig
from tests import probes
from tests.agents.dream_case import (
    BATCH,
    SMALL,
    batch_loss,
    numpy,
    random_params,
)
from tests.probes import quick_jit

# Two episodes of each kind, rewards shown.
RICH = Config(
    networks=SMALL,
    trial=TrialConfig(2, 2, rewards_in_exploration=True),
    end_to_end=EndToEndConfig(latent_size=3, beliefs_per_trial=5),
)
AGENTS = {
    "e_rl2": {"agent": "e_rl2"},
    "rl2": {
        "agent": "e_rl2",
        "trial": dataclasses.replace(RICH.trial, instruction_in_exploration=True),
        "end_to_end": dataclasses.replace(RICH.end_to_end, exploration_return=True),
    },
    "import": {"agent": "import"},
    "varibad": {"agent": "varibad"},
    "pearl": {
        "agent": "pearl",
        "trial": dataclasses.replace(
            RICH.trial, exploration_episodes=1, instruction_in_exploration=True
        ),
    },
    "point": {
        "agent": "varibad",
        "end_to_end": dataclasses.replace(RICH.end_to_end, posterior="point"),
    },
}


def make(name, env=None, **changes):
    config = dataclasses.replace(RICH, **(AGENTS[name] | changes))
    return registry.make(config, probes.Corridor() if env is None else env)


def collector(agent):
    """(params, key, epsilon of exploration, of exploitation) -> trials [BATCH, ...]."""

    @quick_jit
    def collect(params, key, *epsilons):
        keys = jax.random.split(key, BATCH)
        acts_on_exploration = jnp.arange(BATCH) % 2 == 0
        return jax.vmap(agent.collect, (None, 0, None, None, 0))(
            params, keys, *epsilons, acts_on_exploration
        )

    return lambda *inputs: numpy(collect(*inputs))


class Case:
    def __init__(self, name):
        self.agent = make(name)
        self.params, self.target = random_params(self.agent, 0), random_params(self.agent, 1)
        self.collect = collector(self.agent)
        self.trials = self.collect(self.params, jax.random.key(2), 0.6, 0.6)
        self.loss = quick_jit(jax.value_and_grad(batch_loss(self.agent), has_aux=True))


@functools.cache
def case(name):
    return Case(name)
