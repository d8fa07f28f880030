"""Running means and deviations of the numbers in observations, instructions and descriptors.

They belong to the TrainState. Networks read them from their variables (`networks.values`), so they
are copied into all parameters after each collection: online, target and averaged ones.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.tree_util import DictKey

from dream_jax import specs
from dream_jax.agents import inputs
from dream_jax.data import pictures
from dream_jax.networks.values import STATISTICS, Moments, moments_name
from dream_jax.specs import Space
from dream_jax.types import Array, Env, Params, TrainState, Trial

SMALLEST_DEVIATION = 1e-3  # of a component that hardly changes


class Running(NamedTuple):
    """Of one array: Chan's parallel algorithm."""

    values: Array  # [] float32, how many so far
    mean: Array  # [...]
    squares: Array  # [...] sum of squared distances from the mean


# By the name of the space, then of the part.
Statistics = dict[str, dict[str, Running]]


def init(env: Env) -> Statistics | None:
    """Before anything has been seen; None if the family has no numbers."""
    found = {}
    for space in _spaces(env):
        parts = [part for part in space.parts if part.kind == "numbers"]
        found[space.name] = {
            part.name: Running(jnp.zeros(()), jnp.zeros(part.shape), jnp.zeros(part.shape))
            for part in parts
        }
    return found or None


def see(env: Env, state: TrainState, trials: Trial) -> TrainState:
    """The state that has also seen trials [B, ...], with what they change in its parameters."""
    if state.statistics is None:
        return state
    return write(state._replace(statistics=add(env, state.statistics, trials)))


def add(env: Env, statistics: Statistics, trials: Trial) -> Statistics:
    """The statistics after trials [B, ...]. Padding does not count."""

    def seen(trial: Trial) -> dict[str, list[tuple[Any, Array]]]:
        episodes = jax.tree.map(lambda x: x[None], trial.exploration), trial.exploitation
        observations = []
        for part in episodes:
            shown = jax.vmap(lambda episode: pictures.as_seen(env, episode))(part)
            first = jnp.ones_like(shown.mask[:, :1])
            observations.append((shown.observation, jnp.concatenate([first, shown.mask], axis=1)))
        once = jnp.ones((), bool)
        count = jax.tree.leaves(trial.instruction)[0].shape[0]
        return {
            "observation": observations,
            "instruction": [(trial.instruction, jnp.ones(count, bool))],
            "descriptor": [(inputs.problem_input(env, trial.problem), once)],
        }

    shown = jax.vmap(seen)(trials)
    new = dict(statistics)
    for space in _spaces(env):
        for value, mask in shown[space.name]:
            leaves = jax.tree.leaves(value)
            for part, x in zip(space.parts, leaves, strict=True):
                if part.kind == "numbers":
                    old = new[space.name]
                    new[space.name] = old | {part.name: _merged(old[part.name], x, mask)}
    return new


def write(state: TrainState) -> TrainState:
    """The state with its statistics in all parameters."""
    if state.statistics is None:
        return state
    moments = {
        moments_name(name): {part: _moments(running) for part, running in parts.items()}
        for name, parts in state.statistics.items()
    }
    learners = type(state.learners)(
        *(
            learner._replace(
                params=_written(learner.params, moments),
                target_params=_written(learner.target_params, moments),
            )
            for learner in state.learners
        )
    )
    return state._replace(learners=learners, average=_written(state.average, moments))


def of_params(statistics: Statistics, params: Params, values: Mapping[str, int]) -> Statistics:
    """The statistics that parameters were trained with, so that training goes on with them.

    Args:
      statistics: of the run that begins, leaves [seeds, ...]: which numbers there are.
      params: with a collection of statistics, leaves [seeds, ...].
      values: how many values they count as, by the name of the space.
    """
    found = _collected(params)

    def running(space: str, part: str, fresh: Running) -> Running:
        moments = found[moments_name(space)][part]
        count = jnp.full_like(fresh.values, values[space])
        squares = jnp.square(moments.deviation) * values[space]
        return Running(count, jnp.asarray(moments.mean), squares)

    return {
        space: {part: running(space, part, fresh) for part, fresh in parts.items()}
        for space, parts in statistics.items()
    }


def most_values(trial: Trial) -> dict[str, int]:
    """The most values of each space that a trial can have. trial: shapes of one."""
    masks = trial.exploration.mask, trial.exploitation.mask
    observations = (math.prod(mask.shape[:-1]) * (mask.shape[-1] + 1) for mask in masks)
    episodes = trial.exploitation.mask.shape[0]
    return {"observation": sum(observations), "instruction": episodes, "descriptor": 1}


def trained(params: Params) -> Any:
    """A tree of bool: which leaves of parameters gradients may change."""

    def is_trained(path: Any, _: Any) -> bool:
        return not any(isinstance(key, DictKey) and key.key == STATISTICS for key in path)

    return jax.tree_util.tree_map_with_path(is_trained, params)


def _spaces(env: Env) -> list[Space]:
    declared = specs.observation(env), specs.instruction(env), specs.descriptor(env)
    return [space for space in declared if space is not None and space.has_numbers]


def _merged(old: Running, x: Array, mask: Array) -> Running:
    """x: [..., part], mask: the leading axes of x."""
    axes = tuple(range(mask.ndim))
    there = mask.reshape(*mask.shape, *(1,) * (x.ndim - mask.ndim))
    x = jnp.where(there, x, 0.0)
    count = jnp.sum(mask).astype(jnp.float32)
    mean = jnp.sum(x, axis=axes) / jnp.maximum(count, 1.0)
    squares = jnp.sum(jnp.where(there, jnp.square(x - mean), 0.0), axis=axes)
    total = old.values + count
    share = count / jnp.maximum(total, 1.0)
    distance = mean - old.mean
    return Running(
        total,
        old.mean + distance * share,
        old.squares + squares + jnp.square(distance) * old.values * share,
    )


def _moments(running: Running) -> Moments:
    variance = running.squares / jnp.maximum(running.values, 1.0)
    seen = running.values > 1
    deviation = jnp.where(seen, jnp.maximum(jnp.sqrt(variance), SMALLEST_DEVIATION), 1.0)
    return Moments(running.mean, deviation)


def _collected(tree: Any) -> dict[str, Any]:
    """Every `Moments` by part in collections of statistics, by name. Networks agree on them."""

    def inside(node: Any) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, child in node.items():
            moments = isinstance(child, Mapping) and any(
                isinstance(value, Moments) for value in child.values()
            )
            found |= {key: child} if moments else inside(child)
        return found

    if isinstance(tree, Mapping):
        parts = [inside(v) if k == STATISTICS else _collected(v) for k, v in tree.items()]
    elif isinstance(tree, tuple):
        parts = [_collected(child) for child in tree]
    else:
        parts = []
    return {name: moments for part in parts for name, moments in part.items()}


def _written(tree: Any, moments: Mapping[str, Any]) -> Any:
    """The tree with the moments wherever a collection of statistics has their name."""

    def inside(node: Any) -> Any:
        if isinstance(node, Mapping):
            return {
                key: dict(moments[key]) if key in moments else inside(child)
                for key, child in node.items()
            }
        return node

    def visit(node: Any) -> Any:
        if isinstance(node, Mapping):
            return {
                key: inside(child) if key == STATISTICS else visit(child)
                for key, child in node.items()
            }
        if isinstance(node, tuple) and hasattr(node, "_fields"):
            return type(node)(*map(visit, node))
        return node

    return visit(tree)
