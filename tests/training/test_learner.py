"""One learner: target copies, clipping."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from dream_jax.config import OptimizerConfig
from dream_jax.training import learner as learners
from tests.probes import quick_jit


def test_targets_start_as_a_copy_and_are_copied_every_period():
    optimizer = learners.make_optimizer(OptimizerConfig(learning_rate=0.1), 10)
    learner = learners.init_learner({"w": jnp.zeros(2)}, optimizer)
    assert learner.target_params["w"].tolist() == [0.0, 0.0]
    update = quick_jit(
        lambda learner, enabled: learners.update_learner(
            learner, {"w": jnp.array([1.0, -2.0])}, optimizer, 3, enabled
        )
    )
    for updates in range(1, 7):
        learner = update(learner, True)
        # Adam with a constant gradient moves by the learning rate against its sign.
        moved = 0.1 * updates * np.array([-1.0, 1.0])
        np.testing.assert_allclose(learner.params["w"], moved, rtol=1e-3)
        copied = 0.1 * (updates // 3 * 3) * np.array([-1.0, 1.0])
        np.testing.assert_allclose(learner.target_params["w"], copied, rtol=1e-3)
        assert learner.updates == updates
        unchanged = update(learner, False)
        for x, y in zip(jax.tree.leaves(unchanged), jax.tree.leaves(learner), strict=True):
            np.testing.assert_array_equal(x, y)


def test_gradients_are_clipped_by_their_global_norm():
    def is_adam(x):
        return isinstance(x, optax.ScaleByAdamState)

    def moments(gradient):
        """Adam's first moment after one update, which is linear in what Adam was given."""
        optimizer = learners.make_optimizer(OptimizerConfig(max_gradient_norm=1.0), 10)
        params = {"a": jnp.zeros(1), "b": jnp.zeros(1)}
        state = optimizer.update(gradient, optimizer.init(params), params)[1]
        (adam,) = (x for x in jax.tree.leaves(state, is_leaf=is_adam) if is_adam(x))
        return adam.mu / 0.1  # 1 - b1

    long = {"a": jnp.array([3.0]), "b": jnp.array([4.0])}
    np.testing.assert_allclose(moments(long), [0.6, 0.8], rtol=1e-5)  # of length 5
    short = {"a": jnp.array([0.3]), "b": jnp.array([0.4])}
    np.testing.assert_allclose(moments(short), [0.3, 0.4], rtol=1e-5)
