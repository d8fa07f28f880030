"""VariBAD's bound."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dream_jax.losses import elbo as latent


def test_kl_of_gaussians():
    zero, one = jnp.zeros(2), jnp.ones(2)
    assert float(latent.gaussian_kl(zero, zero, zero, zero)) == 0.0
    # Unit variance, means (1, 1): |1|^2 / 2 for each of two dimensions.
    assert float(latent.gaussian_kl(one, zero, zero, zero)) == pytest.approx(1.0)
    # Variance 4 against 1: (4 - 1 - log 4) / 2 each.
    wide = jnp.full(2, np.log(4.0))
    assert float(latent.gaussian_kl(zero, wide, zero, zero)) == pytest.approx(3 - np.log(4.0))


def test_beliefs_are_measured_against_the_one_before_and_the_first_against_the_prior():
    mean, log_variance = jnp.array([[1.0], [1.0], [3.0]]), jnp.zeros((3, 1))
    # (1 - 0)^2 / 2, nothing new, (3 - 1)^2 / 2
    np.testing.assert_allclose(latent.filtering_kl(mean, log_variance), [0.5, 0.0, 2.0])


def test_log_likelihood_of_components():
    logits = jnp.log(jnp.array([0.25, 0.75, 0.5, 0.4, 0.1]))
    found = latent.component_log_likelihood(logits, jnp.array([1, 2]), (2, 3))
    assert float(found) == pytest.approx(np.log(0.75 * 0.1))


def test_samples_of_a_belief():
    mean, log_variance = jnp.full(20_000, 2.0), jnp.full(20_000, np.log(9.0))
    drawn = latent.sample_gaussian(jax.random.key(0), mean, log_variance)
    assert float(drawn.mean()) == pytest.approx(2.0, abs=0.1)
    assert float(drawn.std()) == pytest.approx(3.0, rel=0.03)
