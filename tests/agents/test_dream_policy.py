"""DREAM's agent: what it acts on, and that it needs no problem id."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dream_jax.agents.dream import Dream
from dream_jax.agents.exploration_noise import ExplorationNoise
from dream_jax.config import (
    ActingConfig,
    Config,
)
from dream_jax.data import rollout
from dream_jax.networks.policies import ExploitationPolicy, ExplorationPolicy
from tests import probes
from tests.agents.dream_case import BATCH, RICH, SMALL, MirroredCorridor, numpy, random_params
from tests.probes import quick_jit


def test_what_is_learned_from_is_what_was_acted_on(rich):
    """Greedy actions are the best ones by the values that the update computes."""
    trials = numpy(rich.collect(rich.params, jax.random.key(6), 0.0))
    explore = ExplorationPolicy(RICH.networks, rich.env.observation_sizes, 4, sees_rewards=True)
    q = quick_jit(jax.vmap(explore.apply, (None, 0, 0, 0, None)))(
        rich.params.exploration,
        trials.exploration.observation,
        np.pad(trials.exploration.action.astype(np.int32), ((0, 0), (1, 0)), constant_values=4),
        np.pad(trials.exploration.reward, ((0, 0), (1, 0))),
        rollout.fraction_over(9),
    )
    mask = trials.exploration.mask
    assert (np.argmax(q[:, :-1], -1) == trials.exploration.action)[mask].all()
    assert len(np.unique(trials.exploration.action[mask])) > 1

    exploit = ExploitationPolicy(RICH.networks, rich.env.observation_sizes, (2,), 4)
    g = rich.decode(rich.params, trials.exploration)
    for i in np.flatnonzero(trials.acts_on_exploration):
        z = g[i, mask[i].sum()]
        q = quick_jit(jax.vmap(exploit.apply, (None, 0, 0, None, None)))(
            rich.params.exploitation.policy,
            trials.exploitation.observation[i],
            trials.instruction[i],
            z,
            rollout.fraction_over(4),
        )
        equal = np.argmax(q[:, :-1], -1) == trials.exploitation.action[i]
        assert equal[trials.exploitation.mask[i]].all()


@pytest.fixture(scope="module")
def plain():
    """(network, params, exploit): an agent that never ends an episode at random."""
    env = probes.Corridor()
    acting = ActingConfig(excluded_random_actions=(env.end_episode_action,))
    agent = Dream(Config(networks=SMALL, acting=acting), env)
    params, draws = random_params(agent, 3), 64

    def one(seed, epsilon, suffix_start, time_shift):
        z = jax.random.normal(jax.random.key(seed), (3,))
        keys = jax.random.split(jax.random.key(8), draws)[seed]
        instruction = jnp.full(1, seed % 2)
        noise = ExplorationNoise(epsilon, suffix_start, time_shift)
        episode = agent.exploit(params, keys, seed % 2, instruction, z, noise).episode
        explored = agent.explore(params, keys, seed % 2, epsilon).episode
        return z, instruction, episode, explored

    exploit = quick_jit(jax.vmap(one, (0, None, None, None)))
    net = ExploitationPolicy(SMALL, env.observation_sizes, (2,), 4)
    return net, params, lambda *options: numpy(exploit(jnp.arange(draws), *options))


def test_an_excluded_action_is_never_drawn_at_random(plain):
    _, _, exploit = plain
    _, _, episode, explored = exploit(1.0, 4, 0.0)
    for actions in (episode.action, explored.action):
        assert set(np.unique(actions)) == {0, 1, 2}
    greedy = exploit(0.0, 4, 0.0)[2]
    assert (greedy.action == 3).any()  # where it is the best one, it is still taken


def test_a_random_suffix_starts_at_its_step(plain):
    _, _, exploit = plain
    greedy, suffix = exploit(0.0, 4, 0.0)[2], exploit(0.0, 1, 0.0)[2]
    np.testing.assert_array_equal(greedy.action[:, 0], suffix.action[:, 0])
    np.testing.assert_array_equal(greedy.mask[:, :2], suffix.mask[:, :2])
    alive = greedy.mask[:, 1]
    assert alive.sum() > 20
    # At least 9 in 10 random over three actions: other than greedy 6 times in 10 or more.
    assert (greedy.action != suffix.action)[alive, 1].mean() > 0.4


def test_a_time_shift_acts_as_if_later(plain):
    net, params, exploit = plain
    values = quick_jit(jax.vmap(net.apply, (None, 0, 0, 0, None)))
    taken = []
    for shift in (0.0, 0.5, 2.0):
        z, instruction, episode, _ = exploit(0.0, 4, shift)
        time = np.minimum(np.array([0.0, 0.25, 0.5, 0.75, 1.0]) + shift, 1.0)
        q = values(params.exploitation.policy, episode.observation, instruction, z, time)
        assert (np.argmax(q[:, :-1], -1) == episode.action)[episode.mask].all()
        taken.append(episode.action[:, 0])
    assert (taken[0] != taken[1]).any()


def meta_tester(agent):
    return quick_jit(jax.vmap(agent.meta_test, (None, 0, 0, 0)))


def test_meta_testing_ignores_the_problem_id(rich):
    problems = np.arange(BATCH, dtype=np.int32) % 2
    instructions = np.random.default_rng(1).integers(0, 2, (BATCH, 2, 1)).astype(np.uint8)
    keys = jax.random.split(jax.random.key(9), BATCH)
    meta_test = meta_tester(rich.agent)
    expected = numpy(meta_test(rich.params, keys, problems, instructions))

    def replaced(noise):
        exploitation = rich.params.exploitation
        encoder = jax.tree.map(noise, exploitation.encoder)
        return rich.params._replace(exploitation=exploitation._replace(encoder=encoder))

    for noise in (lambda x: 3.0 - x, lambda x: jnp.full_like(x, jnp.nan)):
        params = replaced(noise)
        found = numpy(meta_test(params, keys, problems, instructions))
        for x, y in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
            np.testing.assert_array_equal(x, y)

    # A wrong id: what counts is the problem that the environment runs.
    told_wrong = meta_tester(Dream(RICH, MirroredCorridor()))
    found = numpy(told_wrong(rich.params, keys, 1 - problems, instructions))
    for x, y in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        if np.issubdtype(x.dtype, np.floating):  # another program may round in another way
            np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5)
        else:
            np.testing.assert_array_equal(x, y)
    # The problem itself does count, or the above would show nothing.
    mirrored = numpy(told_wrong(rich.params, keys, problems, instructions))
    assert (mirrored.exploration.observation != expected.exploration.observation).any()
    assert (mirrored.exploitation.observation != expected.exploitation.observation).any()


def test_exploitation_does_depend_on_z(rich):
    # Otherwise knowing no id would be no feat.
    instructions = np.array([[0], [1]], np.uint8)

    @quick_jit
    @jax.vmap
    def actions(z):
        key, problem = jax.random.key(0), jnp.int32(0)
        return rich.agent.exploit_all(rich.params, key, problem, instructions, z).episode.action

    z = 3.0 * jax.random.normal(jax.random.key(10), (8, 3))
    assert len(np.unique(actions(z)[..., 0], axis=0)) > 1
