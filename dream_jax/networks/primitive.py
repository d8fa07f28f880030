"""Functions that `vmap` extends by batch axes, instead of mapping each operation inside them."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import batching, mlir

from dream_jax.types import Array


def of_rows(name: str, function: Callable[[Array, Array], Array]) -> Primitive:
    """A primitive of `function(x, weights)`, which takes any number of leading batch axes of x.

    Where `vmap` maps x alone, the mapped axis becomes a leading axis of x. So `function` and its
    gradient see the whole batch. Where weights are mapped too, for example over seeds, `function`
    is mapped as usual. The caller adds the derivative.

    It has no rule for how its result varies over devices, so it does not work under
    `jax.shard_map` with `check_vma=True`.
    """
    primitive = Primitive(name)

    def batched(operands, axes):
        (x, weights), (x_axis, weights_axis) = operands, axes
        if weights_axis is None:
            return primitive.bind(jnp.moveaxis(x, x_axis, 0), weights), 0
        return jax.vmap(function, axes)(x, weights), 0

    def shape(x, weights):
        out = jax.eval_shape(function, x, weights)
        return jax.core.ShapedArray(out.shape, out.dtype)

    primitive.def_impl(jax.jit(function))
    primitive.def_abstract_eval(shape)
    mlir.register_lowering(primitive, mlir.lower_fun(function, multiple_results=False))
    batching.primitive_batchers[primitive] = batched
    return primitive
