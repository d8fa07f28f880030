"""Losses of one trial: goldens derived in the comments, and where gradients may go."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dream_jax.losses import dream as losses
from dream_jax.losses.reduce import masked_mean

# The decoder walks towards f = (1, 2): squared distances 1 + 4, 0 + 4, 0 + 1.
G = jnp.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
F = jnp.array([1.0, 2.0])
DISTANCES = [5.0, 4.0, 1.0]


def random_f_g(seed, steps=6, size=5):
    f_key, g_key = jax.random.split(jax.random.key(seed))
    return jax.random.normal(f_key, (size,)), jax.random.normal(g_key, (steps + 1, size))


def test_decoder_loss_is_the_squared_distance_of_every_prefix():
    np.testing.assert_array_equal(losses.squared_distances(G, F), DISTANCES)
    np.testing.assert_array_equal(losses.decoder_loss(G, F), DISTANCES)


def test_decoder_loss_reaches_the_decoder_and_not_its_target():
    f, g = random_f_g(0)
    to_g, to_f = jax.grad(lambda g, f: jnp.sum(losses.decoder_loss(g, f)), argnums=(0, 1))(g, f)
    np.testing.assert_allclose(to_g, 2.0 * (g - f), rtol=1e-6)
    np.testing.assert_array_equal(to_f, np.zeros_like(f))


@pytest.mark.parametrize(
    ("penalty", "scale", "expected"),
    [
        (0.0, 1.0, [1.0, 3.0]),  # 5 - 4, 4 - 1
        (0.5, 1.0, [0.5, 2.5]),
        (0.5, 4.0, [-0.25, 0.25]),  # 1 / 4 - 0.5, 3 / 4 - 0.5: the penalty is not scaled
    ],
)
def test_information_gain_goldens(penalty, scale, expected):
    np.testing.assert_array_equal(losses.information_gain(G, F, penalty, scale), expected)


def test_information_gain_is_unscaled_by_default():
    np.testing.assert_array_equal(losses.information_gain(G, F, 0.0), [1.0, 3.0])


def test_information_gain_is_positive_when_the_decoder_comes_closer():
    f, start = random_f_g(1)[0], jnp.zeros(5)
    towards = jnp.linspace(0.0, 1.0, 5)[:, None] * (f - start)
    assert (losses.information_gain(towards, f, 0.0) > 0).all()
    assert (losses.information_gain(towards[::-1], f, 0.0) < 0).all()
    still = jnp.tile(start, (5, 1))
    np.testing.assert_array_equal(losses.information_gain(still, f, 0.0), np.zeros(4))


@pytest.mark.parametrize(("penalty", "scale"), [(0.0, 1.0), (0.25, 1.0), (0.125, 8.0)])
def test_information_gain_telescopes_exactly(penalty, scale):
    rng = np.random.default_rng(2)
    steps = 20
    # Small integers and powers of two: every sum below is exact in float32.
    f = rng.integers(-4, 5, 6).astype(np.float32)
    g = rng.integers(-4, 5, (steps + 1, 6)).astype(np.float32)
    rewards = np.asarray(losses.information_gain(jnp.asarray(g), jnp.asarray(f), penalty, scale))
    first, last = np.sum((g[0] - f) ** 2), np.sum((g[-1] - f) ** 2)
    assert first != last
    assert rewards.sum() == (first - last) / scale - penalty * steps


def test_information_gain_carries_no_gradient():
    f, g = random_f_g(3)

    def total(g, f, weight):
        return jnp.sum(losses.information_gain(weight * g, weight * f, 0.1) * weight)

    to_g, to_f, to_weight = jax.grad(total, argnums=(0, 1, 2))(g, f, jnp.float32(1.0))
    np.testing.assert_array_equal(to_g, np.zeros_like(g))
    np.testing.assert_array_equal(to_f, np.zeros_like(f))
    # Only the explicit factor: the sum of the rewards themselves.
    rewards = losses.information_gain(g, f, 0.1)
    np.testing.assert_allclose(to_weight, jnp.sum(rewards), rtol=1e-5)


def test_spread_golden():
    # Mean (1, 0), squared distances 1 and 1, then 0.1^2.
    assert losses.spread(jnp.array([[0.0, 0.0], [2.0, 0.0]]), 0.1) == pytest.approx(1.01)
    # Mean (1, 1), squared distances 2, 1, 1; mean 4 / 3, and 0.5^2.
    f = jnp.array([[0.0, 0.0], [1.0, 2.0], [2.0, 1.0]])
    assert losses.spread(f, 0.5) == pytest.approx(4 / 3 + 0.25)


def test_spread_of_one_problem_is_the_noise():
    assert losses.spread(jnp.full((4, 3), 7.0), 0.1) == pytest.approx(0.01)


def test_spread_carries_no_gradient():
    f = jax.random.normal(jax.random.key(4), (4, 3))
    np.testing.assert_array_equal(jax.grad(lambda f: losses.spread(f, 0.1))(f), np.zeros((4, 3)))


def kl_by_quadrature(mean, rho):
    """KL(N(mean, rho^2) || N(0, rho^2)) of one dimension, integrated numerically in float64."""
    x = np.linspace(mean - 12 * rho, mean + 12 * rho, 20_001)
    density = np.exp(-((x - mean) ** 2) / (2 * rho**2)) / np.sqrt(2 * np.pi * rho**2)
    log_ratio = -((x - mean) ** 2) / (2 * rho**2) + x**2 / (2 * rho**2)
    return np.sum(density * log_ratio) * (x[1] - x[0])


@pytest.mark.parametrize("rho", [0.1, 0.7])
def test_bottleneck_kl_is_the_divergence_from_the_prior(rho):
    f = np.array([0.3, -0.4, 0.0, 1.2])
    expected = sum(kl_by_quadrature(mean, rho) for mean in f)
    assert losses.bottleneck_kl(jnp.asarray(f, jnp.float32), rho) == pytest.approx(expected, 1e-5)


def test_bottleneck_kl_golden():
    # (0.09 + 0.16) / (2 * 0.01)
    assert losses.bottleneck_kl(jnp.array([0.3, 0.4]), 0.1) == pytest.approx(12.5)


def test_bottleneck_clipped_is_flat_below_the_clip():
    value_and_gradient = jax.value_and_grad(lambda f: losses.bottleneck_clipped(f, 10.0))
    value, gradient = value_and_gradient(jnp.array([3.0, 0.5]))  # 9.25
    assert value == 10.0
    np.testing.assert_array_equal(gradient, [0.0, 0.0])
    value, gradient = value_and_gradient(jnp.array([3.0, 4.0]))
    assert value == 25.0
    np.testing.assert_array_equal(gradient, [6.0, 8.0])


def test_encodings_are_drawn_around_f_with_standard_deviation_rho():
    f, rho, draws = jnp.array([1.0, -2.0]), 0.3, 10_000
    keys = jax.random.split(jax.random.key(5), draws)
    z = jax.vmap(lambda key: losses.sample_encoding(key, f, rho))(keys)
    # Five standard errors: of a mean rho / sqrt(n), of a standard deviation rho / sqrt(2 n).
    np.testing.assert_allclose(z.mean(0), f, atol=5 * rho / np.sqrt(draws))
    np.testing.assert_allclose(z.std(0), rho, atol=5 * rho / np.sqrt(2 * draws))
    assert abs(np.corrcoef(z.T)[0, 1]) < 5 / np.sqrt(draws)


def test_encodings_pass_the_gradient_on_to_f():
    gradient = jax.jacobian(lambda f: losses.sample_encoding(jax.random.key(6), f, 0.3))(F)
    np.testing.assert_array_equal(gradient, np.eye(2))


@pytest.mark.parametrize(
    "call",
    [
        lambda: losses.sample_encoding(jax.random.key(0), G, 0.1),
        lambda: losses.bottleneck_kl(G, 0.1),
        lambda: losses.bottleneck_clipped(G, 10.0),
        lambda: losses.squared_distances(F, F),  # a batch axis too few
        lambda: losses.squared_distances(G[None], F),
        lambda: losses.squared_distances(G, G),  # would broadcast
        lambda: losses.decoder_loss(G, F[:1]),  # would broadcast too
        lambda: losses.information_gain(G, F[:1], 0.0),
        lambda: losses.spread(F, 0.1),
        lambda: masked_mean(G, jnp.ones(2)),
        lambda: masked_mean(G, jnp.ones((3, 1))),
    ],
)
def test_wrong_shapes_are_refused(call):
    with pytest.raises(AssertionError):
        call()
