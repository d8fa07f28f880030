"""The unrolled LSTM: equal to a plain loop however transformed, and one product for its kernel."""

import jax
import jax.extend.core
import jax.numpy as jnp
import numpy as np
import pytest

from dream_jax.networks.unroll import lstm

H, T = 3, 5
RANDOM = np.random.default_rng(0)
RECURRENT = RANDOM.normal(size=(H, 4 * H)).astype(np.float32)
SEEDS = RANDOM.normal(size=(2, H, 4 * H)).astype(np.float32)
XS = RANDOM.normal(size=(2, 4, T, 4 * H)).astype(np.float32)  # two batch axes, steps, gates


def plain(recurrent, xs):
    """The usual equations, for one sequence [T, 4H], differentiated by JAX."""

    def step(carry, x):
        h, c = carry
        i, f, g, o = jnp.split(x + h @ recurrent, 4)
        c = jax.nn.sigmoid(f + 1.0) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    return jax.lax.scan(step, (jnp.zeros(H), jnp.zeros(H)), xs)[1]


def of_sequence(unrolled, recurrent, xs):
    return unrolled(recurrent, xs[0, 0])


def of_one_step(unrolled, recurrent, xs):
    return unrolled(recurrent, xs[0, 0, :1])


def of_batch(unrolled, recurrent, xs):
    return jax.vmap(unrolled, (None, 0))(recurrent, xs[0])


def of_nested_maps(unrolled, recurrent, xs):
    # The inner map is over the second axis, which the rule has to move.
    inner = jax.vmap(unrolled, (None, 1))
    return jax.vmap(inner, (None, 0))(recurrent, jnp.swapaxes(xs, 1, 2))


def of_episodes_in_a_scan(unrolled, recurrent, xs):
    def episodes(xs):
        return jax.lax.scan(lambda c, x: (c, unrolled(recurrent, x)), None, xs)[1]

    return jax.vmap(episodes)(xs)


EVERY = (of_sequence, of_one_step, of_batch, of_nested_maps, of_episodes_in_a_scan)


def gradients(unrolled, how):
    def loss(recurrent, xs):
        hs = how(unrolled, recurrent, xs)
        return jnp.sum(jnp.sin(hs) * jnp.arange(hs.size).reshape(hs.shape)), hs

    return jax.value_and_grad(loss, (0, 1), has_aux=True)


def assert_equal(found, expected, atol=1e-4):
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=atol), found, expected
    )


@pytest.mark.parametrize("how", EVERY)
def test_outputs_and_gradients_are_those_of_a_plain_loop(how):
    found = jax.jit(gradients(lstm, how))(RECURRENT, XS)
    assert_equal(found, jax.jit(gradients(plain, how))(RECURRENT, XS))


@pytest.mark.parametrize("how", EVERY)
def test_seeds_may_be_mapped_over_gradients(how):
    found = jax.jit(jax.vmap(gradients(lstm, how), (0, None)))(SEEDS, XS)
    assert_equal(found, jax.jit(jax.vmap(gradients(plain, how), (0, None)))(SEEDS, XS))


@pytest.mark.parametrize("axes", [(0, None), (0, 0), (2, 1)])
def test_kernel_and_sequences_may_be_mapped_together(axes):
    recurrent = np.moveaxis(SEEDS, 0, axes[0])
    xs = XS[0, 0] if axes[1] is None else np.moveaxis(XS[0, :2], 0, axes[1])

    def loss(unrolled):
        return jax.jit(
            jax.grad(lambda r, x: jnp.sum(jnp.sin(jax.vmap(unrolled, axes)(r, x))), (0, 1))
        )

    found, expected = jax.vmap(lstm, axes)(recurrent, xs), jax.vmap(plain, axes)(recurrent, xs)
    assert_equal(found, expected, atol=1e-6)
    assert_equal(loss(lstm)(recurrent, xs), loss(plain)(recurrent, xs), atol=1e-5)


def products(jaxpr):
    """The shapes of all matrix products of a traced program: (in no loop, in loops)."""
    outside, inside = [], []
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            outside.append(equation.outvars[0].aval.shape)
        for inner in jax.extend.core.jaxprs_in_params(equation.params):
            found = products(inner)
            if equation.primitive.name == "scan":
                inside += found[0] + found[1]
            else:
                outside += found[0]
                inside += found[1]
    return outside, inside


