"""A recorded trial as one sequence of slots, for agents whose memory lasts a whole trial.

There is one slot per observation, with padding inside. While exploring the instruction is hidden,
unless `trial.instruction_in_exploration` shows it:

    o_0 .. o_n of exploration, then o_0 .. o_n of each exploitation episode

The last slot of an episode ("done") has no action. It shows the memory how the episode ended.
S = (L + 1) + N (T + 1).
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from dream_jax import specs
from dream_jax.agents import inputs
from dream_jax.config import Config
from dream_jax.data import pictures, rollout
from dream_jax.networks.history import Slots
from dream_jax.types import Array, Env, Episode, Trial

_GIVEN, _PHASE = "given", "phase"  # in the dict of instructions that are not integer components


class TrialSequence(NamedTuple):
    """A recorded trial, to learn from."""

    slots: Slots
    mask: Array  # [S] bool, false for padding
    acted: Array  # [S] bool, slots with an action
    action: Array  # [S] int32, that action
    reward: Array  # [S] the reward of that action
    exploring: Array  # [S] bool
    discount: Array  # [S] after that action: 0 only at the end of the trial


def hidden(env: Env) -> Any:
    """While exploring: [1 + I] 0, then for each component one more than its largest value.

    Of instructions that are not integer components: phase 0, and zeros for the instruction.
    """
    space = specs.instruction(env)
    if space.component_sizes is None:
        return {_PHASE: jnp.zeros(1, jnp.int32), _GIVEN: space.example()}
    return jnp.array((0, *space.component_sizes), jnp.int32)


def shown(env: Env, instruction: Any) -> Any:
    """While exploiting: [1 + I] 1, then the instruction [I]; or phase 1, and the instruction."""
    if specs.instruction(env).component_sizes is None:
        return {_PHASE: jnp.ones(1, jnp.int32), _GIVEN: instruction}
    return jnp.append(1, instruction.astype(jnp.int32))


def exploring(env: Env, instruction: Any) -> Any:
    """While exploring: `hidden`, or phase 0 and the instruction that is shown. None: none is."""
    if instruction is None:
        return hidden(env)
    if specs.instruction(env).component_sizes is None:
        return {_PHASE: jnp.zeros(1, jnp.int32), _GIVEN: instruction}
    return jnp.append(0, instruction.astype(jnp.int32))


def instruction_values(env: Env) -> specs.Space:
    """The space of `hidden` and `shown`."""
    space = specs.instruction(env)
    sizes = space.component_sizes
    if sizes is not None:
        return specs.components((2, *(size + 1 for size in sizes)), "instruction")
    phase = specs.components((2,), "instruction").parts[0]._replace(name=_PHASE)
    tree = jax.tree.structure(
        {_PHASE: 0, _GIVEN: jax.tree.unflatten(space.tree, space.parts)},
        is_leaf=lambda x: isinstance(x, specs.Part),
    )
    # jax sorts the keys of a dict: the given instruction comes before the phase.
    return specs.Space(space.name, (*space.parts, phase), tree)


def of_trial(config: Config, env: Env, trial: Trial) -> TrialSequence:
    """All slots of a trial. Rewards of exploitation are always shown."""
    count = jax.tree.leaves(trial.instruction)[0].shape[0]

    def part(episode, instruction, ends):
        given = _at_every_slot(shown(env, instruction), episode)
        return _part(config, env, episode, given, True, ends, False)

    ends = jnp.arange(count) == count - 1
    episodes = jax.vmap(part)(trial.exploitation, trial.instruction, ends)
    flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), episodes)
    first = of_exploration(config, env, trial.exploration)
    return jax.tree.map(lambda a, b: jnp.concatenate([a, b]), first, flat)


def of_exploration(config: Config, env: Env, exploration: Episode) -> TrialSequence:
    """The slots of exploration alone, [L + 1]."""
    rewards, ends = config.trial.rewards_in_exploration, jnp.zeros((), bool)
    if exploration.instruction is None:
        instruction = _at_every_slot(hidden(env), exploration)
    else:  # that of the slot after the last step is the one before it
        instruction = jax.tree.map(
            lambda x: jnp.concatenate([x, x[-1:]]),
            jax.vmap(lambda one: exploring(env, one))(exploration.instruction),
        )
    return _part(config, env, exploration, instruction, rewards, ends, True)


def _at_every_slot(instruction: Any, episode: Episode) -> Any:
    """The same instruction at each of an episode's T + 1 slots: leaves [T + 1, ...]."""
    slots = episode.mask.shape[0] + 1
    return jax.tree.map(lambda x: jnp.broadcast_to(x, (slots, *x.shape)), instruction)


def actions(sequence: TrialSequence, episodes: int) -> Array:
    """[L + N T + 1] indices of the slots with an action, in order, then the slot after the last.

    The rest of the array is filled with other slots, whose `acted` is false. So the first slot of
    an episode comes right after the last action of the episode before.
    """
    count = sequence.mask.shape[0]
    last = jnp.max(jnp.where(sequence.mask, jnp.arange(count), 0))
    keep = sequence.acted | (jnp.arange(count) == last)
    return jnp.argsort(~keep, stable=True)[: count - episodes + 1]


def _part(
    config: Config,
    env: Env,
    episode: Episode,
    instruction: Any,
    rewards: bool,
    ends: Array,
    exploring: bool,
) -> TrialSequence:
    """The slots of one episode.

    `instruction`: of each slot, [T + 1, ...]. `rewards`: whether they are shown. `ends`: [] bool,
    the trial ends with this episode.
    """
    seen = pictures.as_seen(env, episode)
    length, steps = seen.mask.shape[0], jnp.sum(seen.mask)
    index = jnp.arange(length + 1)
    action = seen.action.astype(jnp.int32)
    reward = seen.reward if rewards else jnp.zeros_like(seen.reward)
    cut = inputs.discounts(config.td, seen.terminated, seen.truncated)
    discount = jnp.where(ends, cut, config.td.discount)
    slots = Slots(
        seen.observation,
        instruction,
        jnp.concatenate([jnp.array([env.num_actions]), action]),
        jnp.concatenate([jnp.zeros(1), reward]),
        index == steps,
        rollout.fraction_over(length),
    )
    return TrialSequence(
        slots,
        index <= steps,
        jnp.append(seen.mask, False),
        jnp.append(action, 0),
        jnp.append(seen.reward, 0.0),
        jnp.full(length + 1, exploring),
        jnp.append(discount, 0.0),
    )
