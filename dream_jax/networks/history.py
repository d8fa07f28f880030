"""Networks of the agents that act on a whole trial, and of predictions of its steps.

Each takes one sequence; the caller vmaps.

  S  slots of the sequence;  K  observation components;  I  instruction components
"""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from dream_jax.config import NetworkConfig
from dream_jax.networks.dense import dense
from dream_jax.networks.embedding import IndexEmbedding, normalise
from dream_jax.networks.memory import make_memory
from dream_jax.networks.policies import TimeFeature, small_dense
from dream_jax.networks.values import Values, make_embedding, make_instruction_embedding
from dream_jax.specs import Space
from dream_jax.types import Array


class Slots(NamedTuple):
    """What an agent sees in each of S slots. Without the leading S: in one slot."""

    observation: Any  # leaves [S, ...], a value of the environment's observation space
    # [S, 1 + I] int32: 0 while exploring or 1 while exploiting, then the components, each with one
    # more value for "hidden". Of instructions that are no integer components: see
    # `agents.trial_sequence.instruction_values`.
    instruction: Any
    action: Array  # [S] int32, the previous action; `num_actions` at the start of an episode
    reward: Array  # [S] float32, the previous reward; 0 where rewards are not shown
    done: Array  # [S] bool, whether the episode is over
    time: Array  # [S] float32, fraction of the episode that is over


class History(nn.Module):
    """A memory over the trial so far: the previous observation, action and reward, and the slot.

    The previous observation is an input beside the current one, as in DREAM's decoder. The gates of
    a minimal recurrence depend on its input alone, so it could not combine the two otherwise.

    Inputs of a sequence: `Slots` and a mask [S] bool. Slots with mask 0 change nothing. Returns
    [S, outputs], which depends on the memory alone.

    The output layer starts small (`encoder_init_scale`), like those of DREAM's encoder and decoder.
    """

    config: NetworkConfig
    observation_values: Values
    instruction_values: Values
    num_actions: int
    outputs: int

    def setup(self) -> None:
        c = self.config
        self.observation = make_embedding(c.embedding, self.observation_values, c.hidden_size)
        self.instruction = make_instruction_embedding(
            c.embedding, self.instruction_values, c.hidden_size
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
        """One step of a sequence, without a mask: one slot -> (carry, [outputs])."""
        memory, before = carry
        s = self.observation(slot.observation)
        memory, h = self.memory.step(memory, self._features(s, before, slot))
        return (memory, s), self._head(h)

    def initial(self) -> Any:
        """The carry before the first step: the memory's, and an empty previous observation [H]."""
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
    """[S, H]: for each slot, `s` [S, H] of the last earlier slot with mask 1, or 0."""
    index = jnp.arange(s.shape[0])
    last = jax.lax.cummax(jnp.where(mask, index, -1))
    last = jnp.concatenate([jnp.array([-1]), last[:-1]])
    return (last[:, None] == index).astype(s.dtype) @ s  # a gather whose gradient is no scatter


def decoded_sizes(values: Values) -> tuple[int, ...]:
    """Sizes of the components that `TrialDecoder` predicts; () of pictures, numbers and dicts."""
    return (values.component_sizes or ()) if isinstance(values, Space) else values


class TrialDecoder(nn.Module):
    """p(r | s, a, s', i, m) and p(s' | s, a, i, m) of M transitions, for each of P beliefs m.

    VariBAD's decoder (Zintgraf et al. 2020). Inputs: observation [M, K], instruction [M, I], action
    [M], next observation [M, K], m [P, Z]. Returns the reward [P, M] and the logits of the
    components of s' [P, M, sum of their sizes]. Only integer components are decoded. Of all other
    observations the logits are [P, M, 0].
    """

    config: NetworkConfig
    observation_values: Values
    instruction_values: Values
    num_actions: int

    @nn.compact
    def __call__(
        self, observation: Array, instruction: Array, action: Array, after: Array, m: Array
    ) -> tuple[Array, Array]:
        c = self.config
        embedding = make_embedding(c.embedding, self.observation_values, c.hidden_size)
        goal = make_instruction_embedding(c.embedding, self.instruction_values, c.hidden_size)
        taken = IndexEmbedding(self.num_actions, 32)(action)
        before = [embedding(observation), goal(instruction), taken]
        reward = _Conditioned(c, 1)(jnp.concatenate([*before, embedding(after)], axis=-1), m)
        total = sum(decoded_sizes(self.observation_values))
        if not total:
            return reward[..., 0], jnp.zeros((*reward.shape[:2], 0))
        return reward[..., 0], _Conditioned(c, total)(jnp.concatenate(before, axis=-1), m)


class NextStates(nn.Module):
    """p(s' | s, a, m) of M transitions, for each of P summaries m of the exploration.

    Inputs: observation [M, K], action [M], m [P, Z]. Returns the logits of the components of s',
    [P, M, sum of their sizes].
    """

    config: NetworkConfig
    observation_values: Values
    num_actions: int

    @nn.compact
    def __call__(self, observation: Array, action: Array, m: Array) -> Array:
        c = self.config
        embedding = make_embedding(c.embedding, self.observation_values, c.hidden_size)
        taken = IndexEmbedding(self.num_actions, 32)(action)
        x = jnp.concatenate([embedding(observation), taken], axis=-1)
        return _Conditioned(c, sum(decoded_sizes(self.observation_values)))(x, m)


class _Conditioned(nn.Module):
    """Two hidden layers on every pair of features [M, D] and m [P, Z] -> [P, M, outputs]."""

    config: NetworkConfig
    outputs: int

    @nn.compact
    def __call__(self, x: Array, m: Array) -> Array:
        size = self.config.hidden_size
        # A dense layer on [x, m]. Its products with x and with m are computed once each.
        h = dense(size)(nn.relu(x))[None] + dense(size, use_bias=False)(m)[:, None]
        h = nn.relu(dense(size)(nn.relu(normalise(h, self.config.layer_norm))))
        return dense(self.outputs)(h)
