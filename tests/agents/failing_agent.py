"""An agent in which one number overflows: in seed 3, after its first updates, and in no other."""

import jax
import jax.numpy as jnp

from dream_jax.types import Learner
from tests.agents.outside_agent import Guesser, GuesserParams

NAME = "tests.agents.failing_agent:Failing"
BAD_SEED, GOOD_SEED = 3, 2


class Failing(Guesser):
    """As `Guesser`, with a parameter that counts for nothing. AdamW's decay makes it overflow."""

    name = "failing"

    @property
    def learners(self):
        warmup = self.config.replay.warmup_trials_exploitation
        decayed = {"params": False, "extra": True}
        return GuesserParams(Learner(warmup, weight_decay=1e30, decayed=decayed))

    def init(self, key):
        policy = super().init(key).policy
        grows = jax.random.bernoulli(key).astype(jnp.float32)  # 1 in seed 3, 0 in 0 to 2
        return GuesserParams({**policy, "extra": {"grows": grows}})

    def loss_terms(self, params, target, trial, context):
        terms = super().loss_terms(params, target, trial, context)
        nothing = 0.0 * params.policy["extra"]["grows"]
        return {name: term._replace(values=term.values + nothing) for name, term in terms.items()}
