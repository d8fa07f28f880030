"""PEARL's posterior over a latent task: a product of Gaussians, one for each transition."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from dream_jax.config import NetworkConfig
from dream_jax.networks.dense import dense
from dream_jax.networks.embedding import IndexEmbedding, normalise
from dream_jax.networks.policies import small_dense
from dream_jax.networks.values import Values, make_embedding, make_instruction_embedding
from dream_jax.types import Array


class TransitionPosterior(nn.Module):
    """q(m | c), for the transitions c of every prefix of an episode (Rakelly et al. 2019, Eq. 2).

    Each transition (s, i, a, r, s') gives a Gaussian factor, and the prior N(0, I) is one more. The
    product does not depend on the order of the transitions.

    Inputs: observation [T + 1, ...], instruction [T, ...], action [T], reward [T], mask [T] bool.
    Returns mean and log variance, [T + 1, Z] each; entry 0 is the prior.
    """

    config: NetworkConfig
    observation_values: Values
    instruction_values: Values
    num_actions: int
    latent_size: int

    @nn.compact
    def __call__(
        self, observation: Any, instruction: Any, action: Array, reward: Array, mask: Array
    ) -> tuple[Array, Array]:
        c = self.config
        s = normalise(
            make_embedding(c.embedding, self.observation_values, c.hidden_size)(observation),
            c.layer_norm,
        )
        i = make_instruction_embedding(c.embedding, self.instruction_values, c.hidden_size)
        parts = [
            nn.relu(s[:-1]),
            nn.relu(s[1:]),
            normalise(i(instruction), c.layer_norm),
            nn.relu(IndexEmbedding(self.num_actions, 32)(action)),
            reward[..., None],
        ]
        h = nn.relu(dense(c.decoder_hidden_size)(jnp.concatenate(parts, axis=-1)))
        h = nn.relu(dense(c.decoder_hidden_size)(h))
        mean, raw = jnp.split(small_dense(2 * self.latent_size, c.encoder_init_scale)(h), 2, -1)
        precision = jnp.where(mask[:, None], jax.nn.softplus(raw), 0.0)
        total = 1.0 + _prefix_sums(precision)
        return _prefix_sums(precision * mean) / total, -jnp.log(total)


def _prefix_sums(x: Array) -> Array:
    """[T, Z] -> [T + 1, Z]: the sum of the first 0, 1, ... rows."""
    return jnp.concatenate([jnp.zeros_like(x[:1]), jnp.cumsum(x, axis=0)])
