"""DREAM's losses: what must change nothing."""

import dataclasses

import jax
import numpy as np
import pytest
from jax.sharding import Mesh, PartitionSpec

from dream_jax.agents.dream import Dream
from dream_jax.training import objective
from dream_jax.training.shards import ONE, TRIAL_AXIS, Shards
from tests.agents.dream_case import (
    BATCH,
    RICH,
    assert_close,
    at,
    masked,
    numpy,
    with_other_padding,
)
from tests.probes import quick_jit


def test_padding_changes_no_loss_and_no_gradient(rich):
    rng = np.random.default_rng(0)
    padded = rich.trials._replace(
        exploration=with_other_padding(rich.trials.exploration, rng, 4),
        exploitation=with_other_padding(rich.trials.exploitation, rng, 4),
    )
    for before, after in (
        (rich.trials.exploration, padded.exploration),
        (rich.trials.exploitation, padded.exploitation),
    ):
        assert (~before.mask).sum() > 5
        assert np.array_equal(before.mask, after.mask)
        for name in ("observation", "action", "reward", "terminated", "truncated"):
            assert not np.array_equal(getattr(before, name), getattr(after, name)), name
    assert_close(
        rich.read(rich.params, padded.exploration),
        rich.read(rich.params, rich.trials.exploration),
    )
    key = jax.random.key(1)
    assert_close(
        rich.batch_loss(rich.params, rich.target, padded, key),
        rich.batch_loss(rich.params, rich.target, rich.trials, key),
    )


def test_batch_mates_change_nothing(rich):
    terms = rich.terms_of(rich.trials, rich.keys)
    order = np.array([3, 0, 5, 1, 4, 2])
    moved = rich.terms_of(at(order, rich.trials), rich.keys[order])
    for i, j in enumerate(order):
        assert_close(masked(moved, i), masked(terms, j))
    others = numpy(rich.collect(rich.target, jax.random.key(5), 0.9))
    mixed = jax.tree.map(lambda x, y: np.concatenate([x[:2], y[2:]]), rich.trials, others)
    among_others = rich.terms_of(mixed, rich.keys)
    for i in range(2):
        assert_close(masked(among_others, i), masked(terms, i))
    assert not np.allclose(among_others.exploration_td[2:], terms.exploration_td[2:])


@pytest.mark.slow
def test_the_decoder_and_exploration_may_learn_from_fewer_trials(rich):
    """Each part is that of the trials it was given, and so is its gradient."""
    assert not RICH.losses.normalise_information_gain  # or the spread of the batch counted too
    few, loss, key = at(np.arange(2), rich.trials), rich.batch_loss, rich.keys[0]
    as_many = at(np.tile([0, 1], BATCH // 2), rich.trials)  # has the same means
    (_, all_parts), of_all = loss(rich.params, rich.target, rich.trials, key, rich.trials)
    (_, few_parts), of_few = loss(rich.params, rich.target, as_many, key)
    (_, parts), gradient = loss(rich.params, rich.target, rich.trials, key, few)
    for name in ("exploitation_td", "bottleneck"):
        assert parts[name] == all_parts[name]
    for name in ("decoder", "exploration_td"):
        assert parts[name] == pytest.approx(float(few_parts[name]), rel=1e-5)
        assert parts[name] != pytest.approx(float(all_parts[name]), rel=1e-2)
    assert_close(gradient.exploitation.policy, of_all.exploitation.policy)
    assert_close(gradient.exploration, of_few.exploration)


def test_decoding_once_equals_decoding_to_read_and_to_train(rich):
    assert RICH.losses.td_reaches_decoder and len(set(rich.trials.acts_on_exploration)) == 2
    once = rich.batch_loss(rich.params, rich.target, rich.trials, rich.keys[0])
    twice = rich.batch_loss(rich.params, rich.target, rich.trials, rich.keys[0], rich.trials)
    assert_close(once, twice)


def test_a_trial_alone_equals_the_trial_in_a_batch(rich):
    terms = rich.terms_of(rich.trials, rich.keys)
    alone = rich.trial_terms(rich.params, rich.target, at(3, rich.trials), 1.0, rich.keys[3])
    assert_close(masked(jax.tree.map(lambda x: np.asarray(x)[None], alone), 0), masked(terms, 3))


def test_a_batch_shared_by_two_devices_has_the_loss_and_the_gradient_of_the_whole(rich):
    losses = dataclasses.replace(RICH.losses, normalise_information_gain=True)  # needs all of it
    agent = Dream(dataclasses.replace(RICH, losses=losses), rich.env)

    def of(shards):
        def value_and_gradient(params, trials):
            batch = objective.Batch(shards.mine(trials))

            def loss(params):
                return objective.loss(agent, params, rich.target, batch, rich.keys[0], shards)

            return shards.total(jax.value_and_grad(loss, has_aux=True)(params))

        return value_and_gradient

    shared = jax.shard_map(
        of(Shards(2)),
        mesh=Mesh(np.array(jax.devices()[:2]), (TRIAL_AXIS,)),
        in_specs=PartitionSpec(),
        out_specs=PartitionSpec(),
        check_vma=False,
    )
    assert_close(
        quick_jit(shared)(rich.params, rich.trials),
        quick_jit(of(ONE))(rich.params, rich.trials),
    )
