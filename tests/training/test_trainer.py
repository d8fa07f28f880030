"""The trainer, iteration by iteration, on a small problem."""

import collections
import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dream_jax import config as configs
from dream_jax.data import replay
from dream_jax.training import evaluation, objective, setup
from dream_jax.training import trainer as train
from tests.training.held_out import (
    CAPACITY,
    CONFIG,
    PARALLEL,
    STEPS_PER_UPDATE,
    WARM_EXPLOITATION,
    WARM_EXPLORATION,
)
from tests.trees import differing, furthest


def newest_block(trainer, state):
    """The trials that the last iteration added, leaves [PARALLEL, ...]."""
    start = (int(state.trials) - PARALLEL) % CAPACITY
    block = np.arange(start, start + PARALLEL)
    return jax.device_get(replay.take(state.replay, block, trainer.trial_shape))


def test_replay_holds_the_newest_trials(states, trainer):
    states, _ = states
    for k, (before, after) in enumerate(itertools.pairwise(states), start=1):
        assert after.trials == after.replay.inserted == PARALLEL * k
        start = (k - 1) * PARALLEL % CAPACITY
        kept = np.delete(np.arange(CAPACITY), np.arange(start, start + PARALLEL))
        old, now = (
            jax.tree.map(lambda x, kept=kept: x[kept], state.replay.storage)
            for state in (before, after)
        )
        assert differing(old, now) == []
        new = newest_block(trainer, after)
        assert set(new.problem) <= {0, 1, 2}  # never a held-out problem
        for episodes, name in (
            (new.exploration, "exploration"),
            (new.exploitation, "exploitation"),
        ):
            lengths = episodes.mask.sum(axis=-1)
            assert np.all(episodes.mask == (np.arange(4) < lengths[..., None]))
            assert np.all(lengths >= 1)
            steps = f"{name}_steps"
            assert getattr(after, steps) - getattr(before, steps) == lengths.sum()
        # "Choose z ~ q every other trial": half of them, alternately.
        assert np.all(new.acts_on_exploration == (np.arange(PARALLEL) % 2 == 0))
    drawn = np.concatenate([newest_block(trainer, state).problem for state in states[1:]])
    assert set(drawn) == {0, 1, 2}


def test_exploration_is_random_until_warm_then_greedy(states, trainer):
    states, _ = states
    for state in states[1:]:
        actions = newest_block(trainer, state).exploration.action[:, 0]
        if state.trials <= WARM_EXPLORATION:
            assert len(set(actions)) > 1
        else:  # epsilon is 0, the first observation shows only the colour: problem // 2
            colours = newest_block(trainer, state).problem // 2
            assert len(set(zip(colours, actions, strict=True))) == len(set(colours))


@pytest.mark.parametrize(
    "name, warm, number",
    [("exploitation", WARM_EXPLOITATION, 0), ("exploration", WARM_EXPLORATION, 1)],
)
def test_updates_are_paid_for_by_environment_steps(states, name, warm, number):
    states, _ = states
    paid = 0
    for before, after in itertools.pairwise(states):
        learner, earlier = getattr(after.learners, name), getattr(before.learners, name)
        if after.trials >= warm:
            paid += int(getattr(after, f"{name}_steps") - getattr(before, f"{name}_steps"))
        assert learner.updates == paid // STEPS_PER_UPDATE
        assert after.update_credit[number] * STEPS_PER_UPDATE == paid % STEPS_PER_UPDATE
        changed = differing(earlier.params, learner.params)
        assert bool(changed) == (learner.updates > earlier.updates)
        # The target network follows at every second update, and only then.
        if learner.updates > earlier.updates and learner.updates % 2 == 0:
            assert furthest(learner.target_params, learner.params) < 1e-6
        else:
            assert differing(learner.target_params, earlier.target_params) == []
    assert learner.updates >= 2


