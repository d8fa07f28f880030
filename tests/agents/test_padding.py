"""Padding full of NaN, or of the largest integers, changes no loss and no gradient of any agent.

Episodes have any length from 1 step to all of them, as hypothesis chooses.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dream_jax import envs, specs
from dream_jax.agents import registry
from dream_jax.data import rollout
from tests import probes
from tests.agents import dream_case, whole_trial_case
from tests.agents.dream_case import batch_loss, random_params
from tests.envs.adapters import family_cases
from tests.probes import quick_jit
from tests.tiers import quick

BATCH, EPISODES, STEPS = 3, 2, 4
BASE = dream_case.RICH  # TD through z, rewards shown, two episodes of each kind
DREAM_AND_ABLATIONS = (
    "dream",
    "dream_dynamics",
    "dream_next_states",
    "dream_half_coupled",
    "dream_end_to_end",
)
CONFIGS = {name: dataclasses.replace(BASE, agent=name) for name in DREAM_AND_ABLATIONS}
# Q(lambda) passes rewards backwards, LSTMs observations forwards.
CONFIGS["dream_traces"] = dataclasses.replace(
    BASE,
    td=dataclasses.replace(BASE.td, trace_lambda=0.9),
    networks=dataclasses.replace(
        BASE.networks, exploration_memory="lstm", exploitation_memory="lstm"
    ),
)
CONFIGS |= {
    name: dataclasses.replace(whole_trial_case.RICH, **changes)
    for name, changes in whole_trial_case.AGENTS.items()
}
INTEGERS = [("corridor", name) for name in CONFIGS]
# Agents that name problems or predict integers do not take this family.
NUMBERS = [
    ("mixed", name) for name in CONFIGS if name not in ("dream_dynamics", "dream_next_states")
]


class Case:
    """An agent on a family, and its loss with the gradient."""

    def __init__(self, family: str, name: str):
        mixed = f"{family_cases.__name__}:Mixed"
        self.env = probes.Corridor() if family == "corridor" else envs.make(mixed, horizon=STEPS)
        self.agent = registry.make(CONFIGS[name], self.env)
        assert self.env.horizon == STEPS
        self.params, self.target = random_params(self.agent, 0), random_params(self.agent, 1)
        self.loss = quick_jit(jax.value_and_grad(batch_loss(self.agent), has_aux=True))
        zero = jnp.zeros(())
        one = jax.eval_shape(
            self.agent.collect, self.params, jax.random.key(0), zero, zero, jnp.zeros((), bool)
        )
        self.batch = jax.tree.map(lambda x: np.zeros((BATCH, *x.shape), x.dtype), one)
        self.stream = rollout.exploration_length(self.env, self.agent.config.trial)

    def trials(self, rng, exploration, exploitation):
        """Random trials whose streams have `exploration` [BATCH] steps, and whose episodes have
        `exploitation` [BATCH, N]."""
        problem = np.arange(BATCH, dtype=np.int32) % 2
        instruction = _values(specs.instruction(self.env), rng, self.batch.instruction)
        return self.batch._replace(
            problem=problem,
            exploration=self._episode(rng, self.batch.exploration, exploration),
            instruction=instruction,
            exploitation=self._episode(rng, self.batch.exploitation, exploitation),
            acts_on_exploration=problem == 0,
        )

    def _episode(self, rng, like, steps):
        index = np.arange(like.mask.shape[-1])
        mask, last = index < steps[..., None], index == steps[..., None] - 1
        kind = rng.integers(0, 3, (*steps.shape, 1))  # terminated, timed out, or neither
        shown = like.instruction
        if shown is not None:
            shown = _values(specs.instruction(self.env), rng, shown)
            shown = _repeating_last(shown, steps, mask)
        return like._replace(
            observation=_values(specs.observation(self.env), rng, like.observation),
            action=rng.integers(0, self.env.num_actions, mask.shape).astype(like.action.dtype),
            reward=np.where(mask, rng.normal(size=mask.shape), 0.0).astype(np.float32),
            terminated=last & (kind == 0),
            truncated=last & (kind == 1),
            mask=mask,
            instruction=shown,
        )


def _values(space, rng, like):
    """Random values of a space, shaped like a tree of arrays."""
    leaves = []
    for part, x in zip(space.parts, jax.tree.leaves(like), strict=True):
        if part.kind == "numbers":
            leaves.append(rng.normal(size=x.shape).astype(np.float32))
            continue
        low, high = (0, 255) if part.kind == "picture" else (part.low, part.high)
        if part.kind != "picture":
            low, high = np.reshape(low, part.shape), np.reshape(high, part.shape)
        leaves.append(rng.integers(low, np.add(high, 1), x.shape).astype(x.dtype))
    return jax.tree.unflatten(jax.tree.structure(like), leaves)


def _repeating_last(tree, steps, mask):
    """Leaves [..., T, ...] in which padding repeats the last step, as the rollout has it."""
    index = np.minimum(np.arange(mask.shape[-1]), steps[..., None] - 1)

    def of(x):
        where = index.reshape(*index.shape, *[1] * (x.ndim - index.ndim))
        return np.take_along_axis(x, where, axis=index.ndim - 1)

    return jax.tree.map(of, tree)


def poisoned(episode):
    """NaN in all numbers after the end, the largest value in integers, true in flags."""
    mask = episode.mask
    after = np.concatenate([np.zeros_like(mask[..., :1]), ~mask], axis=-1)  # of observations

    def spoil(where):
        def of(x):
            worst = True if x.dtype == bool else np.nan
            if np.issubdtype(x.dtype, np.integer):
                worst = np.iinfo(x.dtype).max
            there = where.reshape(where.shape + (1,) * (x.ndim - where.ndim))
            return np.where(there, np.array(worst, x.dtype), x)

        return of

    changed = jax.tree.map(spoil(~mask), episode._replace(observation=None))
    observation = jax.tree.map(spoil(after), episode.observation)
    return changed._replace(observation=observation, mask=mask)


@functools.cache
def case(family, name):
    return Case(family, name)


def lengths(longest, count):
    return st.lists(st.integers(1, longest), min_size=count, max_size=count).map(np.array)


@pytest.mark.parametrize(
    ("family", "name"), quick(INTEGERS + NUMBERS, ("corridor", "e_rl2"), ("mixed", "dream"))
)
@settings(max_examples=25, deadline=None, derandomize=True, database=None)
@given(data=st.data(), seed=st.integers(0, 2**31))
def test_poisoned_padding_changes_no_loss_and_no_gradient(family, name, data, seed):
    c = case(family, name)
    exploration = data.draw(lengths(c.stream, BATCH), "steps of exploration")
    exploitation = data.draw(lengths(STEPS, BATCH * EPISODES), "steps of exploitation")
    trials = c.trials(
        np.random.default_rng(seed), exploration, exploitation.reshape(BATCH, EPISODES)
    )
    padded = trials._replace(
        exploration=poisoned(trials.exploration), exploitation=poisoned(trials.exploitation)
    )
    key = jax.random.key(seed % 7)
    clean = c.loss(c.params, c.target, trials, key)
    spoiled = c.loss(c.params, c.target, padded, key)
    for (path, before), after in zip(
        jax.tree.leaves_with_path(clean), jax.tree.leaves(spoiled), strict=True
    ):
        assert np.isfinite(before).all(), path
        np.testing.assert_array_equal(before, after, err_msg=jax.tree_util.keystr(path))
