"""DREAM's agent: which loss reaches what, what it acts on, and what must change nothing."""

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dream_jax.agents.dream import Dream
from dream_jax.agents.recurrent_q import Plan
from dream_jax.config import (
    ActingConfig,
    Config,
    LossConfig,
    NetworkConfig,
    TdConfig,
    TrialConfig,
)
from dream_jax.data import rollout
from dream_jax.losses.dream import sample_encoding
from dream_jax.networks.policies import Decoder, ExploitationPolicy, ExplorationPolicy
from dream_jax.training import evaluation as evaluate
from dream_jax.types import Trial
from tests import probes
from tests.losses.test_td import watkins
from tests.probes import quick_jit

BATCH = 6
SMALL = NetworkConfig(
    hidden_size=8, head_size=8, z_size=3, decoder_memory_size=8, decoder_hidden_size=8
)
# Everything at once: two episodes of each kind, rewards shown, TD through z = g(tau).
RICH = Config(
    networks=dataclasses.replace(SMALL, exploitation_memory="mingru"),
    trial=TrialConfig(2, 2, rewards_in_exploration=True),
    losses=LossConfig(
        bottleneck_weight=0.5,
        exploration_step_penalty=0.1,
        normalise_information_gain=False,
        td_reaches_decoder=True,
    ),
)


