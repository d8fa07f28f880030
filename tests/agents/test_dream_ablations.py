"""DREAM paid for something else: which loss reaches what, and what exploration is paid."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dream_jax.agents import registry
from dream_jax.agents.dream import Explored
from dream_jax.losses.dream import log_likelihood_gain
from tests import probes
from tests.agents.dream_case import (
    BATCH,
    RICH,
    at,
    collector,
    gradients_of_parts,
    numpy,
    random_params,
    size,
)
from tests.probes import quick_jit
from tests.tiers import quick


class Case:
    def __init__(self, name):
        self.agent = registry.make(dataclasses.replace(RICH, agent=name), probes.Corridor())
        self.params, self.target = random_params(self.agent, 0), random_params(self.agent, 1)
        self.trials = numpy(collector(self.agent)(self.params, jax.random.key(0), 0.6))


@functools.cache
def case(name):
    return Case(name)


def rewards(c, params, target):
    """[BATCH, L] what exploration is paid in each trial."""

    @quick_jit
    @functools.partial(jax.vmap, in_axes=(None, None, 0))
    def paid(params, target, trial):
        g = c.agent.decode(params, trial.exploration)
        f, one = c.agent.encode(params, trial.problem), jnp.ones(())
        explored = Explored(trial, trial.exploration, g, f, one)
        return c.agent.exploration_reward(params, target, explored)

    return np.asarray(paid(params, target, c.trials))


def test_log_likelihood_gain_telescopes():
    log_q = jnp.log(jnp.array([0.25, 0.5, 0.125]))
    found = log_likelihood_gain(log_q, 0.1, 2.0)
    # log 2 for twice as likely, log 1/4 for a quarter; half of it, less the penalty.
    np.testing.assert_allclose(found, [np.log(2) / 2 - 0.1, np.log(0.25) / 2 - 0.1], rtol=1e-6)
    assert float(found.sum()) == pytest.approx(np.log(0.125 / 0.25) / 2 - 0.2)
    assert float(jnp.abs(jax.jacrev(lambda x: log_likelihood_gain(x, 0.1))(log_q)).max()) == 0.0


EXPLOITATION = {"exploitation.policy", "exploitation.encoder", "exploitation.decoder"}
REACH = {  # RICH lets TD errors reach the decoder, in every other trial
    "exploitation_td": EXPLOITATION,
    "bottleneck": {"exploitation.encoder"},
    "decoder": {"exploitation.decoder"},
    "exploration_td": {"exploration"},
    "identification": {"identifier"},
    "next_states": {"predictor"},
}


COUPLED = "dream_end_to_end"  # it has no encoder
ABLATIONS = ["dream_dynamics", "dream_next_states", "dream_half_coupled", "dream_end_to_end"]


@pytest.mark.parametrize("name", quick(ABLATIONS, "dream_end_to_end", "dream_next_states"))
def test_each_loss_reaches_its_parameters_and_no_others(name):
    c = case(name)
    trials = c.trials
    if name == COUPLED:
        trials = trials._replace(acts_on_exploration=np.ones(BATCH, bool))
    gradients = gradients_of_parts(c.agent)(c.params, c.target, trials)
    assert set(gradients) == set(c.agent.loss_names)
    assert ("identification" in gradients) == (name == "dream_dynamics")
    assert ("next_states" in gradients) == (name == "dream_next_states")
    for loss, (online, target) in gradients.items():
        exploitation = online.exploitation._asdict()
        found = {f"exploitation.{part}": x for part, x in exploitation.items()}
        found |= {learner: x for learner, x in online._asdict().items() if learner[:6] != "exploi"}
        for group, gradient in found.items():
            reached = REACH[loss] - ({"exploitation.encoder"} if name == COUPLED else set())
            assert (size(gradient) > 1e-6) == (group in reached), (loss, group)
        assert size(target) == 0.0


def test_dynamics_is_paid_for_the_id_whatever_z_holds():
    c = case("dream_dynamics")
    before = rewards(c, c.params, c.target)
    encoder = jax.tree.map(lambda x: 3.0 * x, c.params.exploitation.encoder)
    other = c.params._replace(exploitation=c.params.exploitation._replace(encoder=encoder))
    np.testing.assert_array_equal(rewards(c, other, c.target), before)
    # And what is paid is the log-likelihood that the identifier's loss measures.
    log_q = quick_jit(jax.vmap(c.agent.log_likelihood, (None, 0, 0)))(
        c.params, c.trials, c.trials.exploration
    )
    log_q = np.asarray(log_q)
    np.testing.assert_allclose(before, log_q[:, 1:] - log_q[:, :-1] - 0.1, atol=1e-5)
    assert (log_q < 0).all() and np.ptp(before) > 0.01


def test_next_states_is_paid_for_the_transitions_of_exploitation():
    """What each step of exploration adds to the log-likelihood of the steps of exploitation."""
    c = case("dream_next_states")
    found, agent = rewards(c, c.params, c.target), c.agent
    weights, sizes = c.params.predictor, agent.env.observation_sizes
    explored = c.trials.exploration
    assert not c.trials.exploitation.mask.all()  # padding must not count

    @quick_jit
    def predicted(trial):
        seen = trial.exploration
        action = seen.action.astype(jnp.int32)
        (m,) = agent._summary.apply(weights.summary, seen.observation, action, seen.reward)

        # One transition and one prefix at a time.
        def one(m, before, action):
            logits = agent._transitions.apply(
                weights.transitions, before[None], action[None].astype(jnp.int32), m[None]
            )
            return logits[0, 0]

        steps = jax.vmap(one, (None, 0, 0))
        played = trial.exploitation
        every = jax.vmap(steps, (None, 0, 0))
        return jax.vmap(every, (0, None, None))(m, played.observation[:, :-1], played.action)

    for i in range(BATCH):
        trial = at(i, c.trials)
        logits = np.asarray(predicted(trial), np.float64)  # [L + 1, N, T, sizes]
        log_q, start = np.zeros(len(logits)), 0
        for k, count in enumerate(sizes):
            part = logits[..., start : start + count]
            part = part - np.log(np.exp(part).sum(axis=-1, keepdims=True))
            after = trial.exploitation.observation[:, 1:, k].astype(int)
            chosen = np.take_along_axis(part, after[None, ..., None], axis=-1)[..., 0]
            log_q += (chosen * trial.exploitation.mask).sum(axis=(1, 2)) / 2  # two episodes
            start += count
        np.testing.assert_allclose(found[i], np.diff(log_q) - 0.1, atol=1e-4)
    assert np.ptp(found[explored.mask]) > 0.01
    encoder = jax.tree.map(lambda x: 3.0 * x, c.params.exploitation.encoder)
    other = c.params._replace(exploitation=c.params.exploitation._replace(encoder=encoder))
    np.testing.assert_array_equal(rewards(c, other, c.target), found)


def test_end_to_end_is_paid_the_value_of_exploitation_at_the_end():
    c = case("dream_half_coupled")
    found = rewards(c, c.params, c.target)
    steps = c.trials.exploration.mask.sum(axis=1)
    assert steps.min() < steps.max()
    agent, exploration = c.agent, c.trials.exploration
    z = np.asarray(quick_jit(jax.vmap(agent.read, (None, 0)))(c.params, exploration))

    @quick_jit
    def first(params, observation, instruction, z):
        time = jnp.zeros(1)
        weights = params.exploitation.policy
        return agent._exploit.apply(weights, observation[:1], instruction, z, time)[0]

    for i in range(BATCH):
        worth = []
        for n in range(2):
            episode = at((i, n), c.trials.exploitation)
            inputs = episode.observation, c.trials.instruction[i, n], z[i]
            online, slow = (np.asarray(first(p, *inputs)) for p in (c.params, c.target))
            worth.append(slow[np.argmax(online)])
        expected = np.zeros_like(found[i])
        expected[steps[i] - 1] = 0.99 * np.mean(worth)
        np.testing.assert_allclose(found[i], expected, rtol=1e-4, atol=1e-5)


def test_the_coupled_agent_never_uses_the_problem_id():
    c = case("dream_end_to_end")
    assert c.agent.informed_test(c.params, None, None, None) is None
    encoder = jax.tree.map(lambda x: jnp.full_like(x, jnp.nan), c.params.exploitation.encoder)
    without = c.params._replace(exploitation=c.params.exploitation._replace(encoder=encoder))
    before, after = (
        numpy(
            quick_jit(jax.vmap(c.agent.collect, (None, 0, None, None, 0)))(
                params, jax.random.split(jax.random.key(0), 4), 0.6, 0.6, jnp.arange(4) % 2 == 0
            )
        )
        for params in (c.params, without)
    )
    assert before.acts_on_exploration.all()
    for x, y in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True):
        np.testing.assert_array_equal(x, y)
