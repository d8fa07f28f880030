"""E-RL2, IMPORT and VariBAD: a trial as a stream, which loss reaches what, what changes nothing.

Whether they learn is in test_baselines.py.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dream_jax.agents import registry
from dream_jax.agents import trial_sequence as streams
from dream_jax.agents.e_rl2 import ERl2, ERl2Params, RecurrentPolicy
from dream_jax.agents.recurrent_q import Plan
from dream_jax.config import Config, EndToEndConfig, TdConfig, TrialConfig
from dream_jax.losses import elbo as latent
from dream_jax.networks.memory import make_memory
from dream_jax.types import Episode, Trial
from tests import probes
from tests.agents.test_dream import (
    BATCH,
    SMALL,
    MirroredCorridor,
    assert_close,
    at,
    numpy,
    random_params,
    size,
    with_other_padding,
)
from tests.probes import quick_jit

# Two episodes of each kind, rewards shown.
RICH = Config(
    networks=SMALL,
    trial=TrialConfig(2, 2, rewards_in_exploration=True),
    end_to_end=EndToEndConfig(latent_size=3, beliefs_per_trial=5),
)
AGENTS = {
    "e_rl2": {"agent": "e_rl2"},
    "import": {"agent": "import"},
    "varibad": {"agent": "varibad"},
    "point": {
        "agent": "varibad",
        "end_to_end": dataclasses.replace(RICH.end_to_end, posterior="point"),
    },
}


def make(name, env=None, **changes):
    config = dataclasses.replace(RICH, **(AGENTS[name] | changes))
    return registry.make(config, probes.Corridor() if env is None else env)


def collector(agent):
    """(params, key, epsilon of exploration, of exploitation) -> trials [BATCH, ...]."""

    @quick_jit
    def collect(params, key, *epsilons):
        keys = jax.random.split(key, BATCH)
        from_decoder = jnp.arange(BATCH) % 2 == 0
        return jax.vmap(agent.collect, (None, 0, None, None, 0))(
            params, keys, *epsilons, from_decoder
        )

    return lambda *inputs: numpy(collect(*inputs))


class Case:
    def __init__(self, name):
        self.agent = make(name)
        self.params, self.target = random_params(self.agent, 0), random_params(self.agent, 1)
        self.collect = collector(self.agent)
        self.trials = self.collect(self.params, jax.random.key(2), 0.6, 0.6)
        self.loss = quick_jit(jax.value_and_grad(self.agent.batch_loss, has_aux=True))


@functools.cache
def case(name):
    return Case(name)


# A trial as a stream.


def episode(steps, length, reward, terminated=True):
    """Observations count the slots, actions are all 1; it ends by itself or by time-out."""
    index = np.arange(length)
    last = index == steps - 1
    return Episode(
        np.minimum(np.arange(length + 1), steps)[:, None].astype(np.uint8),
        np.ones(length, np.uint8),
        np.where(index < steps, reward, 0.0).astype(np.float32),
        last & terminated,
        last & (not terminated),
        index < steps,
    )


def two_steps(exploited, terminated=True):
    """1 of 2 steps of exploration (which pays 7), then `exploited` steps of 2 in each episode."""
    episodes = [episode(n, 2, 1.0, terminated) for n in exploited]
    return Trial(
        np.int32(0),
        episode(1, 2, 7.0),
        np.array([[k % 2] for k in range(len(exploited))], np.uint8),
        jax.tree.map(lambda *x: np.stack(x), *episodes),
        np.True_,
    )


class Table:
    """A "network" whose parameters are its Q-values at every slot."""

    def apply(self, q, *inputs):
        return q


def table_errors(trial, q, q_target, **td):
    """TD errors of the actions that were taken, with these values [S, 2]."""
    count = trial.instruction.shape[0]
    config = Config(
        networks=SMALL, trial=TrialConfig(1, count), td=TdConfig(discount=0.5, **td), agent="e_rl2"
    )
    agent = ERl2(config, probes.Delayed())  # horizon 2
    agent._policy = Table()

    @quick_jit
    def td_errors(trial, q, q_target):
        params, target = (ERl2Params(RecurrentPolicy(None, x)) for x in (q, q_target))
        zero = jnp.zeros(agent.context_size)
        return agent.td_errors(params, target, agent.stream(trial), zero, zero)

    errors, mask = td_errors(trial, np.array(q, np.float32), np.array(q_target, np.float32))
    assert mask.tolist() == [True] * int(mask.sum()) + [False] * int((~mask).sum())
    return np.asarray(errors)[np.asarray(mask)]


#   slot   0        1        2        3        4        5
#          explore  done     padding  exploit  exploit  done
Q = [[0, 1], [9, 9], [9, 9], [2, 4], [6, 3], [8, 0]]
Q_TARGET = [[50, 50], [99, 99], [99, 99], [30, 10], [20, 60], [40, 90]]


def test_the_value_of_the_last_exploration_step_is_that_of_the_first_exploitation_state():
    errors = table_errors(two_steps([2]), Q, Q_TARGET, trace_lambda=0.0)
    expected = [
        # Exploration pays nothing, whatever the environment says; next is slot 3, where action 1
        # is best (4 > 2) and the target network values it at 10: 0 + 0.5 * 10 - 1.
        0 + 0.5 * 10 - 1,
        1 + 0.5 * 20 - 4,  # at slot 4 action 0 is best (6 > 3), worth 20
        1 + 0.0 - 3,  # the trial is over
    ]
    np.testing.assert_allclose(errors, expected)


def test_returns_flow_back_across_the_boundary():
    # Action 1 is greedy at slot 3 (the trace goes on) and is not at slot 4 (it is cut).
    errors = table_errors(two_steps([2]), Q, Q_TARGET, trace_lambda=1.0)
    exploited = 1 + 0.5 * 20
    np.testing.assert_allclose(errors, [0.5 * exploited - 1, exploited - 4, 1 - 3])


def test_an_exploitation_episode_is_followed_by_the_next_one():
    # Slots: 0 explore, 1 done, 2 padding; 3 exploit, 4 done, 5 padding; 6, 7 exploit, 8 done.
    q = [[0, 1], [9, 9], [9, 9], [2, 4], [9, 9], [9, 9], [1, 0], [0, 5], [9, 9]]
    slow = [[0, 0], [99, 99], [99, 99], [30, 10], [99, 99], [99, 99], [70, 0], [0, 8], [99, 99]]
    errors = table_errors(two_steps([1, 2]), q, slow, trace_lambda=0.0)
    expected = [0.5 * 10 - 1, 1 + 0.5 * 70 - 4, 1 + 0.5 * 8 - 0, 1 - 5]
    np.testing.assert_allclose(errors, expected)


@pytest.mark.parametrize("bootstrap", [False, True])
def test_after_a_time_out_at_the_end_of_the_trial(bootstrap):
    trial = two_steps([2], terminated=False)
    errors = table_errors(trial, Q, Q_TARGET, trace_lambda=0.0, bootstrap_on_truncation=bootstrap)
    after = 0.5 * 40 if bootstrap else 0.0  # the last observation: action 0 is best, worth 40
    np.testing.assert_allclose(errors[-1], 1 + after - 3)


@pytest.mark.parametrize("shown", [False, True])
def test_what_the_agent_sees_at_each_slot(shown):
    config = Config(trial=TrialConfig(1, 2, rewards_in_exploration=shown))
    of_trial = quick_jit(functools.partial(streams.of_trial, config, probes.Delayed()))
    stream = numpy(of_trial(two_steps([1, 2])))
    slots = stream.slots
    assert stream.mask.tolist() == [1, 1, 0, 1, 1, 0, 1, 1, 1]
    assert stream.acted.tolist() == [1, 0, 0, 1, 0, 0, 1, 1, 0]
    assert slots.done.tolist() == [0, 1, 0, 0, 1, 0, 0, 0, 1]
    assert slots.observation[:, 0].tolist() == [0, 1, 1, 0, 1, 1, 0, 1, 2]
    # Hidden is one more than the largest of 2 values; then the instructions 0 and 1.
    assert slots.instruction.tolist() == [[0, 2]] * 3 + [[1, 0]] * 3 + [[1, 1]] * 3
    none = probes.Delayed.num_actions
    np.testing.assert_array_equal(slots.action[stream.mask], [none, 1, none, 1, none, 1, 1])
    seven = 7.0 if shown else 0.0
    np.testing.assert_array_equal(slots.reward[stream.mask], [0, seven, 0, 1, 0, 1, 1])
    assert slots.time.tolist() == [0.0, 0.5, 1.0] * 3


@pytest.mark.parametrize("kind", ["lstm", "mingru"])
def test_a_masked_step_does_not_change_the_memory(kind):
    net = make_memory(kind, 4)
    xs = jax.random.normal(jax.random.key(0), (6, 3))
    params = quick_jit(net.init)(jax.random.key(1), xs)
    apply = quick_jit(net.apply)
    mask = np.array([1, 0, 0, 1, 1, 0], bool)
    found = np.asarray(apply(params, xs, mask))
    dense = apply(params, xs[mask])
    np.testing.assert_allclose(found[mask], dense, atol=1e-6)
    np.testing.assert_array_equal(found[1:3], found[[0, 0]])
    np.testing.assert_array_equal(found[5], found[4])
    whole = apply(params, xs, np.ones(6, bool))
    np.testing.assert_allclose(whole, apply(params, xs), rtol=1e-5, atol=1e-7)


# Acting.


@pytest.mark.parametrize("name", ["e_rl2", "import", "varibad"])
def test_what_is_learned_from_is_what_was_acted_on(name):
    """Greedy actions are the best ones by the values that the update computes."""
    c = case(name)
    agent, params = c.agent, c.params

    @quick_jit
    @jax.vmap
    def values(trial):
        stream = agent.stream(trial)
        context = agent.context(agent.remember(params, stream))
        informed = agent.informed(params, trial.problem, ~trial.z_from_decoder)
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


def test_a_time_shift_is_believed_and_not_remembered():
    """What is learned from has the true times, so the memory must have had them too."""
    c, shift = case("e_rl2"), 0.5
    agent, params = c.agent, c.params

    @quick_jit
    @jax.vmap
    def played(key, problem):
        instructions = jnp.zeros((2, 1), jnp.uint8)
        test = agent.roll(params, key, problem, instructions, 0.6, Plan(0.0, None, shift))
        trial = Trial(problem, test.exploration, instructions, test.exploitation, True)
        stream = agent.stream(trial)
        slots, context = stream.slots, agent.context(agent.remember(params, stream))
        time = jnp.minimum(slots.time + shift, 1.0)
        inputs = slots.observation, slots.instruction, context, time
        return stream, agent._policy.apply(agent.policy_weights(params), *inputs)

    problems = jnp.arange(BATCH, dtype=jnp.int32) % 2
    stream, q = numpy(played(jax.random.split(jax.random.key(7), BATCH), problems))
    exploiting = stream.acted & ~stream.exploring
    assert exploiting.sum() >= 2 * BATCH
    assert (np.argmax(q, -1) == stream.action)[exploiting].all()


@pytest.mark.parametrize("name", ["e_rl2", "import", "varibad"])
def test_meta_testing_ignores_the_problem_id(name):
    def tests(env, params, problems):
        agent = make(name, env)
        instructions = np.random.default_rng(1).integers(0, 2, (BATCH, 2, 1)).astype(np.uint8)
        keys = jax.random.split(jax.random.key(9), BATCH)
        roll = quick_jit(jax.vmap(agent.meta_test, (None, 0, 0, 0)))
        return numpy(roll(params, keys, problems, instructions)[:2])

    params, problems = case(name).params, np.arange(BATCH, dtype=np.int32) % 2
    expected = tests(probes.Corridor(), params, problems)
    told_wrong = tests(MirroredCorridor(), params, 1 - problems)
    for x, y in zip(jax.tree.leaves(told_wrong), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(x, y)
    if name == "import":
        policy = params.policy
        lost = jax.tree.map(lambda x: jnp.full_like(x, jnp.nan), policy.encoder)
        without = tests(
            probes.Corridor(), params._replace(policy=policy._replace(encoder=lost)), problems
        )
        for x, y in zip(jax.tree.leaves(without), jax.tree.leaves(expected), strict=True):
            np.testing.assert_array_equal(x, y)


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
        assert bool(case(name).trials.z_from_decoder.all()) == (name != "import")


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
def jacobians(name):
    agent = case(name).agent

    def parts(params, target, trials):
        return agent.batch_loss(params, target, trials, jax.random.key(2))[1]

    return quick_jit(jax.jacrev(parts, argnums=(0, 1)))


@pytest.mark.parametrize(("name", "on_id"), REACH)
def test_each_loss_reaches_its_parameters_and_no_others(name, on_id):
    c, table = case(name), REACH[name, on_id]
    trials = c.trials._replace(z_from_decoder=np.full(BATCH, not on_id))
    gradients = jacobians(name)(c.params, c.target, trials)
    assert set(gradients) == set(table) == set(c.agent.loss_names)
    for loss, (online, target) in gradients.items():
        for group, gradient in groups(online).items():
            reached = size(gradient)
            assert np.isfinite(reached)
            assert (reached > 1e-6) if group in table[loss] else (reached == 0.0), (loss, group)
        assert size(target) == 0.0


@pytest.mark.parametrize("name", AGENTS)
def test_padding_changes_no_loss_and_no_gradient(name):
    c, rng = case(name), np.random.default_rng(0)
    padded = c.trials._replace(
        exploration=with_other_padding(c.trials.exploration, rng, 4),
        exploitation=with_other_padding(c.trials.exploitation, rng, 4),
    )
    assert (~padded.exploitation.mask).sum() > 5
    key = jax.random.key(1)
    assert_close(c.loss(c.params, c.target, padded, key), c.loss(c.params, c.target, c.trials, key))


@pytest.mark.parametrize("name", ["e_rl2", "import", "varibad"])
def test_batch_mates_change_nothing(name):
    c = case(name)
    keys = jax.random.split(jax.random.key(3), BATCH)
    terms = quick_jit(jax.vmap(c.agent.terms, (None, None, 0, 0)))
    found = numpy(terms(c.params, c.target, c.trials, keys))
    order = np.array([3, 0, 5, 1, 4, 2])
    moved = numpy(terms(c.params, c.target, at(order, c.trials), keys[order]))
    assert_close(moved, at(order, found))
    alone = terms(c.params, c.target, at(slice(3, 4), c.trials), keys[3:4])
    assert_close(alone, at(slice(3, 4), found))


@pytest.mark.parametrize("name", ["e_rl2", "varibad"])
@pytest.mark.parametrize("shown", [False, True])
def test_rewards_of_exploration_count_only_where_they_are_shown(name, shown):
    c = case(name)
    trial = dataclasses.replace(RICH.trial, rewards_in_exploration=shown)
    agent = make(name, trial=trial)
    exploration = c.trials.exploration
    other = c.trials._replace(exploration=exploration._replace(reward=exploration.reward + 1.0))
    loss = quick_jit(agent.batch_loss)
    key = jax.random.key(1)
    before, after = (loss(c.params, c.target, trials, key)[1] for trials in (c.trials, other))
    for part in ("td", "reward_decoder"):
        if part in before:
            assert bool(before[part] != after[part]) == shown, part


# VariBAD's bound.


def test_kl_of_gaussians():
    zero, one = jnp.zeros(2), jnp.ones(2)
    assert float(latent.gaussian_kl(zero, zero, zero, zero)) == 0.0
    # Unit variance, means (1, 1): |1|^2 / 2 for each of two dimensions.
    assert float(latent.gaussian_kl(one, zero, zero, zero)) == pytest.approx(1.0)
    # Variance 4 against 1: (4 - 1 - log 4) / 2 each.
    wide = jnp.full(2, np.log(4.0))
    assert float(latent.gaussian_kl(zero, wide, zero, zero)) == pytest.approx(3 - np.log(4.0))


def test_beliefs_are_measured_against_the_one_before_and_the_first_against_the_prior():
    mean, log_variance = jnp.array([[1.0], [1.0], [3.0]]), jnp.zeros((3, 1))
    # (1 - 0)^2 / 2, nothing new, (3 - 1)^2 / 2
    np.testing.assert_allclose(latent.filtering_kl(mean, log_variance), [0.5, 0.0, 2.0])


def test_log_likelihood_of_components():
    logits = jnp.log(jnp.array([0.25, 0.75, 0.5, 0.4, 0.1]))
    found = latent.component_log_likelihood(logits, jnp.array([1, 2]), (2, 3))
    assert float(found) == pytest.approx(np.log(0.75 * 0.1))


def test_samples_of_a_belief():
    mean, log_variance = jnp.full(20_000, 2.0), jnp.full(20_000, np.log(9.0))
    drawn = latent.sample_gaussian(jax.random.key(0), mean, log_variance)
    assert float(drawn.mean()) == pytest.approx(2.0, abs=0.1)
    assert float(drawn.std()) == pytest.approx(3.0, rel=0.03)
