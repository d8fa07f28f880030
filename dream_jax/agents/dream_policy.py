"""DREAM's networks, and acting with them in ONE trial; `dream` has its losses.

Two learners. "exploitation": pi_task, the encoder f and the decoder g. "exploration": pi_exp.
Callers vmap over trials; parameters are explicit; nothing is stored here.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dream_jax.agents import recurrent_q
from dream_jax.agents.recurrent_q import GREEDY, Plan
from dream_jax.config import Config, ConfigError
from dream_jax.data import rollout
from dream_jax.losses import dream as losses
from dream_jax.networks.embedding import check_observations
from dream_jax.networks.policies import Decoder, Encoder, ExploitationPolicy, ExplorationPolicy
from dream_jax.types import Array, Env, Episode, Key, Learner, MetaTest, Params, Trial


class ExploitationParams(NamedTuple):
    policy: Params
    encoder: Params
    decoder: Params


class DreamParams(NamedTuple):
    exploitation: ExploitationParams
    exploration: Params


class DreamActor:
    """The networks of DREAM for an environment, and acting as functions of their parameters."""

    explorer, exploiter = "exploration", "exploitation"

    def __init__(self, config: Config, env: Env):
        check_observations(config.networks, env)
        self.config, self.env = config, env
        nets, shown = config.networks, config.trial.rewards_in_exploration
        self._explore = ExplorationPolicy(nets, env.observation_sizes, env.num_actions, shown)
        self._exploit = ExploitationPolicy(
            nets, env.observation_sizes, env.instruction_sizes, env.num_actions
        )
        folds = config.losses.decoder_folds
        self._decoder = Decoder(nets, env.observation_sizes, env.num_actions, shown, folds)
        self._fold = _folds(env, folds)
        self._encoder = Encoder(nets, env.num_problems)
        self._random_actions = recurrent_q.random_action_set(config.acting, env.num_actions)

    @property
    def learners(self) -> Any:
        """Weights decay where z is made and used: encodings of few training problems then share
        parts, and what is learned from them carries over to problems never seen."""
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
            learns=self.config.agent != "random_exploration",
            losses=("exploration_td",),
        )
        return DreamParams(exploitation, exploration)  # type: ignore[arg-type]

    def init(self, key: Key) -> DreamParams:
        keys = jax.random.split(key, 4)
        env, nets = self.env, self.config.networks
        observation = recurrent_q.example_observation(env, 2)
        instruction = jnp.zeros(len(env.instruction_sizes), jnp.int32)
        action, reward, time = jnp.zeros(2, jnp.int32), jnp.zeros(2), jnp.zeros(2)
        z = jnp.zeros(nets.z_size)
        return DreamParams(
            ExploitationParams(
                self._exploit.init(keys[0], observation, instruction, z, time),
                self._encoder.init(
                    keys[1], recurrent_q.problem_input(env, jnp.zeros((), jnp.int32))
                ),
                self._decoder.init(keys[2], observation, action[:1], reward[:1]),
            ),
            self._explore.init(keys[3], observation, action, reward, time),
        )

    # Acting

    def encode(self, params: DreamParams, problem: Array) -> Array:
        """f(mu): [] id -> [Z]."""
        return self._encoder.apply(
            params.exploitation.encoder, recurrent_q.problem_input(self.env, problem)
        )

    def decode(self, params: DreamParams, exploration: Episode) -> Array:
        """g(tau_:t) of every prefix, the mean of the decoder's heads: [L + 1, Z]."""
        seen = rollout.seen(self.env, exploration)
        return jnp.mean(self._decode(params.exploitation.decoder, seen), axis=0)

    def read(self, params: DreamParams, exploration: Episode) -> Array:
        """z = g(tau) of the whole exploration: [Z]. Knows nothing of the problem id."""
        steps, seen = jnp.sum(exploration.mask), rollout.seen(self.env, exploration)
        return jnp.mean(self._decode(params.exploitation.decoder, seen, steps), axis=0)

    def explore(self, params: DreamParams, key: Key, problem: Array, epsilon: Array) -> Episode:
        """Exploration of one trial; `problem` drives the environment and nothing else."""
        actor, carry = self.exploration_actor(params, epsilon)
        return rollout.explore(self.env, actor, carry, key, problem, self.config.trial)[0]

    def exploration_actor(
        self, params: DreamParams, epsilon: Array
    ) -> tuple[rollout.ExplorationActor, Any]:
        """pi_exp one step at a time, and what it carries from step to step at first."""
        net, weights = self._explore, params.exploration

        def actor(carry, observation, action, reward, fraction, key):
            carry, q = net.apply(
                weights, carry, observation, action, reward, fraction, method="step"
            )
            return carry, recurrent_q.epsilon_greedy(key, q, epsilon, self._random_actions)

        return actor, net.apply(weights, method="initial")

    def exploit(
        self,
        params: DreamParams,
        key: Key,
        problem: Array,
        instruction: Array,
        z: Array,
        plan: Plan = GREEDY,
    ) -> Episode:
        """One exploitation episode conditioned on z; `plan`: exploration noise."""
        actor, carry = self.exploitation_actor(params, instruction, z, plan)
        return rollout.exploit(self.env, actor, carry, key, problem, instruction)[0]

    def exploitation_actor(
        self, params: DreamParams, instruction: Array, z: Array, plan: Plan = GREEDY
    ) -> tuple[rollout.ExploitationActor, Any]:
        """pi_task one step at a time, and what it carries from step to step at first."""
        net, weights = self._exploit, params.exploitation.policy

        def actor(carry, observation, action, reward, fraction, step, key):
            del action, reward  # (s, i, z) is all it needs
            fraction = jnp.minimum(fraction + plan.time_shift, 1.0)
            carry, q = net.apply(
                weights, carry, observation, instruction, z, fraction, method="step"
            )
            rate = plan.rate(step)
            return carry, recurrent_q.epsilon_greedy(key, q, rate, self._random_actions)

        return actor, net.apply(weights, method="initial")

    # Whole trials

    def collect(
        self,
        params: DreamParams,
        key: Key,
        exploration_epsilon: Array,
        exploitation_epsilon: Array,
        from_decoder: Array,
    ) -> Trial:
        """One trial to learn from; exploitation acts on z = g(tau) if `from_decoder`, else on
        z = f(mu) + noise ("choose z ~ q every other trial", Section 4.2)."""
        env, config = self.env, self.config
        keys = jax.random.split(key, 9)
        problem = recurrent_q.draw_problem(keys[0], env)
        exploration = self.explore(params, keys[1], problem, exploration_epsilon)
        instructions = rollout.sample_instructions(env, keys[2], problem, config.trial)

        z_encoder = losses.sample_encoding(keys[3], self.encode(params, problem), config.losses.rho)
        z = jnp.where(from_decoder, self.read(params, exploration), z_encoder)

        plan = recurrent_q.plan(keys[4:8], config.acting, exploitation_epsilon, env.horizon)
        episode_keys = jax.random.split(keys[8], config.trial.exploitation_episodes)
        exploitation = rollout.over_episodes(
            lambda k, i: self.exploit(params, k, problem, i, z, plan), episode_keys, instructions
        )
        return Trial(problem, exploration, instructions, exploitation, from_decoder)

    def meta_test(
        self, params: DreamParams, key: Key, problem: Array, instructions: Array
    ) -> MetaTest:
        """One greedy trial, z = g(tau): the problem id drives the environment and nothing else."""
        explore_key, exploit_key = jax.random.split(key)
        random = self.config.agent == "random_exploration"
        explorer = self.exploration_actor(params, jnp.float32(1.0 if random else 0.0))
        exploration, states, _ = rollout.explore(
            self.env, *explorer, explore_key, problem, self.config.trial
        )
        z = self.read(params, exploration)
        exploitation = self._exploit_all(params, exploit_key, problem, instructions, z)
        return MetaTest(exploration, exploitation[0], states, exploitation[1])

    def informed_test(
        self, params: DreamParams, key: Key, problem: Array, instructions: Array
    ) -> Episode:
        """Greedy exploitation with z = f(mu): leaves [N, ...]."""
        return self.exploit_all(params, key, problem, instructions, self.encode(params, problem))

    def exploit_all(
        self, params: DreamParams, key: Key, problem: Array, instructions: Array, z: Array
    ) -> Episode:
        """N greedy exploitation episodes with the same z: leaves [N, ...]."""
        return self._exploit_all(params, key, problem, instructions, z)[0]

    def told(self, params: DreamParams, exploration: Episode, problem: int) -> tuple[str, Array]:
        """Information gain. Of a problem never trained on, f(mu) was not either: how far each step
        moved the reading of z, |g(tau_:t) - g(tau_:t-1)|."""
        g = self.decode(params, exploration)
        if problem in self.env.problem_ids("train"):
            return "gain", losses.information_gain(g, self.encode(params, jnp.int32(problem)), 0.0)
        return "z moved by", jnp.linalg.norm(g[1:] - g[:-1], axis=-1)

    def _exploit_all(
        self, params: DreamParams, key: Key, problem: Array, instructions: Array, z: Array
    ) -> tuple[Episode, Any]:
        """The episodes and the states of the environment."""
        keys = jax.random.split(key, instructions.shape[0])

        def one(key, instruction):
            actor = self.exploitation_actor(params, instruction, z)
            return rollout.exploit(self.env, *actor, key, problem, instruction)[:2]

        return rollout.over_episodes(one, keys, instructions)

    # Reading a trajectory

    def _decode(self, weights: Any, episode: Episode, prefix: Array | None = None) -> Array:
        action = episode.action.astype(jnp.int32)
        return self._decoder.apply(weights, episode.observation, action, episode.reward, prefix)


def _folds(env: Env, folds: int) -> np.ndarray:
    """[num_problems] the fold of each problem: training problems evenly, at random."""
    ids = env.problem_ids("train")
    if folds > len(ids):
        raise ConfigError(
            f"losses.decoder_folds={folds} is more than the {len(ids)} training problems"
        )
    fold = np.zeros(env.num_problems, np.int32)
    fold[np.random.default_rng(0).permutation(ids)] = np.arange(len(ids)) % folds
    return fold
