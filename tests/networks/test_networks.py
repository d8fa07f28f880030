"""Networks: a step at a time equals the whole sequence, and what may reach which output."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dream_jax.config import NetworkConfig
from dream_jax.networks.embedding import MlpEmbedding, SumEmbedding, make_embedding
from dream_jax.networks.memory import make_memory
from dream_jax.networks.policies import Decoder, Dueling, Encoder, ExplorationPolicy
from dream_jax.networks.policies import ExploitationPolicy as Exploitation
from tests.probes import quick_jit

T, SIZES, INSTRUCTION_SIZES, A = 6, (4, 3), (5, 2), 4
MEMORIES = ("lstm", "mingru", "none")


def small(**options):
    sizes = {"hidden_size": 8, "head_size": 12, "z_size": 3, "decoder_memory_size": 7}
    return NetworkConfig(**{**sizes, **options})


def sequence(seed=0):
    """Observations [T + 1, K], actions [T], rewards [T]."""
    rng = np.random.default_rng(seed)
    observation = rng.integers(0, SIZES, (T + 1, len(SIZES)))
    return (
        jnp.asarray(observation, jnp.int32),
        jnp.asarray(rng.integers(0, A, T), jnp.int32),
        jnp.asarray(rng.normal(size=T), jnp.float32),
    )


def exploration_inputs(seed=0):
    """What the exploration policy reads at s_0 .. s_T: previous action `A` and reward 0 first."""
    observation, action, reward = sequence(seed)
    action = jnp.concatenate([jnp.array([A]), action])
    reward = jnp.concatenate([jnp.zeros(1), reward])
    return observation, action, reward, jnp.arange(T + 1) / T


@functools.cache
def compiled(net):
    return quick_jit(net.apply)


def make(net, *inputs, seed=0):
    """(compiled apply, parameters) of a network for the arguments of a sequence.

    Every parameter is drawn at random, so that what would start small or at zero counts too.
    """
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(net.init, jax.random.key(0), *inputs)
    params = jax.tree.map(
        lambda x: jnp.asarray(rng.normal(scale=0.5, size=x.shape), jnp.float32), shapes
    )
    return compiled(net), params


def rows_that_differ(a, b):
    return np.flatnonzero((np.asarray(a) != np.asarray(b)).any(-1)).tolist()


def unrolled(net, params, inputs, fixed=()):
    """Outputs of `step` along a sequence. `fixed` follows the observation, the same every step."""

    def step(carry, now):
        observation, *others = now
        return net.apply(params, carry, observation, *fixed, *others, method="step")

    @quick_jit
    def run(params, inputs):
        return jax.lax.scan(step, net.apply(params, method="initial"), inputs)[1]

    return run(params, inputs)


# Memories.


@pytest.mark.parametrize("kind", MEMORIES)
def test_a_memory_step_by_step_equals_the_sequence(kind):
    memory = make_memory(kind, 5)
    xs = jax.random.normal(jax.random.key(0), (T, 3))
    apply, params = make(memory, xs)
    hs = apply(params, xs)
    assert hs.shape == (T, 5)
    np.testing.assert_allclose(unrolled(memory, params, (xs,)), hs, atol=1e-6)


@pytest.mark.parametrize("kind", MEMORIES)
def test_a_memory_knows_the_past_and_not_the_future(kind):
    memory = make_memory(kind, 5)
    xs = jax.random.normal(jax.random.key(2), (T, 3))
    apply, params = make(memory, xs)
    changed = rows_that_differ(apply(params, xs), apply(params, xs.at[2].add(1.0)))
    assert changed == ([2] if kind == "none" else list(range(2, T)))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_lstm_follows_its_equations():
    lstm = make_memory("lstm", 4)
    xs = jax.random.normal(jax.random.key(4), (T, 3))
    apply, params = make(lstm, xs)
    weights = jax.tree.map(lambda x: np.asarray(x, np.float64), params["params"])
    h = c = np.zeros(4)
    expected = []
    for x in np.asarray(xs, np.float64):
        i, f, g, o = np.split(
            x @ weights["inputs"]["kernel"] + weights["inputs"]["bias"] + h @ weights["recurrent"],
            4,
        )
        c = sigmoid(f + 1) * c + sigmoid(i) * np.tanh(g)  # the forget gate biased to 1
        h = sigmoid(o) * np.tanh(c)
        expected.append(h)
    np.testing.assert_allclose(apply(params, xs), expected, atol=1e-5)


def test_min_gru_is_a_moving_average_with_a_gate_from_the_input():
    gru = make_memory("mingru", 4)
    xs = jax.random.normal(jax.random.key(6), (T, 3))
    apply, params = make(gru, xs)
    weights = jax.tree.map(lambda x: np.asarray(x, np.float64), params["params"]["inputs"])
    h, expected = np.zeros(4), []
    for x in np.asarray(xs, np.float64):
        gate, candidate = np.split(x @ weights["kernel"] + weights["bias"], 2)
        u = sigmoid(gate - 1)  # biased towards keeping
        h = (1 - u) * h + u * np.tanh(candidate)
        expected.append(h)
    np.testing.assert_allclose(apply(params, xs), expected, atol=1e-5)


# Policies.


@pytest.mark.parametrize("kind", ["lstm", "mingru"])
def test_exploration_policy_step_by_step_equals_the_sequence(kind):
    net = ExplorationPolicy(small(exploration_memory=kind), SIZES, A, sees_rewards=True)
    inputs = exploration_inputs()
    apply, params = make(net, *inputs)
    q = apply(params, *inputs)
    assert q.shape == (T + 1, A)
    np.testing.assert_allclose(unrolled(net, params, inputs), q, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "embedding"), [("lstm", "mlp"), ("mingru", "sum"), ("none", "sum")]
)
def test_exploitation_policy_step_by_step_equals_the_sequence(kind, embedding):
    config = small(exploitation_memory=kind, embedding=embedding)
    net = Exploitation(config, SIZES, INSTRUCTION_SIZES, A)
    observation, time = sequence()[0], jnp.arange(T + 1) / T
    instruction, z = jnp.array([3, 1]), jnp.array([0.3, -1.0, 2.0])
    apply, params = make(net, observation, instruction, z, time)
    q = apply(params, observation, instruction, z, time)
    assert q.shape == (T + 1, A)
    stepped = unrolled(net, params, (observation, time), fixed=(instruction, z))
    np.testing.assert_allclose(stepped, q, atol=1e-5)


@pytest.mark.parametrize("kind", ["lstm", "mingru"])
def test_exploration_policy_reads_all_that_came_before(kind):
    net = ExplorationPolicy(small(exploration_memory=kind), SIZES, A, sees_rewards=True)
    inputs = exploration_inputs()
    apply, params = make(net, *inputs)
    q = apply(params, *inputs)
    observation, action, reward, time = inputs
    others = {
        "observation": (observation.at[2, 1].set((observation[2, 1] + 1) % SIZES[1]), *inputs[1:]),
        "action": (observation, action.at[2].set((action[2] + 1) % A), reward, time),
        "reward": (observation, action, reward.at[2].set(2.0), time),
        "time": (observation, action, reward, time.at[2].add(0.3)),
    }
    for name, changed in others.items():
        assert rows_that_differ(q, apply(params, *changed)) == list(range(2, T + 1)), name


@pytest.mark.parametrize("embedding", ["sum", "mlp"])
def test_the_exploration_policy_tells_negative_rewards_apart(embedding):
    net = ExplorationPolicy(small(embedding=embedding), SIZES, A, sees_rewards=True)
    observation, action, reward, time = exploration_inputs()
    apply, params = make(net, observation, action, reward, time)
    q = [apply(params, observation, action, reward.at[2].set(r), time) for r in (-0.1, -1.0)]
    assert rows_that_differ(*q) == list(range(2, T + 1))


def test_hidden_rewards_and_time_are_not_read():
    net = ExplorationPolicy(small(time_input=False), SIZES, A, sees_rewards=False)
    inputs = exploration_inputs()
    apply, params = make(net, *inputs)
    blind = apply(params, *inputs[:2], jnp.full(T + 1, jnp.nan), jnp.full(T + 1, jnp.nan))
    np.testing.assert_array_equal(blind, apply(params, *inputs))


def test_without_memory_a_value_depends_on_its_own_state_only():
    net = Exploitation(small(exploitation_memory="none"), SIZES, INSTRUCTION_SIZES, A)
    observation, time = sequence()[0], jnp.arange(T + 1) / T
    instruction, z = jnp.array([3, 1]), jnp.ones(3)
    apply, params = make(net, observation, instruction, z, time)
    q = apply(params, observation, instruction, z, time)
    changed = observation.at[2, 0].set((observation[2, 0] + 1) % SIZES[0])
    assert rows_that_differ(q, apply(params, changed, instruction, z, time)) == [2]


@pytest.mark.parametrize("film", [False, True])
def test_exploitation_policy_is_conditioned_on_instruction_z_and_time(film):
    net = Exploitation(small(film=film), SIZES, INSTRUCTION_SIZES, A)
    observation, time = sequence()[0], jnp.arange(T + 1) / T
    instruction, z = jnp.array([3, 1]), jnp.array([0.3, -1.0, 2.0])
    apply, params = make(net, observation, instruction, z, time)
    q = apply(params, observation, instruction, z, time)
    everywhere = list(range(T + 1))
    for i, other in enumerate((jnp.array([2, 1]), jnp.array([3, 0]))):
        assert rows_that_differ(q, apply(params, observation, other, z, time)) == everywhere, i
    for k in range(3):
        other = apply(params, observation, instruction, z.at[k].add(1.0), time)
        assert rows_that_differ(q, other) == everywhere, k
    assert rows_that_differ(q, apply(params, observation, instruction, z, time + 0.1)) == (
        everywhere
    )


def test_an_empty_instruction_is_legal():
    net = Exploitation(small(), SIZES, (), A)
    observation, z, time = sequence()[0], jnp.ones(3), jnp.arange(T + 1) / T
    nothing = jnp.zeros(0, jnp.int32)
    _, params = make(net, observation, nothing, z, time)

    @quick_jit
    @jax.value_and_grad
    def total(params):
        return jnp.sum(jnp.square(net.apply(params, observation, nothing, z, time)))

    value, gradient = total(params)
    assert np.isfinite(value) and value > 0
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(gradient))


# Dueling.


def test_advantages_are_centred_per_state():
    net = Dueling(A)
    h = 3.0 * jax.random.normal(jax.random.key(0), (5, T, 8))
    apply, params = make(net, h)
    q = apply(params, h)
    value = params["params"]["Dense_0"]
    assert value["kernel"].shape == (8, 1)
    mean = (h @ value["kernel"] + value["bias"])[..., 0]
    np.testing.assert_allclose(q.mean(-1), mean, atol=1e-5)  # advantages add nothing on average
    assert np.ptp(np.asarray(mean)) > 1.0


def test_a_value_does_not_depend_on_other_states_of_the_batch():
    net = Dueling(A)
    h = jax.random.normal(jax.random.key(2), (5, T, 8))
    apply, params = make(net, h)
    for index in ((0, 0), (3, 4)):
        np.testing.assert_allclose(apply(params, h)[index], apply(params, h[index]), atol=1e-5)


# Decoder.


FOLDS = 2


def decoder(kind="mingru", sees_rewards=True, **options):
    """(apply, parameters) of a decoder with two heads, side by side in rows [T + 1, FOLDS * Z]."""
    net = Decoder(small(decoder_memory=kind, **options), SIZES, A, sees_rewards, FOLDS)
    apply, params = make(net, *sequence())
    return lambda params, *inputs: np.concatenate(apply(params, *inputs), axis=-1), params


@pytest.mark.parametrize("kind", ["lstm", "mingru"])
@pytest.mark.parametrize("embedding", ["sum", "mlp"])
def test_the_decoder_of_a_prefix_knows_nothing_of_what_comes_later(kind, embedding):
    apply, params = decoder(kind, embedding=embedding)
    observation, action, reward = sequence()
    g = apply(params, observation, action, reward)
    assert g.shape == (T + 1, FOLDS * 3)
    for t in range(T):
        # Transition t is (s_t, a_t, r_t, s_{t+1}); s_t belongs to the one before as well.
        arrived = observation.at[t + 1, 0].set((observation[t + 1, 0] + 1) % SIZES[0])
        for changed in (
            (arrived, action, reward),
            (observation, action.at[t].set((action[t] + 1) % A), reward),
            (observation, action, reward.at[t].set(2.0)),
        ):
            assert rows_that_differ(g, apply(params, *changed)) == list(range(t + 1, T + 1))


@pytest.mark.parametrize("embedding", ["sum", "mlp"])
def test_the_decoder_tells_negative_rewards_apart(embedding):
    apply, params = decoder(embedding=embedding)
    observation, action, reward = sequence()
    g = [apply(params, observation, action, reward.at[2].set(r)) for r in (-0.1, -1.0)]
    assert rows_that_differ(*g) == list(range(3, T + 1))


def test_the_decoder_ignores_hidden_rewards():
    apply, params = decoder(sees_rewards=False)
    observation, action, reward = sequence()
    blind = apply(params, observation, action, jnp.full_like(reward, jnp.nan))
    np.testing.assert_array_equal(blind, apply(params, observation, action, reward))


@pytest.mark.parametrize("kind", ["lstm", "mingru"])
def test_the_decoder_of_the_empty_prefix_is_one_constant(kind):
    apply, params = decoder(kind)
    a, b = (apply(params, *sequence(seed)) for seed in (0, 1))
    assert np.isfinite(a[0]).all()
    np.testing.assert_array_equal(a[0], b[0])
    assert rows_that_differ(a, b) == list(range(1, T + 1))


def test_heads_of_the_decoder_share_a_trunk_and_nothing_after_it():
    net = Decoder(small(), SIZES, A, sees_rewards=False, folds=FOLDS)
    apply, params = make(net, *sequence())
    heads = apply(params, *sequence())
    assert heads.shape == (FOLDS, T + 1, 3)
    assert (heads[0] != heads[1]).any(axis=-1).all()

    @quick_jit
    @jax.jacrev
    def reached(params):
        return jnp.sum(jnp.square(net.apply(params, *sequence())), axis=(1, 2))

    by_head = np.concatenate(
        [np.reshape(x, (FOLDS, -1)) != 0 for x in jax.tree.leaves(reached(params))], axis=1
    )
    only_first, only_second = by_head[0] & ~by_head[1], by_head[1] & ~by_head[0]
    assert only_first.sum() > 10 and only_second.sum() > 10
    assert (by_head[0] & by_head[1]).sum() > 10


@pytest.mark.parametrize("kind", ["lstm", "mingru"])
def test_one_prefix_alone_is_decoded_as_among_all(kind):
    net = Decoder(small(decoder_memory=kind), SIZES, A, True, FOLDS)
    apply, params = make(net, *sequence())
    g = apply(params, *sequence())
    for t in (0, 1, 3, T):
        alone = apply(params, *sequence(), jnp.int32(t))
        assert alone.shape == (FOLDS, 3)
        np.testing.assert_allclose(alone, g[:, t], rtol=1e-4, atol=1e-5)


# Embeddings.


def test_sum_embedding_is_the_sum_of_table_rows():
    net, x = SumEmbedding(SIZES, 6), sequence()[0]
    apply, params = make(net, x)
    table = np.asarray(params["params"]["table"])
    assert table.shape == (4 + 3, 6)
    x = np.asarray(x)
    np.testing.assert_allclose(
        apply(params, x), table[x[:, 0]] + table[4 + x[:, 1]], rtol=1e-5, atol=1e-6
    )


def test_mlp_embedding_concatenates_its_tables():
    net, x = MlpEmbedding(SIZES, 6, component_features=2, hidden=5), sequence()[0]
    apply, params = make(net, x)
    weights = jax.tree.map(np.asarray, params["params"])
    x = np.asarray(x)
    tables = [weights[f"IndexEmbedding_{k}"]["table"] for k in range(2)]
    assert [table.shape for table in tables] == [(4, 2), (3, 2)]
    h = np.concatenate([table[x[:, k]] for k, table in enumerate(tables)], axis=-1)
    h = np.maximum(h @ weights["Dense_0"]["kernel"] + weights["Dense_0"]["bias"], 0)
    expected = h @ weights["Dense_1"]["kernel"] + weights["Dense_1"]["bias"]
    np.testing.assert_allclose(apply(params, x), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["sum", "mlp"])
def test_no_components_embed_to_zeros(kind):
    net, x = make_embedding(kind, (), 6), jnp.zeros((T, 0), jnp.int32)
    apply, params = make(net, x)
    np.testing.assert_array_equal(apply(params, x), np.zeros((T, 6)))


# Encoder.


@functools.cache
def encodings(scale, problems=40):
    """Parameters as they start, and f of every problem."""
    net = Encoder(small(encoder_init_scale=scale, z_size=16), problems)
    params = quick_jit(net.init)(jax.random.key(0), jnp.int32(0))
    return params, quick_jit(jax.vmap(net.apply, (None, 0)))(params, jnp.arange(problems))


def test_the_encoder_starts_small_by_its_scale():
    full, tenth = encodings(1.0)[1], encodings(0.1)[1]
    np.testing.assert_allclose(tenth, 0.1 * full, rtol=1e-4, atol=1e-7)
    # Table entries N(0, 1), kernel entries U(+-0.1 / sqrt(32)) with variance 0.01 / 32 / 3: an
    # entry of f has variance 32 * 0.01 / 96, and |f|^2 of 16 entries is 0.053 on average.
    assert np.mean(np.sum(np.square(tenth), axis=-1)) == pytest.approx(16 * 0.01 / 3, rel=0.25)


def test_the_encoder_starts_as_the_usual_linear_layer_times_its_scale():
    kernel = np.asarray(encodings(0.1)[0]["params"]["Dense_0"]["kernel"])
    bound = 0.1 / np.sqrt(32)
    assert np.abs(kernel).max() <= bound
    assert np.abs(kernel).max() > 0.98 * bound  # 512 draws


def test_problems_have_encodings_of_their_own():
    f = np.asarray(encodings(0.1)[1])
    distances = np.linalg.norm(f[:, None] - f[None], axis=-1)
    assert (distances[~np.eye(len(f), dtype=bool)] > 1e-3).all()


def test_a_descriptor_is_encoded_by_its_values():
    a, b = jnp.array([1.0, -2.0]), jnp.array([1.0, -1.0])
    apply, params = make(Encoder(small(), num_problems=3), a)
    assert apply(params, a).shape == (3,)
    assert params["params"]["Dense_0"]["kernel"].shape == (2, 32)
    assert (apply(params, a) != apply(params, b)).any()
