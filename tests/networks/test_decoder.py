"""Decoder and encoder: what may reach which output, and how they start."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dream_jax.networks.policies import Decoder, Encoder
from tests.networks.sequences import (
    SIZES,
    A,
    T,
    make,
    rows_that_differ,
    sequence,
    small,
)
from tests.probes import quick_jit

FOLDS = 2


def decoder(kind="mingru", sees_rewards=True, **options):
    """(apply, parameters) of a decoder with two heads, side by side in rows [T + 1, FOLDS * Z]."""
    net = Decoder(small(decoder_memory=kind, **options), SIZES, A, sees_rewards, FOLDS)
    apply, params = make(net, *sequence())
    return lambda params, *inputs: np.concatenate(apply(params, *inputs), axis=-1), params


@pytest.mark.parametrize("kind", ["lstm", "mingru"])
@pytest.mark.parametrize("embedding", ["sum", "mlp"])
def test_the_decoder_of_a_prefix_knows_nothing_of_what_comes_later(kind, embedding):
    apply, params = decoder(kind, embedding=embedding)
    observation, action, reward = sequence()
    g = apply(params, observation, action, reward)
    assert g.shape == (T + 1, FOLDS * 3)
    for t in range(T):
        # Transition t is (s_t, a_t, r_t, s_{t+1}); s_t belongs to the one before as well.
        arrived = observation.at[t + 1, 0].set((observation[t + 1, 0] + 1) % SIZES[0])
        for changed in (
            (arrived, action, reward),
            (observation, action.at[t].set((action[t] + 1) % A), reward),
            (observation, action, reward.at[t].set(2.0)),
        ):
            assert rows_that_differ(g, apply(params, *changed)) == list(range(t + 1, T + 1))


@pytest.mark.parametrize("embedding", ["sum", "mlp"])
def test_the_decoder_tells_negative_rewards_apart(embedding):
    apply, params = decoder(embedding=embedding)
    observation, action, reward = sequence()
    g = [apply(params, observation, action, reward.at[2].set(r)) for r in (-0.1, -1.0)]
    assert rows_that_differ(*g) == list(range(3, T + 1))


def test_the_decoder_ignores_hidden_rewards():
    apply, params = decoder(sees_rewards=False)
    observation, action, reward = sequence()
    blind = apply(params, observation, action, jnp.full_like(reward, jnp.nan))
    np.testing.assert_array_equal(blind, apply(params, observation, action, reward))


@pytest.mark.parametrize("kind", ["lstm", "mingru"])
def test_the_decoder_of_the_empty_prefix_is_one_constant(kind):
    apply, params = decoder(kind)
    a, b = (apply(params, *sequence(seed)) for seed in (0, 1))
    assert np.isfinite(a[0]).all()
    np.testing.assert_array_equal(a[0], b[0])
    assert rows_that_differ(a, b) == list(range(1, T + 1))


def test_heads_of_the_decoder_share_a_trunk_and_nothing_after_it():
    net = Decoder(small(), SIZES, A, sees_rewards=False, folds=FOLDS)
    apply, params = make(net, *sequence())
    heads = apply(params, *sequence())
    assert heads.shape == (FOLDS, T + 1, 3)
    assert (heads[0] != heads[1]).any(axis=-1).all()

    @quick_jit
    @jax.jacrev
    def reached(params):
        return jnp.sum(jnp.square(net.apply(params, *sequence())), axis=(1, 2))

    by_head = np.concatenate(
        [np.reshape(x, (FOLDS, -1)) != 0 for x in jax.tree.leaves(reached(params))], axis=1
    )
    only_first, only_second = by_head[0] & ~by_head[1], by_head[1] & ~by_head[0]
    assert only_first.sum() > 10 and only_second.sum() > 10
    assert (by_head[0] & by_head[1]).sum() > 10


@pytest.mark.parametrize("kind", ["lstm", "mingru"])
def test_one_prefix_alone_is_decoded_as_among_all(kind):
    net = Decoder(small(decoder_memory=kind), SIZES, A, True, FOLDS)
    apply, params = make(net, *sequence())
    g = apply(params, *sequence())
    for t in (0, 1, 3, T):
        alone = apply(params, *sequence(), jnp.int32(t))
        assert alone.shape == (FOLDS, 3)
        np.testing.assert_allclose(alone, g[:, t], rtol=1e-4, atol=1e-5)


@functools.cache
def encodings(scale, problems=40):
    """Parameters as they start, and f of every problem."""
    net = Encoder(small(encoder_init_scale=scale, z_size=16), problems)
    params = quick_jit(net.init)(jax.random.key(0), jnp.int32(0))
    return params, quick_jit(jax.vmap(net.apply, (None, 0)))(params, jnp.arange(problems))


def test_the_encoder_starts_small_by_its_scale():
    full, tenth = encodings(1.0)[1], encodings(0.1)[1]
    np.testing.assert_allclose(tenth, 0.1 * full, rtol=1e-4, atol=1e-7)
    # Table entries N(0, 1), kernel entries U(+-0.1 / sqrt(32)) with variance 0.01 / 32 / 3: an
    # entry of f has variance 32 * 0.01 / 96, and |f|^2 of 16 entries is 0.053 on average.
    assert np.mean(np.sum(np.square(tenth), axis=-1)) == pytest.approx(16 * 0.01 / 3, rel=0.25)


def test_the_encoder_starts_as_the_usual_linear_layer_times_its_scale():
    kernel = np.asarray(encodings(0.1)[0]["params"]["Dense_0"]["kernel"])
    bound = 0.1 / np.sqrt(32)
    assert np.abs(kernel).max() <= bound
    assert np.abs(kernel).max() > 0.98 * bound  # 512 draws


def test_problems_have_encodings_of_their_own():
    f = np.asarray(encodings(0.1)[1])
    distances = np.linalg.norm(f[:, None] - f[None], axis=-1)
    assert (distances[~np.eye(len(f), dtype=bool)] > 1e-3).all()


def test_a_descriptor_is_encoded_by_its_values():
    a, b = jnp.array([1.0, -2.0]), jnp.array([1.0, -1.0])
    apply, params = make(Encoder(small(), num_problems=3), a)
    assert apply(params, a).shape == (3,)
    assert params["params"]["Dense_0"]["kernel"].shape == (2, 32)
    assert (apply(params, a) != apply(params, b)).any()
