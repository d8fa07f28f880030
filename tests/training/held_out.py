"""A trainer on a small problem, and its states iteration by iteration."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from dream_jax import config as configs
from dream_jax import validation
from dream_jax.config import Config
from dream_jax.training import setup
from tests.training.corridor import Corridor


class HeldOut(Corridor):
    name = "held out"

    def __init__(self):
        super().__init__()
        self._splits = {"train": np.array([0, 1, 2], np.int32), "test": np.array([3], np.int32)}


PARALLEL, CAPACITY, ITERATIONS = 8, 24, 12
WARM_EXPLOITATION, WARM_EXPLORATION = 16, 24
STEPS_PER_UPDATE = 32  # 8 trials of at most 4 steps: never more than one update
CONFIG = configs.override(
    Config(),
    {
        "networks.hidden_size": "16",
        "networks.head_size": "16",
        "networks.decoder_memory_size": "16",
        "networks.z_size": "4",
        "acting.epsilon_min": "0",
        "acting.epsilon_max": "0",
        "optimizer.average_decay": "0.9",
        "td.target_update_period_updates": "2",
        "replay.capacity_trials": f"{CAPACITY}",
        "replay.batch_trials": "4",
        "replay.warmup_trials_exploitation": f"{WARM_EXPLOITATION}",
        "replay.warmup_trials_exploration": f"{WARM_EXPLORATION}",
        "training.trials": f"{PARALLEL * ITERATIONS}",
        "training.trials_per_iteration": f"{PARALLEL}",
        "training.evaluation_period_trials": f"{PARALLEL}",
        "training.updates_per_iteration": "0",
        "training.env_steps_per_update": f"{STEPS_PER_UPDATE}",
    },
)


@functools.cache
def env():
    return HeldOut()


@functools.cache
def trainer():
    return setup.make_trainer(validation.validate(CONFIG, env().num_actions), env())


@functools.cache
def states():
    """States of seed 0 before and after each iteration, as numpy; the losses of each iteration."""

    @jax.jit
    def run(seed):
        def body(state, _):
            after, losses = trainer().iterate(state)
            return after, (after, losses)

        first = trainer().init(seed)
        return first, *jax.lax.scan(body, first, length=ITERATIONS)[1]

    first, after, losses = jax.device_get(run(jnp.int32(0)))
    listed = [first] + [jax.tree.map(lambda x, k=k: x[k], after) for k in range(ITERATIONS)]
    return listed, losses
