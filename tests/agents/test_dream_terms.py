"""DREAM's loss terms, put together from acting one step at a time."""

import dataclasses

import jax
import numpy as np

from dream_jax.agents.dream import Dream
from dream_jax.losses.dream import sample_encoding
from dream_jax.networks.policies import ExploitationPolicy, ExplorationPolicy
from tests.agents.dream_case import (
    BATCH,
    RICH,
    at,
    batch_loss,
    masked,
)
from tests.losses.test_td import watkins
from tests.probes import quick_jit


def unrolled(net, fixed=()):
    """(params, observations, inputs ...) -> Q-values, one step at a time as when acting."""

    @quick_jit
    def run(params, observation, fixed, *inputs):
        def step(carry, now):
            return net.apply(params, carry, now[0], *fixed, *now[1:], method="step")

        start = net.apply(params, method="initial")
        return jax.lax.scan(step, start, (observation, *inputs))[1]

    return run


def squared_errors(q, q_target, episode, reward):
    """Of the steps taken, in plain Python."""
    ended = episode.terminated | episode.truncated
    return np.square(
        watkins(
            {
                "q": np.asarray(q),
                "q_target": np.asarray(q_target),
                "action": episode.action,
                "reward": reward,
                "discount": np.where(ended, 0.0, RICH.td.discount),
                "mask": episode.mask,
            },
            RICH.td.trace_lambda,
        )
    )


def test_exploration_terms_are_those_of_the_definition(rich):
    terms = rich.terms_of(rich.trials, rich.keys)
    f = np.asarray(rich.encode(rich.params, rich.trials.problem))
    g = np.asarray(rich.decode(rich.params, rich.trials.exploration))
    net = ExplorationPolicy(RICH.networks, rich.env.observation_sizes, 4, sees_rewards=True)
    run = unrolled(net)
    length = 4 + 1 + 4
    for i in range(BATCH):
        episode = at(i, rich.trials.exploration)
        distance = np.sum((g[i] - f[i]) ** 2, axis=-1)
        steps = episode.mask.sum()
        np.testing.assert_allclose(terms.decoder[i][: steps + 1], distance[: steps + 1], rtol=1e-4)
        assert terms.decoder_mask[i].tolist() == [1] * (steps + 1) + [0] * (length - steps)
        before = np.append(4, episode.action).astype(np.int32)
        earned = np.append(0.0, episode.reward).astype(np.float32)
        time = np.linspace(0.0, 1.0, length + 1, dtype=np.float32)
        q, q_target = (
            run(p.exploration, episode.observation, (), before, earned, time)
            for p in (rich.params, rich.target)
        )
        errors = squared_errors(q, q_target, episode, distance[:-1] - distance[1:] - 0.1)
        np.testing.assert_allclose(terms.exploration_td[i][:steps], errors, rtol=2e-3, atol=1e-4)


def test_exploitation_terms_are_those_of_the_definition(rich):
    terms = rich.terms_of(rich.trials, rich.keys)
    f = rich.encode(rich.params, rich.trials.problem)
    g = rich.decode(rich.params, rich.trials.exploration)
    net = ExploitationPolicy(RICH.networks, rich.env.observation_sizes, (2,), 4)
    run = unrolled(net)
    time = np.linspace(0.0, 1.0, 4 + 1, dtype=np.float32)
    for i in range(BATCH):
        # KL(N(f, 0.1^2) || N(0, 0.1^2)) = |f|^2 / 0.02
        np.testing.assert_allclose(terms.bottleneck[i], np.sum(f[i] ** 2) / 0.02, rtol=1e-4)
        read = g[i, rich.trials.exploration.mask[i].sum()]
        noisy = sample_encoding(rich.keys[i], f[i], 0.1)
        z = read if rich.trials.acts_on_exploration[i] else noisy
        for n in range(2):
            episode, instruction = at((i, n), rich.trials.exploitation), rich.trials.instruction
            fixed = (instruction[i, n], z)
            q, q_target = (
                run(p.exploitation.policy, episode.observation, fixed, time)
                for p in (rich.params, rich.target)
            )
            errors = squared_errors(q, q_target, episode, episode.reward)
            found = terms.exploitation_td[i, n][: episode.mask.sum()]
            np.testing.assert_allclose(found, errors, rtol=2e-3, atol=1e-4)


def test_the_loss_of_a_batch_is_the_weighted_sum_of_means_over_its_steps(rich):
    key = jax.random.key(1)  # split as `rich.keys`
    (total, parts), _ = rich.batch_loss(rich.params, rich.target, rich.trials, key)
    terms = rich.terms_of(rich.trials, rich.keys)
    steps = [masked(terms, i) for i in range(BATCH)]
    for k, name in enumerate(Dream.loss_names):
        mean = np.concatenate([np.ravel(step[k]) for step in steps]).mean()
        np.testing.assert_allclose(parts[name], mean, rtol=1e-4)
    weights = {name: 0.5 if name == "bottleneck" else 1.0 for name in Dream.loss_names}
    expected = sum(weights[name] * parts[name] for name in Dream.loss_names)
    np.testing.assert_allclose(total, expected, rtol=1e-5)


def test_information_gain_may_be_a_share_of_the_spread_of_a_batch(rich):
    losses = dataclasses.replace(RICH.losses, normalise_information_gain=True)
    agent = Dream(dataclasses.replace(RICH, losses=losses), rich.env)
    key = jax.random.key(1)  # split as `rich.keys`
    parts = quick_jit(batch_loss(agent))(rich.params, rich.target, rich.trials, key)[1]
    f = np.asarray(rich.encode(rich.params, rich.trials.problem))
    scale = np.mean(np.sum((f - f.mean(axis=0)) ** 2, axis=-1)) + 0.1**2
    assert abs(scale - 1.0) > 0.1
    terms = rich.terms_of(rich.trials, rich.keys, np.float32(scale))
    expected = terms.exploration_td[terms.exploration_mask].mean()
    np.testing.assert_allclose(parts["exploration_td"], expected, rtol=1e-3)


def test_z_is_read_after_the_last_step_of_exploration(rich):
    z = rich.read(rich.params, rich.trials.exploration)
    g = np.asarray(rich.decode(rich.params, rich.trials.exploration))
    steps = rich.trials.exploration.mask.sum(axis=1)
    assert steps.min() < steps.max()
    np.testing.assert_allclose(z, g[np.arange(BATCH), steps], rtol=1e-5)
