"""The networks of DREAM in PyTorch. Sequences are time-major [T, B, ...], instructions [B, I]."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.torch_baseline.memory import dense, make_memory
from dream_jax.config import NetworkConfig


def normalise(x: Tensor, on: bool) -> Tensor:
    """Layer normalisation without learned scale or shift, or `x` itself."""
    return F.layer_norm(x, x.shape[-1:]) if on else x


class Embedding(nn.Module):
    """Integer components [..., K] -> [..., features], with all components in one table.

    "sum" adds up their rows. "mlp" concatenates 32 features of each, then has 256 hidden units with
    ReLU and an output layer.
    """

    def __init__(self, kind: str, sizes: tuple[int, ...], features: int):
        super().__init__()
        self.kind = kind
        starts = [sum(sizes[:k]) for k in range(len(sizes))]
        self.register_buffer("starts", torch.tensor(starts), persistent=False)
        width = features if kind == "sum" else 32
        self.table = nn.Parameter(torch.randn(sum(sizes), width))
        if kind == "sum":
            self.table.data *= len(sizes) ** -0.5
        else:
            self.hidden, self.output = dense(32 * len(sizes), 256), dense(256, features)

    def forward(self, x: Tensor) -> Tensor:
        rows = x + self.starts
        if self.kind == "sum":
            flat = F.embedding_bag(rows.flatten(0, -2), self.table, mode="sum")
            return flat.unflatten(0, x.shape[:-1])
        return self.output(F.relu(self.hidden(F.embedding(rows, self.table).flatten(-2))))


class Dueling(nn.Module):
    """Value and advantages in one matmul; advantages have mean 0: [..., D] -> [..., A]."""

    def __init__(self, inputs: int, num_actions: int):
        super().__init__()
        value, advantage = dense(inputs, 1), dense(inputs, num_actions)
        self.layer = nn.Linear(inputs, 1 + num_actions)
        self.layer.weight.data = torch.cat([value.weight.data, advantage.weight.data])
        self.layer.bias.data.zero_()

    def forward(self, h: Tensor) -> Tensor:
        out = self.layer(h)
        value, advantage = out[..., :1], out[..., 1:]
        return advantage + (value - advantage.mean(-1, keepdim=True))


class ExplorationPolicy(nn.Module):
    """pi_exp: observation [T + 1, B, K], previous action [T + 1, B], time [T + 1, 1] ->
    Q-values [T + 1, B, A]."""

    def __init__(self, c: NetworkConfig, observation_sizes: tuple[int, ...], num_actions: int):
        super().__init__()
        self.config = c
        self.observation = Embedding(c.embedding, observation_sizes, c.hidden_size)
        self.previous_action = nn.Embedding(num_actions + 1, 16)
        if c.time_input:
            self.time = nn.Parameter(0.5 * torch.randn(c.hidden_size))
        self.mix = dense(c.hidden_size + 16, c.hidden_size)
        self.memory = make_memory(c.exploration_memory, c.hidden_size, c.hidden_size)
        if c.exploration_memory == "mingru":
            self.hidden = dense(2 * c.hidden_size, c.hidden_size)
        self.dueling = Dueling(c.hidden_size, num_actions)

    def forward(self, observation: Tensor, action: Tensor, time: Tensor) -> Tensor:
        x = self._features(observation, action, time)
        return self._head(x, self.memory(x))

    def step(
        self, carry: Any, observation: Tensor, action: Tensor, time: Tensor
    ) -> tuple[Any, Tensor]:
        """One step: observation [B, K], action [B], time [B] or [1] -> (carry, [B, A])."""
        x = self._features(observation, action, time)
        carry, h = self.memory.step(carry, x)
        return carry, self._head(x, h)

    def _features(self, observation: Tensor, action: Tensor, time: Tensor) -> Tensor:
        x = self.observation(observation)
        if self.config.time_input:
            x = x + _along(self.time, time)
        x = normalise(x, self.config.layer_norm)
        return self.mix(F.relu(torch.cat([x, self.previous_action(action)], -1)))

    def _head(self, x: Tensor, h: Tensor) -> Tensor:
        if self.config.exploration_memory == "mingru":
            h = F.relu(self.hidden(torch.cat([F.relu(x), h], -1)))
        return self.dueling(normalise(h, self.config.layer_norm))


class ExploitationPolicy(nn.Module):
    """pi_task: observation [T + 1, B, K], instruction [B, I], z [B, Z], time [T + 1, 1] ->
    Q-values [T + 1, B, A]."""

    def __init__(
        self,
        c: NetworkConfig,
        observation_sizes: tuple[int, ...],
        instruction_sizes: tuple[int, ...],
        num_actions: int,
    ):
        super().__init__()
        self.config = c
        self.observation = Embedding(c.embedding, observation_sizes, c.hidden_size)
        self.instruction = Embedding(c.embedding, instruction_sizes, c.hidden_size)
        if c.time_input:
            self.time = nn.Parameter(0.5 * torch.randn(c.hidden_size))
        self.mix = dense(2 * c.hidden_size, c.hidden_size)
        self.memory = make_memory(c.exploitation_memory, c.hidden_size, c.hidden_size)
        if c.film:
            self.gain = dense(c.z_size, c.hidden_size)
        self.from_memory = dense(c.hidden_size, c.head_size)
        self.from_z = dense(c.z_size, c.head_size, bias=False)
        self.output = dense(c.head_size, c.hidden_size)
        self.dueling = Dueling(c.hidden_size, num_actions)

    def forward(self, observation: Tensor, instruction: Tensor, z: Tensor, time: Tensor) -> Tensor:
        return self._head(self.memory(self._features(observation, instruction, time)), z)

    def step(
        self, carry: Any, observation: Tensor, instruction: Tensor, z: Tensor, time: Tensor
    ) -> tuple[Any, Tensor]:
        """One step: observation [B, K], time [B] or [1] -> (carry, [B, A])."""
        carry, h = self.memory.step(carry, self._features(observation, instruction, time))
        return carry, self._head(h, z)

    def _features(self, observation: Tensor, instruction: Tensor, time: Tensor) -> Tensor:
        x, goal = self.observation(observation), self.instruction(instruction)
        if self.config.time_input:
            x = x + _along(self.time, time)
        x, goal = normalise(x, self.config.layer_norm), normalise(goal, self.config.layer_norm)
        return self.mix(F.relu(torch.cat([x, goal.expand(x.shape)], -1)))

    def _head(self, h: Tensor, z: Tensor) -> Tensor:
        if self.config.film:
            h = h * (1.0 + self.gain(z))
        h = normalise(self.from_memory(h) + self.from_z(z), self.config.layer_norm)
        h = self.output(F.relu(h))
        if self.config.embedding != "mlp":  # the authors' network has no ReLU here
            h = F.relu(h)
        return self.dueling(normalise(h, self.config.layer_norm))


class Decoder(nn.Module):
    """g(tau_:t) for every prefix and each of F heads: observation [T + 1, B, K], action [T, B] ->
    [F, T + 1, B, Z]."""

    def __init__(
        self, c: NetworkConfig, observation_sizes: tuple[int, ...], num_actions: int, folds: int
    ):
        super().__init__()
        self.config = c
        self.observation = Embedding(c.embedding, observation_sizes, c.hidden_size)
        self.action = nn.Embedding(num_actions, 32)
        self.hidden = dense(2 * c.hidden_size + 32, c.decoder_hidden_size)
        self.output = dense(c.decoder_hidden_size, c.hidden_size)
        self.memory = make_memory(c.decoder_memory, c.hidden_size, c.decoder_memory_size)
        self.heads = nn.ModuleList(
            nn.Sequential(
                dense(c.decoder_memory_size, c.decoder_hidden_size),
                nn.ReLU(),
                dense(c.decoder_hidden_size, c.z_size, scale=c.encoder_init_scale),
            )
            for _ in range(folds)
        )

    def forward(self, observation: Tensor, action: Tensor) -> Tensor:
        h = self._trunk(observation, action)
        return torch.stack([head(h) for head in self.heads])

    def read(self, observation: Tensor, action: Tensor, steps: Tensor) -> Tensor:
        """[B, Z]: z after `steps` [B] steps, the mean of the heads."""
        h = self._trunk(observation, action)[steps, torch.arange(len(steps))]
        return torch.stack([head(h) for head in self.heads]).mean(0)

    def _trunk(self, observation: Tensor, action: Tensor) -> Tensor:
        s = normalise(self.observation(observation), self.config.layer_norm)
        x = torch.cat([s[:-1], s[1:], self.action(action)], -1)
        x = F.relu(x) if self.config.embedding == "sum" else x
        h = self.memory(self.output(F.relu(self.hidden(x))))
        return F.pad(h, (0, 0, 0, 0, 1, 0))  # the empty prefix: a zero state


class Encoder(nn.Module):
    """f(mu): [B] problem ids -> [B, Z]."""

    def __init__(self, c: NetworkConfig, num_problems: int):
        super().__init__()
        self.problem = nn.Embedding(num_problems, 32)
        self.output = dense(32, c.z_size, scale=c.encoder_init_scale)

    def forward(self, problem: Tensor) -> Tensor:
        return self.output(self.problem(problem))


def _along(direction: Tensor, time: Tensor) -> Tensor:
    """A learned vector times the time in [0, 1], centred: [T + 1, 1] -> [T + 1, 1, D], or
    [B] -> [B, D]."""
    return (2.0 * time - 1.0)[..., None] * direction
