"""DREAM's losses of a batch of trials, time-major, after the paper (Liu et al. 2021)."""

import torch
from torch import Tensor

from benchmarks.torch_baseline.memory import linear_recurrence


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """[]: mean of the values where `mask`, or 0 if there are none. Padding may hold any value."""
    return torch.where(mask, values, 0.0).sum() / mask.sum().clamp(min=1)


def bottleneck_kl(f: Tensor, rho: float) -> Tensor:
    """KL(N(f, rho^2 I) || N(0, rho^2 I)) for each problem (Eq. 2): [B, Z] -> [B]."""
    return f.square().sum(-1) / (2.0 * rho**2)


def bottleneck_clipped(f: Tensor, clip: float) -> Tensor:
    """The penalty in the authors' code, max(|f|^2, clip): [B, Z] -> [B]."""
    return f.square().sum(-1).clamp(min=clip)


def distances(g: Tensor, f: Tensor) -> Tensor:
    """|g(tau_:t) - f(mu)|^2 with f constant: [..., T + 1, B, Z], [B, Z] -> [..., T + 1, B].

    Up to constants it is the decoder's negative log-likelihood of the encoding (Eq. 4).
    """
    return (g - f.detach()).square().sum(-1)


def information_gain(distance: Tensor, penalty: float, scale: Tensor | float) -> Tensor:
    """Exploration rewards (Eq. 5): [T + 1, B] -> [T, B].

    The reward of a step is the decrease in distance over `scale`, less the penalty.
    """
    d = distance.detach()
    return (d[:-1] - d[1:]) / scale - penalty


def spread(f: Tensor, rho: float) -> Tensor:
    """Mean squared distance of the batch's encodings from their mean, plus rho^2: [B, Z] -> []."""
    f = f.detach()
    return (f - f.mean(0)).square().sum(-1).mean() + rho**2


def td_errors(
    q: Tensor,
    q_target: Tensor,
    action: Tensor,
    reward: Tensor,
    discount: Tensor,
    mask: Tensor,
    trace_lambda: float,
) -> Tensor:
    """TD errors [T, B] of double Q-learning with Watkins's Q(lambda) (Sutton and Barto, 12.10).

    q and q_target are [T + 1, B, A], the others [T, B]. With l_t = lambda if the action at t is
    greedy, else 0, the return is
      G_t = r_t + discount_t ((1 - l_{t+1}) V_{t+1} + l_{t+1} G_{t+1}).
    """
    greedy = q.detach().argmax(-1)
    value = q_target.gather(-1, greedy[..., None])[1:, :, 0]
    if trace_lambda == 0.0:
        returns = reward + discount * value
    else:
        trace = torch.zeros_like(reward, dtype=q.dtype)  # 0 at the last step, which has no next
        trace[:-1] = (action[1:] == greedy[1:-1]) & mask[1:]
        trace *= trace_lambda
        one_step = reward + discount * (1.0 - trace) * value
        returns = linear_recurrence((discount * trace).flip(0), one_step.flip(0)).flip(0)
    return returns - q[:-1].gather(-1, action[..., None])[..., 0]
