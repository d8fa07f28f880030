"""What every Q-learning agent here shares: acting with exploration noise, and the update."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from dream_jax.config import ActingConfig, Config, OptimizerConfig
from dream_jax.types import Array, Env, Key, LearnerState, Params, is_pixel_env


def epsilon_greedy(key: Key, q: Array, epsilon: Array | float, random_actions: np.ndarray) -> Array:
    """Greedy with probability 1 - epsilon, else uniform over `random_actions`. q: [A] -> []."""
    coin, share = jax.random.uniform(key, (2,))  # one draw: `randint` would make four more
    choice = jnp.floor(share * len(random_actions)).astype(jnp.int32)
    action = jnp.where(coin < epsilon, jnp.asarray(random_actions)[choice], jnp.argmax(q))
    return action.astype(jnp.int32)


def random_action_set(acting: ActingConfig, num_actions: int) -> np.ndarray:
    """The urn that random actions are drawn from: [n], an action as often as it counts."""
    counts = np.array(acting.random_action_counts or [1] * num_actions)
    counts[list(acting.excluded_random_actions)] = 0
    return np.repeat(np.arange(num_actions, dtype=np.int32), counts)


def epsilons(acting: ActingConfig, own_steps: Array, count: int) -> Array:
    """[count] epsilon of each parallel trial, a function of a step count.

    "ladder": spread evenly from `epsilon_min` to `epsilon_max` over the parallel trials.
    "linear": one schedule from max to min over `epsilon_decay_steps` of the policy's own steps.
    """
    if acting.epsilon == "ladder":
        return jnp.linspace(acting.epsilon_min, acting.epsilon_max, count)
    schedule = optax.linear_schedule(
        acting.epsilon_max, acting.epsilon_min, acting.epsilon_decay_steps
    )
    return jnp.full((count,), schedule(own_steps))


def pairing(count: int) -> np.ndarray:
    """[count] a permutation whose points (k, pairing[k]) cover the square evenly (golden ratio).

    For a policy that both explores and exploits: what it does greedily after having explored
    greedily must be seen too, and after having explored at random.
    """
    return np.argsort(np.argsort(np.arange(count) * (np.sqrt(5.0) - 1.0) / 2.0 % 1.0))


class Plan(NamedTuple):
    """Exploration noise of the exploitation episodes of one trial."""

    epsilon: Array | float = 0.0  # [] of epsilon-greedy
    suffix_start: Array | None = None  # [] from this step on, actions are (nearly all) random
    time_shift: Array | float = 0.0  # [] added to the share that the policy takes to be over

    def rate(self, step: Array) -> Array | float:
        """Epsilon of a step, []."""
        if self.suffix_start is None:
            return self.epsilon
        return jnp.where(step >= self.suffix_start, jnp.maximum(self.epsilon, 0.9), self.epsilon)


GREEDY = Plan()


def plan(keys: Key, acting: ActingConfig, epsilon: Array, horizon: int) -> Plan:
    """What `acting` says of exploitation. keys: [4]."""
    # Greedy up to a random step, random after it: reaches what a half-learned policy leads to.
    suffix = jax.random.bernoulli(keys[0], acting.random_suffix_fraction)
    start = jnp.where(suffix, jax.random.randint(keys[1], (), 0, horizon), horizon)
    epsilon = jnp.where(suffix, acting.epsilon_min, epsilon)
    # As if the episode were further on: what is first learned near the end is tried early.
    shifted = jax.random.bernoulli(keys[2], acting.time_shift_fraction)
    shift = jnp.where(shifted, jax.random.uniform(keys[3]), 0.0)
    return Plan(epsilon, start, shift)


def make_optimizer(
    config: OptimizerConfig, total_updates: int, weight_decay: float = 0.0, decayed: Any = None
) -> optax.GradientTransformation:
    """AdamW after clipping by the global norm; learning rate held, then linear to the end.

    `decayed`: a tree of bool, a prefix of the parameters': which of them decay; None: all.
    Moments are kept as one vector: a fifth less to compile than with a few loops for every array.
    """
    schedule = optax.linear_schedule(
        config.learning_rate,
        config.learning_rate * config.final_learning_rate_fraction,
        max(round((1.0 - config.hold_fraction) * total_updates), 1),
        transition_begin=round(config.hold_fraction * total_updates),
    )
    return optax.chain(
        optax.flatten(
            optax.chain(optax.clip_by_global_norm(config.max_gradient_norm), optax.scale_by_adam())
        ),
        optax.add_decayed_weights(weight_decay, decayed),
        optax.scale_by_learning_rate(schedule),
    )


def init_learner(params: Params, optimizer: optax.GradientTransformation) -> LearnerState:
    """The target network starts as a copy."""
    copy = jax.tree.map(jnp.copy, params)
    return LearnerState(params, copy, optimizer.init(params), jnp.zeros((), jnp.int32))


def update_learner(
    learner: LearnerState,
    gradient: Params,
    optimizer: optax.GradientTransformation,
    target_update_period_updates: int,
    enabled: Array,
) -> LearnerState:
    """One optimiser step and, every so many updates, a target copy; nothing if not `enabled`."""
    step, opt_state = optimizer.update(gradient, learner.opt_state, learner.params)
    params = optax.apply_updates(learner.params, step)
    updates = learner.updates + 1
    copy_now = updates % target_update_period_updates == 0
    target = jax.tree.map(lambda t, p: jnp.where(copy_now, p, t), learner.target_params, params)
    new = LearnerState(params, target, opt_state, updates)
    return jax.tree.map(lambda a, b: jnp.where(enabled, a, b), new, learner)


def draw_problem(key: Key, env: Env) -> Array:
    """[] int32 a training problem."""
    ids = env.problem_ids("train")
    return jnp.asarray(ids)[jax.random.randint(key, (), 0, len(ids))]


def example_observation(env: Env, length: int) -> Array:
    """[length, ...] zeros of the shape that networks see, to initialise them."""
    if is_pixel_env(env):
        return jnp.zeros((length, *env.observation_shape), jnp.uint8)
    return jnp.zeros((length, len(env.observation_sizes)), jnp.int32)


def problem_input(env: Env, problem: Array) -> Array:
    """What an encoder of ids is given: the id itself (one-hot inside), or its descriptor."""
    if env.descriptors is None:
        return problem
    return jnp.asarray(env.descriptors, jnp.float32)[problem]


def discounts(config: Config, terminated: Array, truncated: Array) -> Array:
    """Discount after each step: 0 at termination, and at a time-out unless it bootstraps."""
    cut = terminated if config.td.bootstrap_on_truncation else terminated | truncated
    return config.td.discount * (1.0 - cut.astype(jnp.float32))
