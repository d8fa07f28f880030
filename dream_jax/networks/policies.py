"""The four networks of DREAM (Liu et al. 2021): two policies, the decoder g and the encoder f.

Each takes one sequence or one step; the caller vmaps.

  T  steps of the sequence;  K  observation components;  I  instruction components
  A  actions;  Z  size of the encoding z

Observations and instructions are written as integers [T, K] and [I]. They may as well be numbers,
pictures or dicts: leaves [T, ...] and [...] (`specs`).
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from dream_jax.config import NetworkConfig
from dream_jax.networks.dense import dense
from dream_jax.networks.embedding import AUTHORS, IndexEmbedding, normalise
from dream_jax.networks.memory import make_memory
from dream_jax.networks.values import Values, make_embedding, make_instruction_embedding
from dream_jax.specs import Space
from dream_jax.types import Array


class Dueling(nn.Module):
    """Dueling head (Wang et al. 2016): [..., D] -> Q-values [..., A].

    Advantages have mean 0 over the actions of a state.
    """

    num_actions: int

    @nn.compact
    def __call__(self, h: Array) -> Array:
        value = dense(1)(h)
        advantage = dense(self.num_actions)(h)
        return value + advantage - jnp.mean(advantage, axis=-1, keepdims=True)


class TimeFeature(nn.Module):
    """A learned vector times the fraction of the episode that is over, centred to -1 .. 1.

    [...] -> [..., features].
    """

    features: int

    @nn.compact
    def __call__(self, fraction: Array) -> Array:
        direction = self.param("direction", nn.initializers.normal(0.5), (self.features,))
        return (2.0 * fraction - 1.0)[..., None] * direction


class ExplorationPolicy(nn.Module):
    """pi_exp(a | s_t, tau_:t): Q-values from observations, previous actions and maybe rewards.

    Inputs of a sequence: observation [T, K], previous action [T] (`num_actions` at the start),
    previous reward [T], fraction of the episode that is over [T]. Returns Q-values [T, A].
    """

    config: NetworkConfig
    observation_values: Values
    num_actions: int
    sees_rewards: bool

    def setup(self) -> None:
        c = self.config
        self.observation = make_embedding(c.embedding, self.observation_values, c.hidden_size)
        self.previous_action = IndexEmbedding(self.num_actions + 1, 16)
        self.time = TimeFeature(c.hidden_size)
        self.mix = dense(c.hidden_size)
        self.memory = make_memory(c.exploration_memory, c.hidden_size)
        self.hidden = dense(c.hidden_size)
        self.dueling = Dueling(self.num_actions)

    def __call__(self, observation: Array, action: Array, reward: Array, time: Array) -> Array:
        x = self._features(observation, action, reward, time)
        return self._head(x, self.memory(x))

    def step(
        self, carry: Any, observation: Array, action: Array, reward: Array, time: Array
    ) -> tuple[Any, Array]:
        """One step: observation [K], previous action [], reward [], time [] -> (carry, [A])."""
        x = self._features(observation, action, reward, time)
        carry, h = self.memory.step(carry, x)
        return carry, self._head(x, h)

    def initial(self) -> Any:
        """The carry before the first step."""
        return self.memory.initial()

    def _features(self, observation: Array, action: Array, reward: Array, time: Array) -> Array:
        c = self.config
        x = self.observation(observation)
        if c.time_input:
            x = x + self.time(time)
        parts = [nn.relu(normalise(x, c.layer_norm)), nn.relu(self.previous_action(action))]
        if self.sees_rewards:
            parts.append(reward[..., None])  # without ReLU, because rewards may be negative
        return self.mix(jnp.concatenate(parts, axis=-1))

    def _head(self, x: Array, h: Array) -> Array:
        c = self.config
        if c.exploration_memory == "mingru":  # whose state does not pass the current input on
            h = nn.relu(self.hidden(jnp.concatenate([nn.relu(x), h], axis=-1)))
        return self.dueling(normalise(h, c.layer_norm))


class ExploitationPolicy(nn.Module):
    """pi_task(a | s, i, z): Q-values from observations, the instruction and the encoding z.

    Inputs of a sequence: observation [T, K], instruction [I], z [Z], fraction of the episode that
    is over [T]. Returns Q-values [T, A]. An instruction or z that changes from step to step is
    [T, I] or [T, Z].
    """

    config: NetworkConfig
    observation_values: Values
    instruction_values: Values
    num_actions: int

    def setup(self) -> None:
        c = self.config
        self.observation = make_embedding(c.embedding, self.observation_values, c.hidden_size)
        self.instruction = make_instruction_embedding(
            c.embedding, self.instruction_values, c.hidden_size
        )
        self.time = TimeFeature(c.hidden_size)
        self.mix = dense(c.hidden_size)
        self.memory = make_memory(c.exploitation_memory, c.hidden_size)
        self.gain = dense(c.hidden_size)
        self.from_memory = dense(c.head_size)
        self.from_z = dense(c.head_size, use_bias=False)
        self.output = dense(c.hidden_size)
        self.dueling = Dueling(self.num_actions)

    def __call__(self, observation: Array, instruction: Array, z: Array, time: Array) -> Array:
        return self._head(self.memory(self._features(observation, instruction, time)), z)

    def step(
        self, carry: Any, observation: Array, instruction: Array, z: Array, time: Array
    ) -> tuple[Any, Array]:
        """One step: observation [K], instruction [I], z [Z], time [] -> (carry, [A])."""
        carry, h = self.memory.step(carry, self._features(observation, instruction, time))
        return carry, self._head(h, z)

    def initial(self) -> Any:
        """The carry before the first step."""
        return self.memory.initial()

    def _features(self, observation: Array, instruction: Array, time: Array) -> Array:
        c = self.config
        x = self.observation(observation)
        if c.time_input:
            x = x + self.time(time)
        goal = normalise(self.instruction(instruction), c.layer_norm)
        goal = jnp.broadcast_to(goal, x.shape)  # embedded once per episode, not once per step
        return self.mix(nn.relu(jnp.concatenate([normalise(x, c.layer_norm), goal], axis=-1)))

    def _head(self, h: Array, z: Array) -> Array:
        c = self.config
        if c.film:
            h = h * (1.0 + self.gain(z))
        # A dense layer on [h, z]. Its product with z is computed once per episode.
        h = normalise(self.from_memory(h) + self.from_z(z), c.layer_norm)
        h = self.output(nn.relu(h))
        if c.embedding not in AUTHORS:  # the authors' network has no ReLU here
            h = nn.relu(h)
        return self.dueling(normalise(h, c.layer_norm))


class Decoder(nn.Module):
    """g(tau_:t), the mean of q(z | tau_:t), for every prefix of a trajectory and each of F heads.

    Inputs: observation [T + 1, K], action [T], reward [T]. Returns [F, T + 1, Z]; entry 0 is of the
    empty prefix. With `prefix` [], a number of steps, returns that prefix alone: [F, Z].
    """

    config: NetworkConfig
    observation_values: Values
    num_actions: int
    sees_rewards: bool
    folds: int = 1

    @nn.compact
    def __call__(
        self, observation: Array, action: Array, reward: Array, prefix: Array | None = None
    ) -> Array:
        c = self.config
        embedding = make_embedding(c.embedding, self.observation_values, c.hidden_size)
        s = normalise(embedding(observation), c.layer_norm)  # once for s and s'
        x = jnp.concatenate([s[:-1], s[1:], IndexEmbedding(self.num_actions, 32)(action)], axis=-1)
        x = x if c.embedding in AUTHORS else nn.relu(x)
        if self.sees_rewards:
            x = jnp.concatenate([x, reward[..., None]], axis=-1)
        x = dense(c.hidden_size)(nn.relu(dense(c.decoder_hidden_size)(x)))
        memory = make_memory(c.decoder_memory, c.decoder_memory_size)
        h = memory(x)
        h = jnp.concatenate([jnp.zeros_like(h[:1]), h], axis=0)
        if prefix is not None:
            h = h[prefix]
        # One head after the other: a matmul batched over heads is several times slower on a CPU.
        return jnp.stack([_DecoderHead(c)(h) for _ in range(self.folds)])


class _DecoderHead(nn.Module):
    """One head of `Decoder`: memory [..., D] -> [..., Z]."""

    config: NetworkConfig

    @nn.compact
    def __call__(self, h: Array) -> Array:
        c = self.config
        h = nn.relu(dense(c.decoder_hidden_size)(h))
        return small_dense(c.z_size, c.encoder_init_scale)(h)


class Encoder(nn.Module):
    """f(mu), the mean of the encoding z of a problem: id [] or descriptor -> [Z].

    A descriptor is a value of `descriptor_values` or, without that, a vector [D] of float32.

    The output layer starts small (`encoder_init_scale`). So information that the exploitation
    policy does not use never enters z, and the decoder does not have to fit a random code of the
    id.
    """

    config: NetworkConfig
    num_problems: int
    descriptor_values: Space | None = None

    @nn.compact
    def __call__(self, problem: Any) -> Array:
        c = self.config
        if self.descriptor_values is not None:
            h = nn.relu(make_embedding(c.embedding, self.descriptor_values, 64)(problem))
        elif jnp.issubdtype(problem.dtype, jnp.integer):
            h = IndexEmbedding(self.num_problems, 32)(problem)
        else:
            h = nn.relu(dense(32)(problem))
        return small_dense(c.z_size, c.encoder_init_scale)(h)


def small_dense(features: int, scale: float) -> nn.Dense:
    """[..., D] -> [..., features]: an output layer that starts at `scale` times usual weights."""
    return dense(features, kernel_init=_scaled_uniform(scale))


def _scaled_uniform(scale: float) -> nn.initializers.Initializer:
    """`scale` times U(-1 / sqrt(fan in), 1 / sqrt(fan in)), PyTorch's default for linear layers."""
    return nn.initializers.variance_scaling(scale**2 / 3.0, "fan_in", "uniform")
