"""Products of rows: equal to `@` however transformed, and flat where trials are mapped."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dream_jax.networks.dense import dense, matmul

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(4, 3, 5)).astype(np.float32)  # trials, steps, features
KERNEL = RANDOM.normal(size=(5, 2)).astype(np.float32)
KERNELS = RANDOM.normal(size=(6, 5, 2)).astype(np.float32)
WIDE = RANDOM.normal(size=(6, 5, 4)).astype(np.float32)


def of_vector(product, x, kernel):
    return jnp.sum(jnp.sin(product(x[0, 0], kernel)))


def of_sequence(product, x, kernel):
    return jnp.sum(jnp.sin(product(x[0], kernel)))


def of_trials(product, x, kernel):
    return jnp.sum(jnp.sin(jax.vmap(product, (0, None))(x, kernel)))


def of_nested_maps(product, x, kernel):
    # The inner map is over the last axis but one, which the rule has to move.
    inner = jax.vmap(product, (0, None))
    return jnp.sum(jnp.sin(jax.vmap(inner, (1, None), out_axes=1)(x, kernel)))


def of_trials_in_a_scan(product, x, kernel):
    def sequence(x, kernel):
        return jax.lax.scan(
            lambda c, row: (c + jnp.sin(product(row, kernel)), None), 0.0 * kernel[0], x
        )[0]

    return jnp.sum(jax.vmap(sequence, (0, None))(x, kernel))


EVERY = (of_vector, of_sequence, of_trials, of_nested_maps, of_trials_in_a_scan)


def both(transformed, *arguments):
    """What a transformation of the loss gives with this product, and with `@`."""
    return transformed(matmul)(*arguments), transformed(jnp.matmul)(*arguments)


@pytest.mark.parametrize("loss", EVERY)
@pytest.mark.parametrize("kernel", [KERNEL, WIDE[0]], ids=["narrow", "wide"])
def test_values_and_gradients_are_those_of_the_matrix_product(loss, kernel):
    def gradients(product):
        return jax.jit(jax.value_and_grad(lambda x, k: loss(product, x, k), (0, 1)))

    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6),
        *both(gradients, X, kernel),
    )


@pytest.mark.parametrize("loss", EVERY)
@pytest.mark.parametrize("kernels", [KERNELS, WIDE], ids=["narrow", "wide"])
def test_seeds_may_be_mapped_over_gradients(loss, kernels):
    def gradients(product):
        return jax.vmap(jax.grad(lambda x, k: loss(product, x, k), (0, 1)), (None, 0))

    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6),
        *both(gradients, X, kernels),
    )


@pytest.mark.parametrize("axes", [(0, None), (2, None), (None, 0), (None, 2), (0, 0), (2, 1)])
def test_either_side_may_be_mapped_over_any_axis(axes):
    def mapped(product):
        return jax.vmap(product, axes)

    x = X[0] if axes[0] is None else np.moveaxis(X, 0, axes[0])
    kernel = KERNEL if axes[1] is None else np.moveaxis(KERNELS[: len(X)], 0, axes[1])
    np.testing.assert_allclose(*both(mapped, x, kernel), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("types", [(np.int32, np.float32), (jnp.bfloat16, np.float32)])
def test_types_are_promoted_alike_with_and_without_jit(types):
    x, kernel = X.astype(types[0]), KERNEL.astype(types[1])
    eager, compiled = matmul(x, kernel), jax.jit(matmul)(x, kernel)
    assert eager.dtype == compiled.dtype == jnp.float32
    np.testing.assert_allclose(eager, x.astype(np.float32) @ kernel, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(0, 3, 5), (4, 0, 5), (4, 3, 0)])
def test_there_may_be_nothing_to_multiply(shape):
    product = matmul(np.ones(shape), np.ones((shape[-1], 2)))
    np.testing.assert_array_equal(product, np.zeros((*shape[:-1], 2)))


def test_shapes_that_do_not_fit_are_refused_when_traced():
    with pytest.raises(TypeError):
        jax.eval_shape(matmul, X, KERNEL.T)


@pytest.mark.parametrize("kernel", [KERNEL, WIDE[0]], ids=["narrow", "wide"])
def test_the_derivative_may_be_taken_twice(kernel):
    def hessian(product):
        return jax.hessian(lambda k: of_trials(product, X, k))

    np.testing.assert_allclose(*both(hessian, kernel), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kernel", [KERNEL, WIDE[0]], ids=["narrow", "wide"])
def test_no_rows_have_a_gradient_of_0(kernel):
    gradient = jax.grad(lambda k: of_trials(matmul, X[:0], k))(kernel)
    np.testing.assert_array_equal(gradient, np.zeros_like(kernel))


def products_of_gradient(product, kernel):
    """(contracted axes, shape) of each product of the traced gradient of a batch of trials."""
    jaxpr = jax.make_jaxpr(jax.grad(lambda k: of_trials(product, X, k)))(kernel)
    products = [e for e in jaxpr.eqns if e.primitive.name == "dot_general"]
    return [(len(e.params["dimension_numbers"][0][0]), e.outvars[0].aval.shape) for e in products]


def test_a_kernels_gradient_contracts_one_axis_of_rows():
    # A kernel with few columns gets its gradient the other way round, and turned afterwards.
    assert products_of_gradient(matmul, KERNEL) == [(1, (2, 5))]
    assert products_of_gradient(matmul, WIDE[0]) == [(1, (5, 4))]
    assert max(products_of_gradient(jnp.matmul, KERNEL))[0] == 2  # what is avoided


def test_a_dense_layer_has_the_parameters_and_the_output_of_flaxs():
    ours, flaxs = dense(7, use_bias=False), nn.Dense(7, use_bias=False)
    params = ours.init(jax.random.key(3), X)
    jax.tree.map(np.testing.assert_array_equal, params, flaxs.init(jax.random.key(3), X))
    np.testing.assert_allclose(ours.apply(params, X), flaxs.apply(params, X), rtol=1e-5, atol=1e-6)
