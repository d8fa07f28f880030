"""What agents share: training problems, inputs of networks, discounts."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dream_jax import problems, specs
from dream_jax.config import ConfigError, NetworkConfig, TdConfig
from dream_jax.networks.policies import Encoder
from dream_jax.types import Array, Env, Key


def draw_problem(key: Key, env: Env) -> Array:
    """[] int32 a training problem, uniformly."""
    return problems.sample(env, key, "train")


def listed_problems(env: Env, why: str) -> int:
    """The number of problems. Raises ConfigError, which begins with `why`, if it has no end."""
    if not problems.is_listed(env):
        raise ConfigError(f"{why}, but {env.name} draws its problems without end; use agent=dream")
    return env.num_problems


def example_observation(env: Env, length: int) -> Any:
    """Zeros of the shape that networks take, to initialise them: leaves [length, ...]."""
    return specs.observation(env).example(length)


def problem_input(env: Env, problem: Array) -> Any:
    """What an encoder of problems takes: the id (one-hot inside), or its descriptor."""
    space = specs.descriptor(env)
    if space is not None:
        if problems.has_descriptor_function(env):
            return space.kept(env.descriptor(problem))  # type: ignore[attr-defined]
        return space.kept(jax.tree.map(lambda x: jnp.asarray(x)[problem], env.descriptors))
    if getattr(env, "descriptors", None) is None:
        return problem
    return jnp.asarray(env.descriptors, jnp.float32)[problem]


def make_encoder(config: NetworkConfig, env: Env) -> Encoder:
    """The encoder f of a family's problems.

    Raises ConfigError if they have neither descriptors nor a list.
    """
    described = specs.descriptor(env)
    if described is None and getattr(env, "descriptors", None) is None:
        why = "problems without `descriptor_spec` are told apart by their ids"
        return Encoder(config, listed_problems(env, why))
    return Encoder(config, env.num_problems, described)


def make_folds(env: Env, folds: int) -> Callable[[Array], Array]:
    """A function from a problem [] to its fold []: training problems evenly, at random.

    Raises ConfigError if there are more folds than problems.
    """
    if not problems.is_listed(env):
        key = jax.random.key(0)
        return lambda problem: jax.random.randint(jax.random.fold_in(key, problem), (), 0, folds)
    ids = env.problem_ids("train")
    if folds > len(ids):
        raise ConfigError(
            f"losses.decoder_folds={folds} is more than the {len(ids)} training problems"
        )
    fold = np.zeros(env.num_problems, np.int32)
    fold[np.random.default_rng(0).permutation(ids)] = np.arange(len(ids)) % folds
    return lambda problem: jnp.asarray(fold)[problem]


def discounts(td: TdConfig, terminated: Array, truncated: Array) -> Array:
    """Discount after each step, [T]: 0 at termination, and at a time-out unless it bootstraps."""
    cut = terminated if td.bootstrap_on_truncation else terminated | truncated
    return td.discount * (1.0 - cut.astype(jnp.float32))
