"""E-RL2, IMPORT and VariBAD: which loss reaches what, what changes nothing.

Whether they learn is in test_baselines.py.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dream_jax.agents.exploration_noise import ExplorationNoise
from dream_jax.training.objective import PHASES
from dream_jax.types import LossContext, Trial
from tests import probes
from tests.agents.dream_case import (
    BATCH,
    MirroredCorridor,
    assert_close,
    at,
    batch_loss,
    gradients_of_parts,
    numpy,
    size,
    with_other_padding,
)
from tests.agents.whole_trial_case import AGENTS, RICH, case, make
from tests.probes import quick_jit
from tests.tiers import quick, slow


@pytest.mark.parametrize("name", quick(["e_rl2", "rl2", "import", "varibad"], "import", "rl2"))
def test_what_is_learned_from_is_what_was_acted_on(name):
    """Greedy actions are the best ones by the values that the update computes."""
    c = case(name)
    agent, params = c.agent, c.params

    @quick_jit
    @jax.vmap
    def values(trial):
        stream = agent.sequence(trial)
        context = agent.context(agent.remember(params, stream))
        informed = agent.informed(params, trial.problem, ~trial.acts_on_exploration)
        if informed is not None:
            context = jnp.where(informed.use, informed.context, context)
        slots = stream.slots
        inputs = slots.observation, slots.instruction, context, slots.time
        return stream, agent._policy.apply(agent.policy_weights(params), *inputs)

    # Explored at random, for streams with padding to get past; then greedily.
    for exploring, epsilons in ((False, (0.6, 0.0)), (True, (0.0, 0.6))):
        trials = c.collect(params, jax.random.key(6), *epsilons)
        stream, q = numpy(values(trials))
        greedy = stream.acted & (stream.exploring == exploring)
        assert (np.argmax(q, -1) == stream.action)[greedy].all()
        assert greedy.sum() >= 2 * BATCH
        if not exploring:
            lengths = trials.exploration.mask.sum(axis=-1)
            assert lengths.min() < lengths.max()


@pytest.mark.slow
def test_a_time_shift_is_believed_and_not_remembered():
    """What is learned from has the true times, so the memory must have had them too."""
    c, shift = case("e_rl2"), 0.5
    agent, params = c.agent, c.params

    @quick_jit
    @jax.vmap
    def played(key, problem):
        instructions = jnp.zeros((2, 1), jnp.uint8)
        test = agent.roll(
            params, key, problem, instructions, 0.6, ExplorationNoise(0.0, None, shift)
        )
        trial = Trial(problem, test.exploration, instructions, test.exploitation, True)
        stream = agent.sequence(trial)
        slots, context = stream.slots, agent.context(agent.remember(params, stream))
        time = jnp.minimum(slots.time + shift, 1.0)
        inputs = slots.observation, slots.instruction, context, time
        return stream, agent._policy.apply(agent.policy_weights(params), *inputs)

    problems = jnp.arange(BATCH, dtype=jnp.int32) % 2
    stream, q = numpy(played(jax.random.split(jax.random.key(7), BATCH), problems))
    exploiting = stream.acted & ~stream.exploring
    assert exploiting.sum() >= 2 * BATCH
    assert (np.argmax(q, -1) == stream.action)[exploiting].all()


@pytest.mark.parametrize("name", quick(["e_rl2", "import", "varibad"], "import"))
def test_meta_testing_ignores_the_problem_id(name):
    def tester(env):
        return quick_jit(jax.vmap(make(name, env).meta_test, (None, 0, 0, 0)))

    def tests(roll, params, problems):
        instructions = np.random.default_rng(1).integers(0, 2, (BATCH, 2, 1)).astype(np.uint8)
        keys = jax.random.split(jax.random.key(9), BATCH)
        return numpy(roll(params, keys, problems, instructions)[:2])

    params, problems = case(name).params, np.arange(BATCH, dtype=np.int32) % 2
    roll = tester(probes.Corridor())
    expected = tests(roll, params, problems)
    told_wrong = tests(tester(MirroredCorridor()), params, 1 - problems)
    for x, y in zip(jax.tree.leaves(told_wrong), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(x, y)
    if name == "import":
        policy = params.policy
        lost = jax.tree.map(lambda x: jnp.full_like(x, jnp.nan), policy.encoder)
        without = tests(roll, params._replace(policy=policy._replace(encoder=lost)), problems)
        for x, y in zip(jax.tree.leaves(without), jax.tree.leaves(expected), strict=True):
            np.testing.assert_array_equal(x, y)


@pytest.mark.slow
def test_only_import_can_be_told_the_problem():
    for name in ("e_rl2", "varibad", "import"):
        agent = make(name)
        test = jax.eval_shape(
            agent.informed_test,
            case(name).params,
            jax.random.key(0),
            jnp.int32(0),
            jnp.zeros((2, 1), jnp.uint8),
        )
        assert (test is not None) == (name == "import")
        assert bool(case(name).trials.acts_on_exploration.all()) == (name != "import")


# Losses.

BELIEF = {"belief.encoder", "belief.decoder"}
REACH = {  # (agent, acted on the id) -> which parameters each loss trains
    ("e_rl2", False): {"td": {"policy.history", "policy.q"}},
    ("import", False): {
        "td": {"policy.history", "policy.q"},
        "distance": {"policy.history"},  # the id's embedding is a constant there
    },
    ("import", True): {
        "td": {"policy.encoder", "policy.q"},
        "distance": {"policy.history"},
    },
    ("varibad", False): {
        "td": {"policy"},  # no TD error reaches the belief
        "kl": {"belief.encoder"},
        "reward_decoder": BELIEF,
        "state_decoder": BELIEF,
    },
    ("point", False): {
        "td": {"policy", "belief.encoder"},
        "reward_decoder": BELIEF,
        "state_decoder": BELIEF,
    },
}


def groups(params):
    found = {}
    for learner, tree in params._asdict().items():
        if hasattr(tree, "_asdict"):
            found |= {f"{learner}.{name}": part for name, part in tree._asdict().items()}
        else:
            found[learner] = tree
    return found


@functools.cache
def gradients(name):
    return gradients_of_parts(case(name).agent)


@pytest.mark.parametrize(
    ("name", "on_id"), [slow(one) if one[0] == "point" else one for one in REACH]
)
def test_each_loss_reaches_its_parameters_and_no_others(name, on_id):
    c, table = case(name), REACH[name, on_id]
    trials = c.trials._replace(acts_on_exploration=np.full(BATCH, not on_id))
    found = gradients(name)(c.params, c.target, trials)
    assert set(found) == set(table) == set(c.agent.loss_names)
    for loss, (online, target) in found.items():
        for group, gradient in groups(online).items():
            reached = size(gradient)
            assert np.isfinite(reached)
            assert (reached > 1e-6) if group in table[loss] else (reached == 0.0), (loss, group)
        assert size(target) == 0.0


@pytest.mark.parametrize("name", quick(AGENTS, "varibad"))
def test_padding_changes_no_loss_and_no_gradient(name):
    c, rng = case(name), np.random.default_rng(0)
    padded = c.trials._replace(
        exploration=with_other_padding(c.trials.exploration, rng, 4),
        exploitation=with_other_padding(c.trials.exploitation, rng, 4),
    )
    assert (~padded.exploitation.mask).sum() > 5
    key = jax.random.key(1)
    assert_close(c.loss(c.params, c.target, padded, key), c.loss(c.params, c.target, c.trials, key))


@pytest.mark.parametrize("name", quick(["e_rl2", "import", "varibad"], "e_rl2"))
def test_batch_mates_change_nothing(name):
    c = case(name)
    keys = jax.random.split(jax.random.key(3), BATCH)

    def of_one(params, target, trial, key):
        return c.agent.loss_terms(params, target, trial, LossContext(key, None, PHASES))

    terms = quick_jit(jax.vmap(of_one, (None, None, 0, 0)))
    found = numpy(terms(c.params, c.target, c.trials, keys))
    order = np.array([3, 0, 5, 1, 4, 2])
    moved = numpy(terms(c.params, c.target, at(order, c.trials), keys[order]))
    assert_close(moved, at(order, found))
    alone = terms(c.params, c.target, at(slice(3, 4), c.trials), keys[3:4])
    assert_close(alone, at(slice(3, 4), found))


@pytest.mark.parametrize("name", quick(["e_rl2", "varibad"], "varibad"))
@pytest.mark.parametrize("shown", [False, True])
def test_rewards_of_exploration_count_only_where_they_are_shown(name, shown):
    c = case(name)
    trial = dataclasses.replace(RICH.trial, rewards_in_exploration=shown)
    agent = make(name, trial=trial)
    exploration = c.trials.exploration
    other = c.trials._replace(exploration=exploration._replace(reward=exploration.reward + 1.0))
    loss = quick_jit(batch_loss(agent))
    key = jax.random.key(1)
    before, after = (loss(c.params, c.target, trials, key)[1] for trials in (c.trials, other))
    for part in ("td", "reward_decoder"):
        if part in before:
            assert bool(before[part] != after[part]) == shown, part
