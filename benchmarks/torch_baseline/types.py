"""Records of a batch of trials, time-major: sequences are [T, B, ...]."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class Episode(NamedTuple):
    """Padded episodes. Padding repeats the last observation and has mask 0."""

    observation: Tensor  # [T + 1, B, K] int64
    action: Tensor  # [T, B] int64
    reward: Tensor  # [T, B] float32
    terminated: Tensor  # [T, B] bool
    truncated: Tensor  # [T, B] bool
    mask: Tensor  # [T, B] bool


class Trials(NamedTuple):
    """B trials of one exploration and one exploitation episode each, as in the paper."""

    problem: Tensor  # [B] int64
    acts_on_exploration: Tensor  # [B] bool, z = g(tau); else z = f(mu) + noise
    instruction: Tensor  # [B, I] int64
    exploration: Episode
    exploitation: Episode


def from_numpy(x: np.ndarray) -> Tensor:
    """A tensor on PyTorch's default device, which `torch.set_default_device` sets."""
    return torch.from_numpy(x).to(torch.get_default_device())
