"""Recurrent memories in PyTorch: whole sequences [T, B, D], or one step [B, D] at a time."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def dense(inputs: int, outputs: int, bias: bool = True, scale: float | None = None) -> nn.Linear:
    """A linear layer with dream_jax's initial weights: LeCun normal, or uniform within
    +-scale / sqrt(inputs) if `scale` is given."""
    layer = nn.Linear(inputs, outputs, bias)
    if scale is None:
        std = inputs**-0.5 / 0.87962566  # so that the truncated normal has variance 1 / inputs
        nn.init.trunc_normal_(layer.weight, std=std, a=-2 * std, b=2 * std)
    else:
        nn.init.uniform_(layer.weight, -scale * inputs**-0.5, scale * inputs**-0.5)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


class Lstm(nn.Module):
    """LSTM with forget gates biased by 1: the bias is `bias_hh`, which does not learn."""

    def __init__(self, inputs: int, size: int):
        super().__init__()
        self.size = size
        self.lstm = nn.LSTM(inputs, size)
        with torch.no_grad():
            self.lstm.weight_ih_l0.copy_(dense(inputs, 4 * size).weight)
            nn.init.orthogonal_(self.lstm.weight_hh_l0)
            self.lstm.bias_ih_l0.zero_()
            self.lstm.bias_hh_l0.zero_()
            self.lstm.bias_hh_l0[size : 2 * size] = 1.0  # gates i, f, g, o
        self.lstm.bias_hh_l0.requires_grad_(False)

    def initial(self, batch: int) -> tuple[Tensor, Tensor]:
        return torch.zeros(batch, self.size), torch.zeros(batch, self.size)

    def step(self, carry: tuple[Tensor, Tensor], x: Tensor) -> tuple[Any, Tensor]:
        (weights,) = self.lstm.all_weights  # of its one layer
        h, c = torch.lstm_cell(x, carry, *weights)
        return (h, c), h

    def forward(self, xs: Tensor) -> Tensor:
        outputs, _ = self.lstm(xs)
        return outputs


class MinGru(nn.Module):
    """h_t = (1 - u_t) h_{t-1} + u_t c_t. Gate u and candidate c depend on the input alone."""

    def __init__(self, inputs: int, size: int):
        super().__init__()
        self.size = size
        self.inputs = dense(inputs, 2 * size)

    def initial(self, batch: int) -> Tensor:
        return torch.zeros(batch, self.size)

    def step(self, carry: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        keep, new = self._gates(x)
        h = torch.addcmul(new, keep, carry)
        return h, h

    def forward(self, xs: Tensor) -> Tensor:
        return linear_recurrence(*self._gates(xs))

    def _gates(self, x: Tensor) -> tuple[Tensor, Tensor]:
        gate, candidate = self.inputs(x).chunk(2, -1)
        update = torch.sigmoid(gate - 1.0)
        return 1.0 - update, update * torch.tanh(candidate)


class Feedforward(nn.Module):
    """A ReLU layer without memory, with the same interface."""

    def __init__(self, inputs: int, size: int):
        super().__init__()
        self.layer = dense(inputs, size)

    def initial(self, batch: int) -> tuple[()]:
        return ()

    def step(self, carry: tuple[()], x: Tensor) -> tuple[tuple[()], Tensor]:
        return carry, self(x)

    def forward(self, xs: Tensor) -> Tensor:
        return F.relu(self.layer(xs))


def make_memory(kind: str, inputs: int, size: int) -> Any:
    return {"lstm": Lstm, "mingru": MinGru, "none": Feedforward}[kind](inputs, size)


class _LinearRecurrence(torch.autograd.Function):
    """Differentiated by hand: one fused multiply-add per step in each direction, where autograd
    would record three nodes."""

    @staticmethod
    def forward(ctx: Any, keep: Tensor, new: Tensor) -> Tensor:
        h = torch.empty_like(new, memory_format=torch.contiguous_format)
        states, keeps, news = h.unbind(0), keep.unbind(0), new.unbind(0)
        states[0].copy_(news[0])
        for t in range(1, len(states)):
            torch.addcmul(news[t], keeps[t], states[t - 1], out=states[t])
        ctx.save_for_backward(keep, h)
        return h

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        (grad,), (keep, h) = grads, ctx.saved_tensors
        # The gradient of h_t is its own plus the part that h_{t+1} passes back.
        to_new = torch.empty_like(h)
        totals, keeps, own = to_new.unbind(0), keep.unbind(0), grad.unbind(0)
        totals[-1].copy_(own[-1])
        for t in range(len(totals) - 2, -1, -1):
            torch.addcmul(own[t], keeps[t + 1], totals[t + 1], out=totals[t])
        to_keep = torch.zeros_like(h)
        torch.mul(to_new[1:], h[:-1], out=to_keep[1:])
        return to_keep, to_new


def linear_recurrence(keep: Tensor, new: Tensor) -> Tensor:
    """h_t = keep_t h_{t-1} + new_t along the first axis, h_{-1} = 0."""
    return _LinearRecurrence.apply(keep, new)
