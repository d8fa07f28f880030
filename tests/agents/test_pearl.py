"""PEARL: its posterior is a product, it acts as it learns, and it never sees the problem id."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dream_jax.agents.pearl import Pearl
from dream_jax.config import Config, ConfigError, TrialConfig
from dream_jax.networks.posterior import TransitionPosterior
from tests import probes
from tests.agents.dream_case import BATCH, SMALL, MirroredCorridor, gradients_of_parts, numpy, size
from tests.agents.test_baselines import LONGER, learn
from tests.agents.whole_trial_case import case, make
from tests.probes import quick_jit

SHOWN = {"trial.rewards_in_exploration": "true", "trial.instruction_in_exploration": "true"}


def test_the_posterior_is_a_product_of_the_prior_and_a_factor_for_each_transition():
    net = TransitionPosterior(SMALL, (5,), (2,), 3, latent_size=4)
    rng = np.random.default_rng(0)
    place = rng.integers(0, 5, (4, 1))
    inputs = (
        place,
        np.array([[0], [1], [1]]),
        np.array([0, 2, 1]),
        np.array([0.0, -0.1, 1.0], np.float32),
        np.ones(3, bool),
    )
    params = net.init(jax.random.key(0), *inputs)
    params = jax.tree.map(lambda x: x + 0.3 * rng.normal(size=x.shape).astype(np.float32), params)
    apply = quick_jit(net.apply)
    mean, log_variance = (np.asarray(x) for x in apply(params, *inputs))
    np.testing.assert_array_equal(mean[0], 0.0)
    np.testing.assert_array_equal(log_variance[0], 0.0)
    precision = np.exp(-log_variance)
    assert (np.diff(precision, axis=0) > 0).all()  # every transition tells something

    # Each factor, from its transition alone; then the product of all three, by hand.
    factors = []
    for t in range(3):
        alone = [x[t : t + 1] for x in inputs[1:]]
        one_mean, one_log = apply(params, place[t : t + 2], *alone)
        own = np.exp(-np.asarray(one_log[1])) - 1.0
        factors.append((own, np.asarray(one_mean[1]) * (1.0 + own)))
    total = 1.0 + sum(p for p, _ in factors)
    np.testing.assert_allclose(precision[3], total, rtol=1e-5)
    np.testing.assert_allclose(mean[3], sum(x for _, x in factors) / total, rtol=1e-4, atol=1e-6)

    padded = (*inputs[:-1], np.array([True, True, False]))
    after, _ = apply(params, *padded)
    np.testing.assert_allclose(after[3], mean[2], rtol=1e-5)  # padding is no evidence


def test_what_is_learned_from_is_what_was_acted_on():
    """Its greedy actions are the best ones by the values that it recorded, for each draw."""
    c = case("pearl")

    @quick_jit
    @jax.vmap
    def explored(key, problem):
        played = c.agent.roll(c.params, key, problem, jnp.zeros((2, 1), jnp.uint8), 0.0)
        return played.exploration, played.exploration_q

    episodes, q = numpy(explored(jax.random.split(jax.random.key(0), BATCH), jnp.arange(BATCH) % 2))
    assert (np.argmax(q, -1) == episodes.action)[episodes.mask].all()
    assert episodes.instruction.shape == (BATCH, 4, 1)
    assert len({q[i].tobytes() for i in range(BATCH)}) == BATCH  # the draws differ


def test_each_loss_reaches_its_parameters():
    c = case("pearl")
    found = gradients_of_parts(c.agent)(c.params, c.target, c.trials)
    assert set(found) == {"exploration_td", "exploitation_td", "kl"}
    for loss, (online, target) in found.items():
        assert (size(online.policy.q) > 1e-6) == (loss != "kl")
        assert size(online.policy.posterior) > 1e-6
        assert size(target) == 0.0


def test_it_never_sees_the_problem_id():
    c = case("pearl")
    assert c.trials.acts_on_exploration.all()
    assert c.agent.informed_test(c.params, None, None, None) is None
    problems, instructions = np.arange(BATCH) % 2, np.zeros((BATCH, 2, 1), np.uint8)

    def tests(env, problems):
        test = quick_jit(jax.vmap(make("pearl", env).meta_test, (None, 0, 0, 0)))
        keys = jax.random.split(jax.random.key(9), BATCH)
        return numpy(test(c.params, keys, problems, instructions)[:2])

    right, mirrored = tests(probes.Corridor(), problems), tests(MirroredCorridor(), 1 - problems)
    for x, y in zip(jax.tree.leaves(right), jax.tree.leaves(mirrored), strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize(
    ("trial", "message"),
    [
        (TrialConfig(2, 1, instruction_in_exploration=True), "trial.exploration_episodes=2: "),
        (TrialConfig(1, 1), "trial.instruction_in_exploration=false: agent='pearl' needs true"),
    ],
)
def test_trials_that_it_cannot_act_in_are_refused(trial, message):
    with pytest.raises(ConfigError, match=message):
        Pearl.check(Config(trial=trial))


@pytest.mark.slow
def test_it_exploits_what_any_exploration_tells():
    # One draw of a latent task is as good as another here: any action tells the problem.
    _, _, evaluation = learn("pearl", probes.Twin(), **SHOWN, **LONGER)
    assert evaluation.trial_return.mean() >= 0.9  # 0.5 without what exploration told
