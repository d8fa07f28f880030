"""Which loss of DREAM reaches which parameters."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dream_jax.agents.dream import Dream
from dream_jax.networks.policies import Decoder
from tests import probes
from tests.agents.dream_case import (
    BATCH,
    RICH,
    at,
    batch_loss,
    gradients_of_parts,
    random_params,
    size,
)
from tests.probes import quick_jit

# Which loss reaches which parameters.

GROUPS = ("policy", "encoder", "decoder", "exploration")
# (td_reaches_decoder, acts_on_exploration) -> what the exploitation TD loss trains.
EXPLOITATION_TD = {
    (False, False): {"policy", "encoder"},
    (False, True): {"policy", "encoder"},
    (True, False): {"policy", "encoder"},
    (True, True): {"policy", "decoder"},
}
OTHERS = {
    "bottleneck": {"encoder"},
    "decoder": {"decoder"},  # its target, f, is a constant
    "exploration_td": {"exploration"},  # its rewards are constants
}


@functools.cache
def gradients_with(td_reaches_decoder):
    losses = dataclasses.replace(
        RICH.losses, td_reaches_decoder=td_reaches_decoder, normalise_information_gain=True
    )
    return gradients_of_parts(Dream(dataclasses.replace(RICH, losses=losses), probes.Corridor()))


@pytest.mark.parametrize(("td_reaches_decoder", "acts_on_exploration"), EXPLOITATION_TD)
def test_each_loss_reaches_its_parameters_and_no_others(
    rich, td_reaches_decoder, acts_on_exploration
):
    trials = rich.trials._replace(acts_on_exploration=np.full(BATCH, acts_on_exploration))
    gradients = gradients_with(td_reaches_decoder)(rich.params, rich.target, trials)
    table = {"exploitation_td": EXPLOITATION_TD[td_reaches_decoder, acts_on_exploration], **OTHERS}
    assert set(table) == set(gradients) == set(Dream.loss_names)
    for name, (online, target) in gradients.items():
        found = {**online.exploitation._asdict(), "exploration": online.exploration}
        assert set(found) == set(GROUPS)
        for group in GROUPS:
            reached = size(found[group])
            assert np.isfinite(reached)
            assert (reached > 1e-6) if group in table[name] else (reached == 0.0), (name, group)
        assert size(target) == 0.0, name


def test_the_target_parameters_do_count(rich):
    key = jax.random.key(2)
    parts = [
        rich.batch_loss(rich.params, target, rich.trials, key)[0][1]
        for target in (rich.target, rich.params)
    ]
    for name in ("exploitation_td", "exploration_td"):
        assert abs(parts[0][name] - parts[1][name]) > 1e-3
    for name in ("bottleneck", "decoder"):
        assert parts[0][name] == parts[1][name]


@pytest.mark.slow  # test_decoder.py has the heads alone
def test_with_folds_a_head_is_trained_on_the_problems_whose_gain_it_does_not_measure(rich):
    losses = dataclasses.replace(RICH.losses, decoder_folds=2, td_reaches_decoder=False)
    agent = Dream(dataclasses.replace(RICH, losses=losses), rich.env)
    params, exploration = random_params(agent), at(0, rich.trials.exploration)
    net = Decoder(RICH.networks, rich.env.observation_sizes, 4, sees_rewards=True, folds=2)
    heads = functools.partial(
        net.apply,
        observation=exploration.observation,
        action=exploration.action.astype(np.int32),
        reward=exploration.reward,
    )
    decoder = params.exploitation.decoder
    reached = quick_jit(jax.jacrev(lambda p: jnp.sum(heads(p) ** 2, axis=(1, 2))))(decoder)
    # The entries of the parameters that matter to head k and to no other.
    own = [jax.tree.map(lambda x, k=k: (x[k] != 0) & (x[1 - k] == 0), reached) for k in range(2)]
    assert size(own[0]) > 10 and size(own[1]) > 10

    def with_head_changed(k):
        changed = jax.tree.map(lambda x, mine: x + 0.1 * mine, decoder, own[k])
        return params._replace(exploitation=params.exploitation._replace(decoder=changed))

    loss = quick_jit(jax.value_and_grad(batch_loss(agent), has_aux=True))
    measuring = []
    for problem in (0, 1):
        trials = rich.trials._replace(problem=np.full(BATCH, problem))
        (_, parts), gradient = loss(params, params, trials, rich.keys[0])
        gradient = gradient.exploitation.decoder
        trained = [size(jax.tree.map(jnp.multiply, gradient, own[k])) > 0 for k in range(2)]
        assert sorted(trained) == [False, True]
        for k in range(2):
            (_, changed), _ = loss(with_head_changed(k), params, trials, rich.keys[0])
            assert (changed["decoder"] != parts["decoder"]) == trained[k]
            assert (changed["exploration_td"] != parts["exploration_td"]) == (not trained[k])
        measuring.append(trained.index(False))
    assert sorted(measuring) == [0, 1]  # the problems are spread over the folds

    # What is read is the mean of the heads.
    last = heads(decoder)[:, exploration.mask.sum()]
    read = quick_jit(agent.read)(params, exploration)
    np.testing.assert_allclose(read, (last[0] + last[1]) / 2, rtol=1e-4)
