"""Recurrent double Q-learning on one sequence; the caller vmaps and masks.

The only module that imports rlax.
"""

import chex
import jax
import jax.numpy as jnp
import rlax

from dream_jax.types import Array


def double_q_lambda(
    q: Array,
    q_target: Array,
    action: Array,
    reward: Array,
    discount: Array,
    mask: Array,
    trace_lambda: float,
) -> Array:
    """TD errors of double Q-learning with Watkins's Q(lambda) targets.

    The greedy action is chosen by `q` and valued by `q_target` (van Hasselt et al., 2016). The
    trace is cut where the next action taken is not greedy (Watkins, 1989; Sutton and Barto, 2018,
    12.10) and where the next step is padding. `trace_lambda` 0 is one-step double Q-learning,
    as in the paper.

    Args:
      q: [T + 1, A] online values of s_0 .. s_T; gradients flow through q[:-1] only.
      q_target: [T + 1, A] values of the target network.
      action: [T] integer actions taken.
      reward: [T] rewards r_1 .. r_T.
      discount: [T] discount after each step, 0 where the bootstrap is cut.
      mask: [T] 1 on steps that were taken; errors elsewhere are meaningless and must be masked.
      trace_lambda: in [0, 1].

    Returns:
      [T] TD errors, target minus value.
    """
    chex.assert_rank([q, q_target, action, reward, discount, mask], [2, 2, 1, 1, 1, 1])
    chex.assert_equal_shape([q, q_target])
    chex.assert_equal_shape([action, reward, discount, mask])
    chex.assert_type([q, q_target, reward, discount, action], [float, float, float, float, int])
    chex.assert_axis_dimension(q, 0, action.shape[0] + 1)

    selector = jax.lax.stop_gradient(q)
    greedy = jnp.argmax(selector, axis=-1)  # [T + 1]
    value = rlax.batched_index(q_target, greedy)[1:]  # [T]
    mask = mask.astype(q.dtype)
    next_is_greedy = (action[1:] == greedy[1:-1]) * mask[1:]
    continues = jnp.append(next_is_greedy, 0.0)  # nothing follows the last step
    target = rlax.lambda_returns(reward, discount, value, trace_lambda * continues)
    return jax.lax.stop_gradient(target) - rlax.batched_index(q[:-1], action)