def test_the_kernels_gradient_is_one_product_after_the_loop():
    def traced(unrolled):
        return products(
            jax.make_jaxpr(jax.grad(lambda r: jnp.sum(of_batch(unrolled, r, XS))))(RECURRENT).jaxpr
        )

    def of_the_kernel(shapes):
        return [shape for shape in shapes if sorted(shape) == [H, 4 * H]]

    outside, inside = traced(lstm)
    assert len(of_the_kernel(outside)) == 1
    assert not of_the_kernel(inside)
    assert of_the_kernel(traced(plain)[1])  # what is avoided


@pytest.mark.parametrize("size", [1e4, -1e4])
def test_saturated_gates_have_finite_outputs_and_gradients(size):
    found = gradients(lstm, of_batch)(RECURRENT, np.full_like(XS, size))
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(found))


def test_the_gradient_may_be_taken_twice_and_of_the_last_output_alone():
    def twice(unrolled):
        def last(r):
            return jnp.sum(jnp.sin(unrolled(r, XS[0, 0])[-1]))

        return jax.jit(jax.grad(lambda r: jnp.sum(jnp.square(jax.grad(last)(r)))))

    assert_equal(twice(lstm)(RECURRENT), twice(plain)(RECURRENT), atol=1e-5)


def test_a_checkpointed_gradient_is_the_same():
    def loss(r):
        return jnp.sum(jnp.sin(of_batch(lstm, r, XS)))

    found, expected = jax.grad(jax.checkpoint(loss))(RECURRENT), jax.grad(loss)(RECURRENT)
    assert_equal(found, expected, atol=1e-6)


def test_the_gradient_is_shared_over_devices_like_that_of_a_plain_loop():
    mesh = jax.make_mesh((1,), ("trials",), axis_types=(jax.sharding.AxisType.Auto,))
    spec = jax.sharding.PartitionSpec("trials")

    def shared(unrolled):
        def part(r, xs):
            g = jax.grad(lambda r: jnp.sum(jnp.sin(jax.vmap(unrolled, (None, 0))(r, xs))))(r)
            return jax.lax.psum(g, "trials")

        specs = {"in_specs": (jax.sharding.PartitionSpec(), spec), "check_vma": False}
        return jax.jit(
            jax.shard_map(part, mesh=mesh, out_specs=jax.sharding.PartitionSpec(), **specs)
        )

    assert_equal(shared(lstm)(RECURRENT, XS[0]), shared(plain)(RECURRENT, XS[0]), atol=1e-5)


@pytest.mark.parametrize("shape", [(0, T), (4, 0)], ids=["no sequences", "no steps"])
def test_there_may_be_nothing_to_unroll(shape):
    (_, hs), (of_kernel, of_xs) = gradients(lstm, lambda f, r, x: f(r, x))(
        RECURRENT, np.zeros((*shape, 4 * H), np.float32)
    )
    assert hs.shape == (*shape, H) and of_xs.shape == (*shape, 4 * H)
    np.testing.assert_array_equal(of_kernel, np.zeros_like(RECURRENT))


@pytest.mark.parametrize("types", [(jnp.bfloat16,) * 2, (np.float32, jnp.bfloat16)])
def test_types_are_promoted(types):
    recurrent, xs = RECURRENT.astype(types[0]), XS.astype(types[1])
    assert lstm(recurrent, xs).dtype == jnp.result_type(recurrent, xs)
    (_, hs), found = gradients(lstm, of_batch)(recurrent, xs)
    assert tuple(x.dtype for x in found) == (recurrent.dtype, xs.dtype)
    assert np.abs(np.asarray(hs, np.float32) - of_batch(plain, RECURRENT, XS)).max() < 0.05


@pytest.mark.parametrize(
    ("recurrent", "xs"),
    [((H, 4 * H), (4 * H,)), ((H, 4 * H), (T, 1)), ((H, H), (T, 4 * H)), ((4 * H, H), (T, 4 * H))],
)
def test_shapes_that_do_not_fit_are_refused(recurrent, xs):
    with pytest.raises(TypeError, match=r"kernel \[H, 4H\]"):
        lstm(np.zeros(recurrent), np.zeros(xs))


def test_forward_mode_is_refused():
    with pytest.raises(TypeError, match="custom_vjp"):
        jax.jvp(lstm, (RECURRENT, XS[0, 0]), (RECURRENT, XS[0, 0]))
