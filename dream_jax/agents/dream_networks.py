"""DREAM's networks: pi_exp, pi_task, the encoder f of problem ids, the decoder g of trajectories.

There are two learners. "exploitation" is pi_task, f and g. "exploration" is pi_exp.
"""

from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from dream_jax import specs
from dream_jax.agents import inputs
from dream_jax.agents.exploration_noise import random_action_set
from dream_jax.config import Config
from dream_jax.data import pictures
from dream_jax.networks.policies import Decoder, ExploitationPolicy, ExplorationPolicy
from dream_jax.networks.values import check_observations
from dream_jax.types import Array, Env, Episode, Key, Learner, Params


class ExploitationParams(NamedTuple):
    policy: Params
    encoder: Params
    decoder: Params


class DreamParams(NamedTuple):
    exploitation: ExploitationParams
    exploration: Params


class DreamNetworks:
    """The networks of DREAM for an environment. Parameters are explicit."""

    analytic: ClassVar[bool] = False
    acts_on_whole_trial: ClassVar[bool] = False
    has_bottleneck: ClassVar[bool] = True
    explorer, exploiter = "exploration", "exploitation"

    @classmethod
    def check(cls, config: Config) -> None:
        """Every config that `validation` accepts can be trained."""

    def __init__(self, config: Config, env: Env):
        check_observations(config.networks, env)
        self.config, self.env = config, env
        nets, shown = config.networks, config.trial.rewards_in_exploration
        seen = specs.observation(env)
        self._explore = ExplorationPolicy(nets, seen, env.num_actions, shown)
        self._exploit = ExploitationPolicy(nets, seen, specs.instruction(env), env.num_actions)
        folds = config.losses.decoder_folds
        self._decoder = Decoder(nets, seen, env.num_actions, shown, folds)
        self._fold = inputs.make_folds(env, folds)
        self._encoder = inputs.make_encoder(nets, env)
        self._random_actions = random_action_set(config.acting, env.num_actions)

    @property
    def learners(self) -> Any:
        """Weights decay where z is made and used.

        Encodings of few training problems then share parts, so that what they teach carries over
        to unseen problems.
        """
        replay, settings = self.config.replay, self.config.optimizer
        decayed = ExploitationParams(policy=True, encoder=settings.decay_encoder, decoder=True)
        exploitation = Learner(
            replay.warmup_trials_exploitation,
            ("exploitation",),
            settings.weight_decay,
            decayed,
            losses=("exploitation_td", "bottleneck", "decoder"),
        )
        exploration = Learner(
            replay.warmup_trials_exploration,
            ("exploration",),
            learns=not self.config.acting.random_exploration,
            losses=("exploration_td",),
        )
        return DreamParams(exploitation, exploration)  # type: ignore[arg-type]

    def init(self, key: Key) -> DreamParams:
        keys = jax.random.split(key, 4)
        env, nets = self.env, self.config.networks
        observation = inputs.example_observation(env, 2)
        instruction = specs.instruction(env).example()
        action, reward, time = jnp.zeros(2, jnp.int32), jnp.zeros(2), jnp.zeros(2)
        z = jnp.zeros(nets.z_size)
        return DreamParams(
            ExploitationParams(
                self._exploit.init(keys[0], observation, instruction, z, time),
                self._encoder.init(keys[1], inputs.problem_input(env, jnp.zeros((), jnp.int32))),
                self._decoder.init(keys[2], observation, action[:1], reward[:1]),
            ),
            self._explore.init(keys[3], observation, action, reward, time),
        )

    # The encoder and the decoder

    def encode(self, params: DreamParams, problem: Array) -> Array:
        """f(mu): [] id -> [Z]."""
        return self._encoder.apply(
            params.exploitation.encoder, inputs.problem_input(self.env, problem)
        )

    def decode(self, params: DreamParams, exploration: Episode) -> Array:
        """g(tau_:t) of every prefix, the mean of the decoder's heads: [L + 1, Z]."""
        seen = pictures.as_seen(self.env, exploration)
        return jnp.mean(self._decode(params.exploitation.decoder, seen), axis=0)

    def read(self, params: DreamParams, exploration: Episode) -> Array:
        """z = g(tau) of the whole exploration, [Z]. The problem id plays no part."""
        steps, seen = jnp.sum(exploration.mask), pictures.as_seen(self.env, exploration)
        return jnp.mean(self._decode(params.exploitation.decoder, seen, steps), axis=0)

    def _decode(self, weights: Any, episode: Episode, prefix: Array | None = None) -> Array:
        action = episode.action.astype(jnp.int32)
        return self._decoder.apply(weights, episode.observation, action, episode.reward, prefix)
