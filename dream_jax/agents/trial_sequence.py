"""A recorded trial as one sequence of slots, for agents whose memory lasts a whole trial.

There is one slot per observation, with padding inside. While exploring the instruction is hidden,
unless `trial.instruction_in_exploration` shows it:

    o_0 .. o_n of exploration, then o_0 .. o_n of each exploitation episode

The last slot of an episode ("done") has no action. It shows the memory how the episode ended.
S = (L + 1) + N (T + 1).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from dream_jax.agents import inputs
from dream_jax.config import Config
from dream_jax.data import pictures, rollout
from dream_jax.networks.history import Slots
from dream_jax.types import Array, Env, Episode, Trial


class TrialSequence(NamedTuple):
    """A recorded trial, to learn from."""

    slots: Slots
    mask: Array  # [S] bool, false for padding
    acted: Array  # [S] bool, slots with an action
    action: Array  # [S] int32, that action
    reward: Array  # [S] the reward of that action
    exploring: Array  # [S] bool
    discount: Array  # [S] after that action: 0 only at the end of the trial


def hidden(env: Env) -> Array:
    """[1 + I] while exploring: 0, then for each component one more than its largest value."""
    return jnp.array((0, *env.instruction_sizes), jnp.int32)


def shown(instruction: Array) -> Array:
    """[1 + I] while exploiting: 1, then the instruction [I]."""
    return jnp.append(1, instruction.astype(jnp.int32))


def exploring(env: Env, instruction: Array | None) -> Array:
    """[..., 1 + I] while exploring: `hidden`, or 0 and the instruction [..., I] that is shown."""
    if instruction is None:
        return hidden(env)
    return jnp.insert(instruction.astype(jnp.int32), 0, 0, axis=-1)


def instruction_sizes(env: Env) -> tuple[int, ...]:
    """Sizes of the components of `hidden` and `shown`."""
    return 2, *(size + 1 for size in env.instruction_sizes)


def of_trial(config: Config, env: Env, trial: Trial) -> TrialSequence:
    """All slots of a trial. Rewards of exploitation are always shown."""
    count = trial.instruction.shape[0]

    def part(episode, instruction, ends):
        return _part(config, env, episode, shown(instruction), True, ends, False)

    ends = jnp.arange(count) == count - 1
    episodes = jax.vmap(part)(trial.exploitation, trial.instruction, ends)
    flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), episodes)
    first = of_exploration(config, env, trial.exploration)
    return jax.tree.map(lambda a, b: jnp.concatenate([a, b]), first, flat)


def of_exploration(config: Config, env: Env, exploration: Episode) -> TrialSequence:
    """The slots of exploration alone, [L + 1]."""
    rewards, ends = config.trial.rewards_in_exploration, jnp.zeros((), bool)
    instruction = exploring(env, exploration.instruction)
    if exploration.instruction is not None:  # of the slot after the last step, as before it
        instruction = jnp.concatenate([instruction, instruction[-1:]])
    return _part(config, env, exploration, instruction, rewards, ends, True)


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
    instruction: Array,
    rewards: bool,
    ends: Array,
    exploring: bool,
) -> TrialSequence:
    """The slots of one episode.

    `instruction`: [1 + I], or [T + 1, 1 + I]. `rewards`: whether they are shown. `ends`: [] bool,
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
        jnp.broadcast_to(instruction, (length + 1, instruction.shape[-1])),
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
