"""DREAM's agent on `Corridor` with random parameters, and trials that it collected."""

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dream_jax.agents.dream import Dream
from dream_jax.agents.exploration_noise import ExplorationNoise
from dream_jax.config import (
    Config,
    LossConfig,
    NetworkConfig,
    TrialConfig,
)
from dream_jax.data import rollout
from dream_jax.losses.dream import sample_encoding
from dream_jax.training import objective
from dream_jax.types import LossContext, Trial
from tests import probes
from tests.probes import quick_jit

BATCH = 6
SMALL = NetworkConfig(
    hidden_size=8, head_size=8, z_size=3, decoder_memory_size=8, decoder_hidden_size=8
)
# Everything at once: two episodes of each kind, rewards shown, TD through z = g(tau).
RICH = Config(
    networks=dataclasses.replace(SMALL, exploitation_memory="mingru"),
    trial=TrialConfig(2, 2, rewards_in_exploration=True),
    losses=LossConfig(
        bottleneck_weight=0.5,
        exploration_step_penalty=0.1,
        normalise_information_gain=False,
        td_reaches_decoder=True,
    ),
)


def random_params(agent, seed=0):
    """Noise everywhere, so that what starts small or at zero counts too."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(
        lambda x: jnp.asarray(rng.normal(scale=0.5, size=x.shape), x.dtype),
        jax.eval_shape(agent.init, jax.random.key(0)),
    )


def collector(agent):
    """(params, key, epsilon) -> trials [BATCH, ...]; z = g(tau) in every other one."""
    env, config = agent.env, agent.config

    def one(params, key, problem, acts_on_exploration, epsilon):
        keys = jax.random.split(key, 4)
        exploration = agent.explore(params, keys[0], problem, epsilon).episode
        instructions = rollout.sample_instructions(env, keys[1], problem, config.trial)
        f = sample_encoding(keys[2], agent.encode(params, problem), config.losses.rho)
        z = jnp.where(acts_on_exploration, agent.read(params, exploration), f)
        exploitation = jax.vmap(
            lambda k, i: agent.exploit(params, k, problem, i, z, ExplorationNoise(epsilon)).episode
        )(jax.random.split(keys[3], config.trial.exploitation_episodes), instructions)
        return Trial(problem, exploration, instructions, exploitation, acts_on_exploration)

    @quick_jit
    def collect(params, key, epsilon):
        number = jnp.arange(BATCH)
        return jax.vmap(one, (None, 0, 0, 0, None))(
            params,
            jax.random.split(key, BATCH),
            number // 2 % env.num_problems,
            number % 2 == 0,
            epsilon,
        )

    return collect


def numpy(tree):
    return jax.tree.map(np.asarray, tree)


def at(i, tree):
    return jax.tree.map(lambda x: x[i], tree)


def assert_close(a, b):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5)


class TrialTerms(NamedTuple):
    """All loss terms of one trial and their masks."""

    exploitation_td: jax.Array
    exploitation_mask: jax.Array
    bottleneck: jax.Array
    decoder: jax.Array
    decoder_mask: jax.Array
    exploration_td: jax.Array
    exploration_mask: jax.Array


def trial_terms(agent, params, target, trial, spread, key):
    context = LossContext(key, spread, objective.PHASES)
    terms = agent.loss_terms(params, target, trial, context)
    return TrialTerms(
        *terms["exploitation_td"],
        terms["bottleneck"].values,
        *terms["decoder"],
        *terms["exploration_td"],
    )


def batch_loss(agent):
    """(params, target, trials, key, exploring) -> what is minimised, and its parts."""

    def loss(params, target, trials, key, exploring=None):
        return objective.loss(agent, params, target, objective.Batch(trials, exploring), key)

    return loss


def gradients_of_parts(agent):
    """(params, target, trials) -> {loss: its gradients with respect to both parameters}.

    One program for all losses. The others have weight 0, so theirs are 0 if they are finite.
    """

    @quick_jit
    @functools.partial(jax.grad, argnums=(0, 1))
    def weighted(params, target, trials, weights):
        parts = batch_loss(agent)(params, target, trials, jax.random.key(2))[1]
        assert parts.keys() == weights.keys()
        return sum(weights[name] * part for name, part in parts.items())

    def gradients(*inputs):
        names = agent.loss_names
        return {
            name: weighted(*inputs, {other: float(other == name) for other in names})
            for name in names
        }

    return gradients


class Rich:
    """The agent of RICH on `Corridor`, its compiled functions and a batch of trials."""

    def __init__(self):
        self.env = probes.Corridor()
        self.agent = Dream(RICH, self.env)
        self.params, self.target = random_params(self.agent, 0), random_params(self.agent, 1)
        self.collect = collector(self.agent)
        self.trials = numpy(self.collect(self.params, jax.random.key(0), 0.6))
        self.keys = jax.random.split(jax.random.key(1), BATCH)
        self.encode = quick_jit(jax.vmap(self.agent.encode, (None, 0)))
        self.decode = quick_jit(jax.vmap(self.agent.decode, (None, 0)))
        self.read = quick_jit(jax.vmap(self.agent.read, (None, 0)))
        self.batch_loss = quick_jit(jax.value_and_grad(batch_loss(self.agent), has_aux=True))
        terms = functools.partial(trial_terms, self.agent)
        self.trial_terms = quick_jit(terms)
        self.terms = quick_jit(jax.vmap(terms, (None, None, 0, None, 0)))

    def terms_of(self, trials, keys, spread=1.0):
        return numpy(self.terms(self.params, self.target, trials, spread, keys))


def masked(terms, i):
    """The loss terms of trial i without padding."""
    return [
        terms.exploitation_td[i][terms.exploitation_mask[i]],
        terms.bottleneck[i],
        terms.decoder[i][terms.decoder_mask[i]],
        terms.exploration_td[i][terms.exploration_mask[i]],
    ]


def size(tree):
    return sum(float(jnp.sum(jnp.abs(x))) for x in jax.tree.leaves(tree))


def with_other_padding(episode, rng, num_actions):
    """Random numbers in all that was recorded after the episode; [..., T] numpy leaves."""
    mask = episode.mask
    after = np.concatenate([np.zeros_like(mask[..., :1]), ~mask], axis=-1)
    after[..., 1:] &= ~np.diff(after, axis=-1)  # the observation after the last step counts

    def scramble(values, where, noise):
        return np.where(
            where.reshape(where.shape + (1,) * (values.ndim - where.ndim)), noise, values
        )

    def bits():
        return rng.random(mask.shape) < 0.5

    return episode._replace(
        observation=scramble(
            episode.observation, after, rng.integers(0, 5, episode.observation.shape)
        ).astype(np.uint8),
        action=scramble(episode.action, ~mask, rng.integers(0, num_actions, mask.shape)).astype(
            np.uint8
        ),
        reward=scramble(episode.reward, ~mask, 100 * rng.normal(size=mask.shape)).astype(
            np.float32
        ),
        terminated=scramble(episode.terminated, ~mask, bits()),
        truncated=scramble(episode.truncated, ~mask, bits()),
    )


class MirroredCorridor(probes.Corridor):
    """The agent is told id p while the moves are those of problem 1 - p."""

    def reset(self, key, problem, instruction):
        return super().reset(key, 1 - problem, instruction)