def test_losses_are_of_the_updates_of_their_learner(states, trainer):
    """Where it made none they are 0, and each loss has one learner."""
    states, losses = states
    owners = trainer.agent.learners
    owned = [f"loss_{name}" for owner in owners for name in owner.losses]
    assert sorted(owned) == sorted(losses)
    alone = collections.Counter()
    for k, (before, after) in enumerate(itertools.pairwise(states)):
        new, old = ([x.updates for x in state.learners] for state in (after, before))
        for owner, made, others in zip(owners, np.subtract(new, old), [1, 0], strict=True):
            for name in owner.losses:
                assert (losses[f"loss_{name}"][k] != 0) == (made > 0)
            alone[owner.phases] += made > new[others] - old[others]
    assert min(alone.values()) > 0  # each has made updates that the other had not


@pytest.mark.slow
def test_a_learner_updated_alone_moves_as_together(states, trainer):
    state = jax.tree.map(jnp.asarray, states[0][-1])
    due = train.Due(jnp.ones(2, jnp.int32), jnp.ones(2, bool), None)
    zeros = {name: jnp.zeros(()) for name in trainer.agent.loss_names}
    before = train.Learned(state.learners, state.average, zeros, jax.random.key(1))

    def updated(*which):
        update = jax.jit(functools.partial(trainer.update, which))
        return update(before, state, due).learners

    together = updated(0, 1)
    for k in (0, 1):
        alone, other = updated(k), 1 - k
        assert furthest(alone[k].params, together[k].params) < 1e-6
        assert differing(alone[k].params, state.learners[k].params) != []
        assert differing(alone[other], state.learners[other]) == []


def test_average_of_the_parameters(states):
    states, _ = states
    moved = 0
    for before, after in itertools.pairwise(states):
        newest = train.newest_params(after)
        if differing(train.newest_params(before), newest):
            moved += 1
            expected = jax.tree.map(lambda a, p: 0.9 * a + 0.1 * p, before.average, newest)
            assert furthest(after.average, expected) < 1e-6
        else:
            assert differing(before.average, after.average) == []
    assert moved >= 3
    assert differing(states[-1].average, newest) != []
    assert evaluation.evaluation_params(CONFIG, after) is after.average
    plain = configs.override(CONFIG, {"optimizer.average_decay": "0"})
    assert differing(evaluation.evaluation_params(plain, after), newest) == []


def test_share_of_the_batch_that_trains_exploration(env, monkeypatch):
    """Of a quarter: every trial of the batch trains exploitation, one in four the rest."""
    quarter = configs.override(CONFIG, {"replay.exploration_batch_fraction": "0.25"})
    size = CONFIG.replay.batch_trials
    assert quarter.exploration_batch_trials == size // 4 >= 1
    assert CONFIG.exploration_batch_trials == size
    sizes = []
    loss = objective.loss

    def spy(agent, params, target, batch, *rest):
        both = (batch.trials, batch.trials if batch.exploring is None else batch.exploring)
        sizes.append(tuple(t.problem.shape[0] for t in both))
        return loss(agent, params, target, batch, *rest)

    monkeypatch.setattr(objective, "loss", spy)
    for config in (CONFIG, quarter):
        trainer = setup.make_trainer(config, env)
        jax.eval_shape(trainer.iterate, jax.eval_shape(trainer.init, 0))
    assert set(sizes) == {(size, size), (size, size // 4)}


@pytest.mark.parametrize(
    "trials, parallel, fixed, steps, expected",
    [
        (64, 8, 3, 4, 8 * 3),  # 8 iterations of 3 updates
        (64, 8, 0, 4, 8 * 8 * 20 // 4),  # at most 20 steps a trial, one update for 4
    ],
)
def test_total_updates(trials, parallel, fixed, steps, expected):
    values = {
        "trials": trials,
        "trials_per_iteration": parallel,
        "updates_per_iteration": fixed,
        "env_steps_per_update": steps,
    }
    assert setup.total_updates(configs.from_dict({"training": values})) == expected
