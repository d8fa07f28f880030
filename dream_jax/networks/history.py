"""Networks of the agents that act on a whole trial. Each takes one sequence; the caller vmaps."""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from dream_jax.config import NetworkConfig
from dream_jax.networks.dense import dense
from dream_jax.networks.embedding import (
    PIXEL_EMBEDDINGS,
    IndexEmbedding,
    make_embedding,
    make_instruction_embedding,
    normalise,
)
from dream_jax.networks.memory import make_memory
from dream_jax.networks.policies import TimeFeature, small_dense
from dream_jax.types import Array


class Slots(NamedTuple):
    """What an agent sees at each of S slots: the input of `History`, or of one of them."""

    observation: Array  # [S, K], or pictures
    instruction: Array  # [S, 1 + I]: 0 exploring or 1 exploiting, then components (or "hidden")
    action: Array  # [S] int32, of the step before; `num_actions` at the start of an episode
    reward: Array  # [S] of the step before; 0 where rewards are not shown
    done: Array  # [S] bool, the episode is over
    time: Array  # [S] fraction of the episode that is over


class History(nn.Module):
    """What a trial has shown so far: a memory over (previous s, a and r, then s, i, done).

    The previous observation stands beside what came of it, as in DREAM's decoder: the gates of a
    minimal recurrence depend on its input alone and could not bind the two.

    Of a sequence: `Slots` of S and which of them count [S]; the others change nothing. Returns
    [S, outputs], a function of the memory alone.

    The output layer starts small (`encoder_init_scale`), as DREAM's encoder and decoder do.
    """

    config: NetworkConfig
    observation_sizes: tuple[int, ...]
    instruction_sizes: tuple[int, ...]
    num_actions: int
    outputs: int

    def setup(self) -> None:
        c = self.config
        self.observation = make_embedding(c.embedding, self.observation_sizes, c.hidden_size)
        self.instruction = make_instruction_embedding(
            c.embedding, self.instruction_sizes, c.hidden_size
        )
        self.previous_action = IndexEmbedding(self.num_actions + 1, 16)
        self.time = TimeFeature(c.hidden_size)
        self.mix = dense(c.hidden_size)
        self.memory = make_memory(c.exploration_memory, c.decoder_memory_size)
        self.hidden = dense(c.decoder_hidden_size)
        self.output = small_dense(self.outputs, c.encoder_init_scale)

    def __call__(self, slots: Slots, mask: Array) -> Array:
        s = self.observation(slots.observation)
        return self._head(self.memory(self._features(s, _before(s, mask), slots), mask))

    def step(self, carry: Any, slot: Slots) -> tuple[Any, Array]:
        """One step of the above, without the mask -> (carry, [outputs])."""
        memory, before = carry
        s = self.observation(slot.observation)
        memory, h = self.memory.step(memory, self._features(s, before, slot))
        return (memory, s), self._head(h)

    def initial(self) -> Any:
        return self.memory.initial(), jnp.zeros(self.config.hidden_size)

    def _features(self, s: Array, before: Array, slots: Slots) -> Array:
        c = self.config
        x = s + self.time(slots.time) if c.time_input else s
        parts = [
            nn.relu(normalise(x, c.layer_norm)),
            nn.relu(normalise(before, c.layer_norm)),
            normalise(self.instruction(slots.instruction), c.layer_norm),
            nn.relu(self.previous_action(slots.action)),
            slots.reward[..., None],
            slots.done[..., None].astype(jnp.float32),
        ]
        return nn.relu(self.mix(jnp.concatenate(parts, axis=-1)))

    def _head(self, h: Array) -> Array:
        return self.output(nn.relu(self.hidden(h)))


def _before(s: Array, mask: Array) -> Array:
    """[S, H]: of the last step before each that counts; 0 where there is none."""
    index = jnp.arange(s.shape[0])
    last = jax.lax.cummax(jnp.where(mask, index, -1))
    last = jnp.concatenate([jnp.array([-1]), last[:-1]])
    return (last[:, None] == index).astype(s.dtype) @ s  # a gather, without a scatter backwards


class TrialDecoder(nn.Module):
    """p(r | s, a, s', i, m) and p(s' | s, a, i, m) of every transition, for each of P beliefs.

    observation [M, K], instruction [M, I], action [M], next observation [M, K], m [P, Z]
    -> reward [P, M], logits of the components of s' [P, M, sum(observation_sizes)].
    Pictures are not decoded: their logits have no entries.
    """

    config: NetworkConfig
    observation_sizes: tuple[int, ...]
    instruction_sizes: tuple[int, ...]
    num_actions: int

    @nn.compact
    def __call__(
        self, observation: Array, instruction: Array, action: Array, after: Array, m: Array
    ) -> tuple[Array, Array]:
        c = self.config
        embedding = make_embedding(c.embedding, self.observation_sizes, c.hidden_size)
        goal = make_instruction_embedding(c.embedding, self.instruction_sizes, c.hidden_size)
        taken = IndexEmbedding(self.num_actions, 32)(action)
        before = [embedding(observation), goal(instruction), taken]
        reward = _Conditioned(c, 1)(jnp.concatenate([*before, embedding(after)], axis=-1), m)
        if c.embedding in PIXEL_EMBEDDINGS:
            return reward[..., 0], jnp.zeros((*reward.shape[:2], 0))
        total = sum(self.observation_sizes)
        return reward[..., 0], _Conditioned(c, total)(jnp.concatenate(before, axis=-1), m)


class _Conditioned(nn.Module):
    """Two hidden layers on every pair of features [M, D] and m [P, Z]: [P, M, outputs]."""

    config: NetworkConfig
    outputs: int

    @nn.compact
    def __call__(self, x: Array, m: Array) -> Array:
        size = self.config.hidden_size
        # Dense([x, m]), with the parts of x and of m computed once.
        h = dense(size)(nn.relu(x))[None] + dense(size, use_bias=False)(m)[:, None]
        h = nn.relu(dense(size)(nn.relu(normalise(h, self.config.layer_norm))))
        return dense(self.outputs)(h)