def random_params(agent, seed=0):
    """Noise everywhere, so that what starts small or at zero counts too."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(
        lambda x: jnp.asarray(rng.normal(scale=0.5, size=x.shape), x.dtype),
        jax.eval_shape(agent.init, jax.random.key(0)),
    )


def collector(agent):
    """(params, key, epsilon) -> trials [BATCH, ...]; z = g(tau) in every other one."""
    env, config = agent.env, agent.config

    def one(params, key, problem, from_decoder, epsilon):
        keys = jax.random.split(key, 4)
        exploration = agent.explore(params, keys[0], problem, epsilon)
        instructions = rollout.sample_instructions(env, keys[1], problem, config.trial)
        f = sample_encoding(keys[2], agent.encode(params, problem), config.losses.rho)
        z = jnp.where(from_decoder, agent.read(params, exploration), f)
        exploitation = jax.vmap(
            lambda k, i: agent.exploit(params, k, problem, i, z, Plan(epsilon))
        )(jax.random.split(keys[3], config.trial.exploitation_episodes), instructions)
        return Trial(problem, exploration, instructions, exploitation, from_decoder)

    @quick_jit
    def collect(params, key, epsilon):
        number = jnp.arange(BATCH)
        return jax.vmap(one, (None, 0, 0, 0, None))(
            params,
            jax.random.split(key, BATCH),
            number // 2 % env.num_problems,
            number % 2 == 0,
            epsilon,
        )

    return collect


def numpy(tree):
    return jax.tree.map(np.asarray, tree)


def at(i, tree):
    return jax.tree.map(lambda x: x[i], tree)


def assert_close(a, b):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5)


class TrialTerms(NamedTuple):
    """All loss terms of one trial: `ExploitationTerms` and `ExplorationTerms`."""

    exploitation_td: jax.Array
    exploitation_mask: jax.Array
    bottleneck: jax.Array
    decoder: jax.Array
    decoder_mask: jax.Array
    exploration_td: jax.Array
    exploration_mask: jax.Array


def trial_terms(agent, params, target, trial, f, gain_scale, key):
    exploitation = agent.exploitation_terms(params, target, trial, f, key)
    return TrialTerms(*exploitation, *agent.exploration_terms(params, target, trial, f, gain_scale))


class Rich:
    """The agent of RICH on `Corridor`, its compiled functions and a batch of trials."""

    def __init__(self):
        self.env = probes.Corridor()
        self.agent = Dream(RICH, self.env)
        self.params, self.target = random_params(self.agent, 0), random_params(self.agent, 1)
        self.collect = collector(self.agent)
        self.trials = numpy(self.collect(self.params, jax.random.key(0), 0.6))
        self.keys = jax.random.split(jax.random.key(1), BATCH)
        self.encode = quick_jit(jax.vmap(self.agent.encode, (None, 0)))
        self.decode = quick_jit(jax.vmap(self.agent.decode, (None, 0)))
        self.read = quick_jit(jax.vmap(self.agent.read, (None, 0)))
        self.batch_loss = quick_jit(jax.value_and_grad(self.agent.batch_loss, has_aux=True))
        terms = functools.partial(trial_terms, self.agent)
        self.trial_terms = quick_jit(terms)
        self.terms = quick_jit(jax.vmap(terms, (None, None, 0, 0, None, 0)))

    def terms_of(self, trials, keys, gain_scale=1.0):
        f = self.encode(self.params, trials.problem)
        return numpy(self.terms(self.params, self.target, trials, f, gain_scale, keys))


@pytest.fixture(scope="module")
def rich():
    return Rich()


def masked(terms, i):
    """The loss terms of trial i without padding."""
    return [
        terms.exploitation_td[i][terms.exploitation_mask[i]],
        terms.bottleneck[i],
        terms.decoder[i][terms.decoder_mask[i]],
        terms.exploration_td[i][terms.exploration_mask[i]],
    ]


# Which loss reaches which parameters.

GROUPS = ("policy", "encoder", "decoder", "exploration")
# (td_reaches_decoder, z_from_decoder) -> what the exploitation TD loss trains.
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
def jacobians(td_reaches_decoder):
    """(params, target, trials) -> gradients of every part with respect to both parameters."""
    losses = dataclasses.replace(
        RICH.losses, td_reaches_decoder=td_reaches_decoder, normalise_information_gain=True
    )
    agent = Dream(dataclasses.replace(RICH, losses=losses), probes.Corridor())

    def parts(params, target, trials):
        return agent.batch_loss(params, target, trials, jax.random.key(2))[1]

    return quick_jit(jax.jacrev(parts, argnums=(0, 1)))


def size(tree):
    return sum(float(jnp.sum(jnp.abs(x))) for x in jax.tree.leaves(tree))


@pytest.mark.parametrize(("td_reaches_decoder", "z_from_decoder"), EXPLOITATION_TD)
def test_each_loss_reaches_its_parameters_and_no_others(rich, td_reaches_decoder, z_from_decoder):
    trials = rich.trials._replace(z_from_decoder=np.full(BATCH, z_from_decoder))
    gradients = jacobians(td_reaches_decoder)(rich.params, rich.target, trials)
    table = {"exploitation_td": EXPLOITATION_TD[td_reaches_decoder, z_from_decoder], **OTHERS}
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

    loss = quick_jit(jax.value_and_grad(agent.batch_loss, has_aux=True))
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


# The loss terms, put together from acting one step at a time.


def unrolled(net, fixed=()):
    """(params, observations, inputs ...) -> Q-values, one step at a time as when acting."""

    @quick_jit
    def run(params, observation, fixed, *inputs):
        def step(carry, now):
            return net.apply(params, carry, now[0], *fixed, *now[1:], method="step")

        start = net.apply(params, method="initial")
        return jax.lax.scan(step, start, (observation, *inputs))[1]

    return run


def squared_errors(q, q_target, episode, reward):
    """Of the steps taken, in plain Python."""
    ended = episode.terminated | episode.truncated
    return np.square(
        watkins(
            {
                "q": np.asarray(q),
                "q_target": np.asarray(q_target),
                "action": episode.action,
                "reward": reward,
                "discount": np.where(ended, 0.0, RICH.td.discount),
                "mask": episode.mask,
            },
            RICH.td.trace_lambda,
        )
    )


def test_exploration_terms_are_those_of_the_definition(rich):
    terms = rich.terms_of(rich.trials, rich.keys)
    f = np.asarray(rich.encode(rich.params, rich.trials.problem))
    g = np.asarray(rich.decode(rich.params, rich.trials.exploration))
    net = ExplorationPolicy(RICH.networks, rich.env.observation_sizes, 4, sees_rewards=True)
    run = unrolled(net)
    length = 4 + 1 + 4
    for i in range(BATCH):
        episode = at(i, rich.trials.exploration)
        distance = np.sum((g[i] - f[i]) ** 2, axis=-1)
        steps = episode.mask.sum()
        np.testing.assert_allclose(terms.decoder[i][: steps + 1], distance[: steps + 1], rtol=1e-4)
        assert terms.decoder_mask[i].tolist() == [1] * (steps + 1) + [0] * (length - steps)
        before = np.append(4, episode.action).astype(np.int32)
        earned = np.append(0.0, episode.reward).astype(np.float32)
        time = np.linspace(0.0, 1.0, length + 1, dtype=np.float32)
        q, q_target = (
            run(p.exploration, episode.observation, (), before, earned, time)
            for p in (rich.params, rich.target)
        )
        errors = squared_errors(q, q_target, episode, distance[:-1] - distance[1:] - 0.1)
        np.testing.assert_allclose(terms.exploration_td[i][:steps], errors, rtol=2e-3, atol=1e-4)


def test_exploitation_terms_are_those_of_the_definition(rich):
    terms = rich.terms_of(rich.trials, rich.keys)
    f = rich.encode(rich.params, rich.trials.problem)
    g = rich.decode(rich.params, rich.trials.exploration)
    net = ExploitationPolicy(RICH.networks, rich.env.observation_sizes, (2,), 4)
    run = unrolled(net)
    time = np.linspace(0.0, 1.0, 4 + 1, dtype=np.float32)
    for i in range(BATCH):
        # KL(N(f, 0.1^2) || N(0, 0.1^2)) = |f|^2 / 0.02
        np.testing.assert_allclose(terms.bottleneck[i], np.sum(f[i] ** 2) / 0.02, rtol=1e-4)
        read = g[i, rich.trials.exploration.mask[i].sum()]
        noisy = sample_encoding(rich.keys[i], f[i], 0.1)
        z = read if rich.trials.z_from_decoder[i] else noisy
        for n in range(2):
            episode, instruction = at((i, n), rich.trials.exploitation), rich.trials.instruction
            fixed = (instruction[i, n], z)
            q, q_target = (
                run(p.exploitation.policy, episode.observation, fixed, time)
                for p in (rich.params, rich.target)
            )
            errors = squared_errors(q, q_target, episode, episode.reward)
            found = terms.exploitation_td[i, n][: episode.mask.sum()]
            np.testing.assert_allclose(found, errors, rtol=2e-3, atol=1e-4)


def test_the_loss_of_a_batch_is_the_weighted_sum_of_means_over_its_steps(rich):
    key = jax.random.key(1)  # split as `rich.keys`
    (total, parts), _ = rich.batch_loss(rich.params, rich.target, rich.trials, key)
    terms = rich.terms_of(rich.trials, rich.keys)
    steps = [masked(terms, i) for i in range(BATCH)]
    for k, name in enumerate(Dream.loss_names):
        mean = np.concatenate([np.ravel(step[k]) for step in steps]).mean()
        np.testing.assert_allclose(parts[name], mean, rtol=1e-4)
    weights = {name: 0.5 if name == "bottleneck" else 1.0 for name in Dream.loss_names}
    expected = sum(weights[name] * parts[name] for name in Dream.loss_names)
    np.testing.assert_allclose(total, expected, rtol=1e-5)


def test_information_gain_may_be_a_share_of_the_spread_of_a_batch(rich):
    losses = dataclasses.replace(RICH.losses, normalise_information_gain=True)
    agent = Dream(dataclasses.replace(RICH, losses=losses), rich.env)
    key = jax.random.key(1)  # split as `rich.keys`
    parts = quick_jit(agent.batch_loss)(rich.params, rich.target, rich.trials, key)[1]
    f = np.asarray(rich.encode(rich.params, rich.trials.problem))
    scale = np.mean(np.sum((f - f.mean(axis=0)) ** 2, axis=-1)) + 0.1**2
    assert abs(scale - 1.0) > 0.1
    terms = rich.terms_of(rich.trials, rich.keys, np.float32(scale))
    expected = terms.exploration_td[terms.exploration_mask].mean()
    np.testing.assert_allclose(parts["exploration_td"], expected, rtol=1e-3)


def test_z_is_read_after_the_last_step_of_exploration(rich):
    z = rich.read(rich.params, rich.trials.exploration)
    g = np.asarray(rich.decode(rich.params, rich.trials.exploration))
    steps = rich.trials.exploration.mask.sum(axis=1)
    assert steps.min() < steps.max()
    np.testing.assert_allclose(z, g[np.arange(BATCH), steps], rtol=1e-5)


# What must change nothing.


def with_other_padding(episode, rng, num_actions):
    """Random numbers in all that was recorded after the episode; [..., T] numpy leaves."""
    mask = episode.mask
    after = np.concatenate([np.zeros_like(mask[..., :1]), ~mask], axis=-1)
    after[..., 1:] &= ~np.diff(after, axis=-1)  # the observation after the last step counts

    def scramble(values, where, noise):
        return np.where(
            where.reshape(where.shape + (1,) * (values.ndim - where.ndim)), noise, values
        )

    def bits():
        return rng.random(mask.shape) < 0.5

    return episode._replace(
        observation=scramble(
            episode.observation, after, rng.integers(0, 5, episode.observation.shape)
        ).astype(np.uint8),
        action=scramble(episode.action, ~mask, rng.integers(0, num_actions, mask.shape)).astype(
            np.uint8
        ),
        reward=scramble(episode.reward, ~mask, 100 * rng.normal(size=mask.shape)).astype(
            np.float32
        ),
        terminated=scramble(episode.terminated, ~mask, bits()),
        truncated=scramble(episode.truncated, ~mask, bits()),
    )


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


def test_the_decoder_and_exploration_may_learn_from_fewer_trials(rich):
    """Each part is that of the trials it was given, and so is its gradient."""
    few = at(np.arange(2), rich.trials)
    alike = dataclasses.replace(RICH.losses, normalise_information_gain=False)
    agent = Dream(dataclasses.replace(RICH, losses=alike), rich.env)
    loss = quick_jit(jax.value_and_grad(agent.batch_loss, has_aux=True))
    key = rich.keys[0]
    (_, all_parts), of_all = loss(rich.params, rich.target, rich.trials, key, rich.trials)
    (_, few_parts), of_few = loss(rich.params, rich.target, few, key)
    (_, parts), gradient = loss(rich.params, rich.target, rich.trials, key, few)
    for name in ("exploitation_td", "bottleneck"):
        assert parts[name] == all_parts[name]
    for name in ("decoder", "exploration_td"):
        assert parts[name] == pytest.approx(float(few_parts[name]), rel=1e-5)
        assert parts[name] != pytest.approx(float(all_parts[name]), rel=1e-2)
    assert_close(gradient.exploitation.policy, of_all.exploitation.policy)
    assert_close(gradient.exploration, of_few.exploration)


def test_decoding_once_equals_decoding_to_read_and_to_train(rich):
    assert RICH.losses.td_reaches_decoder and len(set(rich.trials.z_from_decoder)) == 2
    once = rich.batch_loss(rich.params, rich.target, rich.trials, rich.keys[0])
    twice = rich.batch_loss(rich.params, rich.target, rich.trials, rich.keys[0], rich.trials)
    assert_close(once, twice)


def test_a_trial_alone_equals_the_trial_in_a_batch(rich):
    terms = rich.terms_of(rich.trials, rich.keys)
    f = rich.encode(rich.params, rich.trials.problem)
    alone = rich.trial_terms(rich.params, rich.target, at(3, rich.trials), f[3], 1.0, rich.keys[3])
    assert_close(masked(jax.tree.map(lambda x: np.asarray(x)[None], alone), 0), masked(terms, 3))


# Acting.


def test_what_is_learned_from_is_what_was_acted_on(rich):
    """Greedy actions are the best ones by the values that the update computes."""
    trials = numpy(rich.collect(rich.params, jax.random.key(6), 0.0))
    explore = ExplorationPolicy(RICH.networks, rich.env.observation_sizes, 4, sees_rewards=True)
    q = quick_jit(jax.vmap(explore.apply, (None, 0, 0, 0, None)))(
        rich.params.exploration,
        trials.exploration.observation,
        np.pad(trials.exploration.action.astype(np.int32), ((0, 0), (1, 0)), constant_values=4),
        np.pad(trials.exploration.reward, ((0, 0), (1, 0))),
        rollout.fraction_over(9),
    )
    mask = trials.exploration.mask
    assert (np.argmax(q[:, :-1], -1) == trials.exploration.action)[mask].all()
    assert len(np.unique(trials.exploration.action[mask])) > 1

    exploit = ExploitationPolicy(RICH.networks, rich.env.observation_sizes, (2,), 4)
    g = rich.decode(rich.params, trials.exploration)
    for i in np.flatnonzero(trials.z_from_decoder):
        z = g[i, mask[i].sum()]
        q = quick_jit(jax.vmap(exploit.apply, (None, 0, 0, None, None)))(
            rich.params.exploitation.policy,
            trials.exploitation.observation[i],
            trials.instruction[i],
            z,
            rollout.fraction_over(4),
        )
        equal = np.argmax(q[:, :-1], -1) == trials.exploitation.action[i]
        assert equal[trials.exploitation.mask[i]].all()


# Data collection in the exploitation episode: random suffixes, shifted time.


@pytest.fixture(scope="module")
def plain():
    """(network, params, exploit): an agent that never ends an episode at random."""
    env = probes.Corridor()
    acting = ActingConfig(excluded_random_actions=(env.end_episode_action,))
    agent = Dream(Config(networks=SMALL, acting=acting), env)
    params, draws = random_params(agent, 3), 64

    def one(seed, epsilon, suffix_start, time_shift):
        z = jax.random.normal(jax.random.key(seed), (3,))
        keys = jax.random.split(jax.random.key(8), draws)[seed]
        instruction = jnp.full(1, seed % 2)
        episode = agent.exploit(
            params, keys, seed % 2, instruction, z, Plan(epsilon, suffix_start, time_shift)
        )
        explored = agent.explore(params, keys, seed % 2, epsilon)
        return z, instruction, episode, explored

    exploit = quick_jit(jax.vmap(one, (0, None, None, None)))
    net = ExploitationPolicy(SMALL, env.observation_sizes, (2,), 4)
    return net, params, lambda *options: numpy(exploit(jnp.arange(draws), *options))


def test_an_excluded_action_is_never_drawn_at_random(plain):
    _, _, exploit = plain
    _, _, episode, explored = exploit(1.0, 4, 0.0)
    for actions in (episode.action, explored.action):
        assert set(np.unique(actions)) == {0, 1, 2}
    greedy = exploit(0.0, 4, 0.0)[2]
    assert (greedy.action == 3).any()  # where it is the best one, it is still taken


def test_a_random_suffix_starts_at_its_step(plain):
    _, _, exploit = plain
    greedy, suffix = exploit(0.0, 4, 0.0)[2], exploit(0.0, 1, 0.0)[2]
    np.testing.assert_array_equal(greedy.action[:, 0], suffix.action[:, 0])
    np.testing.assert_array_equal(greedy.mask[:, :2], suffix.mask[:, :2])
    alive = greedy.mask[:, 1]
    assert alive.sum() > 20
    # At least 9 in 10 random over three actions: other than greedy 6 times in 10 or more.
    assert (greedy.action != suffix.action)[alive, 1].mean() > 0.4


def test_a_time_shift_acts_as_if_later(plain):
    net, params, exploit = plain
    values = quick_jit(jax.vmap(net.apply, (None, 0, 0, 0, None)))
    taken = []
    for shift in (0.0, 0.5, 2.0):
        z, instruction, episode, _ = exploit(0.0, 4, shift)
        time = np.minimum(np.array([0.0, 0.25, 0.5, 0.75, 1.0]) + shift, 1.0)
        q = values(params.exploitation.policy, episode.observation, instruction, z, time)
        assert (np.argmax(q[:, :-1], -1) == episode.action)[episode.mask].all()
        taken.append(episode.action[:, 0])
    assert (taken[0] != taken[1]).any()


# Meta-testing knows no problem id.


class MirroredCorridor(probes.Corridor):
    """The agent is told id p while the moves are those of problem 1 - p."""

    def reset(self, key, problem, instruction):
        return super().reset(key, 1 - problem, instruction)


def meta_tester(agent):
    return quick_jit(jax.vmap(functools.partial(evaluate.meta_test, agent), (None, 0, 0, 0)))


def test_meta_testing_ignores_the_problem_id(rich):
    problems = np.arange(BATCH, dtype=np.int32) % 2
    instructions = np.random.default_rng(1).integers(0, 2, (BATCH, 2, 1)).astype(np.uint8)
    keys = jax.random.split(jax.random.key(9), BATCH)
    meta_test = meta_tester(rich.agent)
    expected = numpy(meta_test(rich.params, keys, problems, instructions))

    def replaced(noise):
        exploitation = rich.params.exploitation
        encoder = jax.tree.map(noise, exploitation.encoder)
        return rich.params._replace(exploitation=exploitation._replace(encoder=encoder))

    for noise in (lambda x: 3.0 - x, lambda x: jnp.full_like(x, jnp.nan)):
        params = replaced(noise)
        found = numpy(meta_test(params, keys, problems, instructions))
        for x, y in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
            np.testing.assert_array_equal(x, y)

    # A wrong id: what counts is the problem that the environment runs.
    told_wrong = meta_tester(Dream(RICH, MirroredCorridor()))
    found = numpy(told_wrong(rich.params, keys, 1 - problems, instructions))
    for x, y in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(x, y)
    # The problem itself does count, or the above would show nothing.
    mirrored = numpy(told_wrong(rich.params, keys, problems, instructions))
    assert (mirrored[0].observation != expected[0].observation).any()
    assert (mirrored[1].observation != expected[1].observation).any()


def test_exploitation_does_depend_on_z(rich):
    # Otherwise knowing no id would be no feat.
    instructions = np.array([[0], [1]], np.uint8)

    @quick_jit
    @jax.vmap
    def actions(z):
        key, problem = jax.random.key(0), jnp.int32(0)
        return rich.agent.exploit_all(rich.params, key, problem, instructions, z).action

    z = 3.0 * jax.random.normal(jax.random.key(10), (8, 3))
    assert len(np.unique(actions(z)[..., 0], axis=0)) > 1


# Other settings.

RECURRENT = NetworkConfig(
    embedding="mlp",
    hidden_size=8,
    head_size=8,
    z_size=3,
    decoder_memory_size=8,
    decoder_hidden_size=8,
    exploration_memory="lstm",
    decoder_memory="lstm",
    exploitation_memory="lstm",
    time_input=False,
    layer_norm=False,
    film=False,
)
SETTINGS = {
    "three explorations of one step": (
        probes.OneStep,
        Config(networks=SMALL, trial=TrialConfig(3, hidden_goal_ends_exploration=False)),
    ),
    "no instruction, rewards shown": (
        probes.Silent,
        Config(
            networks=SMALL,
            trial=TrialConfig(1, 2, redraw_instruction=False, rewards_in_exploration=True),
        ),
    ),
    "descriptors, as the authors": (
        probes.Described,
        Config(
            networks=RECURRENT,
            losses=LossConfig(
                bottleneck="clipped", td_reaches_decoder=True, normalise_information_gain=False
            ),
            td=TdConfig(trace_lambda=0.0, bootstrap_on_truncation=True),
        ),
    ),
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_every_setting_gives_finite_losses_and_gradients(setting):
    probe, config = SETTINGS[setting]
    agent = Dream(config, probe())
    params, target = random_params(agent, 0), random_params(agent, 1)
    trials = collector(agent)(params, jax.random.key(0), 0.7)
    assert trials.instruction.shape[2] == len(agent.env.instruction_sizes)
    loss = quick_jit(jax.value_and_grad(agent.batch_loss, has_aux=True))
    (total, parts), gradient = loss(params, target, trials, jax.random.key(1))
    assert np.isfinite(total)
    assert all(part > 0 for part in parts.values()), parts
    for group in (*gradient.exploitation, gradient.exploration):
        assert all(np.isfinite(x).all() for x in jax.tree.leaves(group))
        assert size(group) > 0


def test_parameters_follow_from_the_key(rich):
    init = quick_jit(rich.agent.init)
    a, b, c = (init(jax.random.key(seed)) for seed in (0, 0, 1))
    leaves = [jax.tree.leaves(params) for params in (a, b, c)]
    assert all(np.array_equal(x, y) for x, y in zip(leaves[0], leaves[1], strict=True))
    drawn = [k for k, x in enumerate(leaves[0]) if np.ptp(x) > 0]
    assert len(drawn) > 10
    assert not any(np.array_equal(leaves[0][k], leaves[2][k]) for k in drawn)
