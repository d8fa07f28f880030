"""The ring of trials: order, uniform sampling, size in bytes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dream_jax import config, envs
from dream_jax.config import ConfigError
from dream_jax.data import replay
from dream_jax.scaling import seeds as scaling
from dream_jax.training import setup
from dream_jax.types import Episode, Trial

CAPACITY, COUNT = 6, 2


def episode_shapes(steps, *leading):
    def shape(dtype, *own):
        return jax.ShapeDtypeStruct((*leading, *own), dtype)

    return Episode(
        observation=shape(jnp.uint8, steps + 1, 3),
        action=shape(jnp.uint8, steps),
        reward=shape(jnp.float32, steps),
        terminated=shape(jnp.bool_, steps),
        truncated=shape(jnp.bool_, steps),
        mask=shape(jnp.bool_, steps),
    )


def trial_shapes(instruction_components=2):
    return Trial(
        problem=jax.ShapeDtypeStruct((), jnp.int32),
        exploration=episode_shapes(5),
        instruction=jax.ShapeDtypeStruct((2, instruction_components), jnp.uint8),
        exploitation=episode_shapes(4, 2),
        acts_on_exploration=jax.ShapeDtypeStruct((), jnp.bool_),
    )


def trials(*numbers):
    """Trials that hold their number everywhere (its parity where there is room for a bit only)."""
    values = np.array(numbers)

    def fill(leaf):
        value = values % 2 if leaf.dtype == jnp.bool_ else values
        value = value.reshape((-1,) + (1,) * len(leaf.shape)).astype(leaf.dtype)
        return np.broadcast_to(value, (len(numbers), *leaf.shape))

    return jax.tree.map(fill, trial_shapes())


def assert_are(batch, numbers):
    """`batch` holds exactly these trials, whole: every leaf, every entry."""
    expected = trials(*numbers)
    for got, want in zip(jax.tree.leaves(batch), jax.tree.leaves(expected), strict=True):
        assert got.dtype == want.dtype
        np.testing.assert_array_equal(got, want)


@pytest.fixture(scope="module")
def add():
    return jax.jit(replay.add, donate_argnums=0)


@pytest.fixture(scope="module")
def sample():
    def draw_and_take(state, key, count):
        return replay.take(state, replay.draw(state, key, count), trial_shapes())

    return jax.jit(draw_and_take, static_argnums=2)


def stored(state, count=CAPACITY):
    """The trials in the first slots, leaves [count, ...]."""
    return jax.device_get(replay.take(state, jnp.arange(count), trial_shapes()))


def filled(add, adds):
    """A replay to which the trials 1, 2, 3, ... were added in pairs."""
    state = replay.init(trial_shapes(), CAPACITY)
    for first in range(1, 2 * adds, 2):
        state = add(state, trials(first, first + 1))
    return state


# Adding.


def test_a_new_replay_is_empty_and_shaped_like_its_example():
    state = replay.init(trial_shapes(), CAPACITY)
    assert state.inserted == 0
    shapes = jax.tree.leaves(trial_shapes())
    for leaf, shape in zip(jax.tree.leaves(state.storage), shapes, strict=True):
        assert leaf.size == CAPACITY * np.prod(shape.shape, dtype=int)
        assert leaf.dtype == shape.dtype
        assert not np.any(leaf)
    for leaf, shape in zip(jax.tree.leaves(stored(state)), shapes, strict=True):
        assert leaf.shape == (CAPACITY, *shape.shape)


@pytest.mark.parametrize(
    ("adds", "slots"),
    [
        (1, [1, 2]),
        (3, [1, 2, 3, 4, 5, 6]),
        (4, [7, 8, 3, 4, 5, 6]),  # over the oldest
        (6, [7, 8, 9, 10, 11, 12]),
        (8, [13, 14, 15, 16, 11, 12]),
    ],
)
def test_new_trials_overwrite_the_oldest(add, adds, slots):
    state = filled(add, adds)
    assert state.inserted == COUNT * adds
    assert_are(stored(state, len(slots)), slots)
    assert not any(leaf[len(slots) :].any() for leaf in jax.tree.leaves(stored(state)))


def test_the_ring_may_be_filled_at_once(add):
    state = replay.init(trial_shapes(), 3)
    state = add(add(state, trials(1, 2, 3)), trials(4, 5, 6))
    assert_are(stored(state, 3), [4, 5, 6])


@pytest.mark.parametrize("count", [4, 5, 12])
def test_a_count_that_does_not_divide_the_capacity_is_refused(count):
    state = replay.init(trial_shapes(), CAPACITY)
    with pytest.raises(ValueError, match=f"adding {count} trials: must divide the capacity, 6"):
        replay.add(state, trials(*range(count)))


def test_trials_of_another_type_are_refused():
    state = replay.init(trial_shapes(), CAPACITY)
    new = trials(1, 2)
    with pytest.raises(AssertionError):
        replay.add(state, new._replace(instruction=new.instruction.astype(np.int32)))


def test_entries_of_a_trial_keep_their_places():
    """Trials in which no two entries are equal, bits apart."""

    def numbered(leaf):
        shape = (COUNT, *leaf.shape)
        return np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(leaf.dtype)

    given = jax.tree.map(numbered, trial_shapes())
    state = replay.add(replay.init(trial_shapes(), CAPACITY), given)
    jax.tree.map(np.testing.assert_array_equal, stored(state, COUNT), given)


# Sampling.

DRAWS = 6_000
# 99.9% quantiles of the chi-square distribution by degrees of freedom.
CHI_SQUARE = {1: 10.83, 3: 16.27, 5: 20.52}


@pytest.mark.parametrize(("adds", "held"), [(1, [1, 2]), (2, [1, 2, 3, 4]), (5, range(5, 11))])
@pytest.mark.parametrize("seed", [0, 1])
def test_samples_are_uniform_over_the_filled_slots_only(add, sample, adds, held, seed):
    drawn = sample(filled(add, adds), jax.random.key(seed), DRAWS).problem
    numbers, counts = np.unique(drawn, return_counts=True)
    assert numbers.tolist() == list(held)
    expected = DRAWS / len(held)
    statistic = np.sum((counts - expected) ** 2 / expected)
    assert statistic < CHI_SQUARE[len(held) - 1]


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(adds=st.integers(1, 4 * CAPACITY // COUNT), seed=st.integers(0, 2**31))
def test_an_empty_slot_full_of_nan_is_never_sampled(add, sample, adds, seed):
    """At every fill level and past the wrap: samples are of the newest trials, whole."""

    def poison(x):
        worst = np.nan if jnp.issubdtype(x.dtype, jnp.floating) else True
        if jnp.issubdtype(x.dtype, jnp.integer):
            worst = jnp.iinfo(x.dtype).max
        return jnp.full_like(x, worst)

    state = replay.init(trial_shapes(), CAPACITY)
    state = state._replace(storage=jax.tree.map(poison, state.storage))
    for i in range(adds):
        state = add(state, trials(*range(COUNT * i, COUNT * (i + 1))))
    batch = sample(state, jax.random.key(seed), 64)
    numbers = np.asarray(batch.problem)
    assert set(numbers) <= set(range(max(0, COUNT * adds - CAPACITY), COUNT * adds))
    assert_are(batch, numbers)


def test_samples_are_independent_of_each_other(add, sample):
    drawn = np.asarray(sample(filled(add, 3), jax.random.key(2), DRAWS).problem)
    # With replacement: two in a row are equal with probability 1 / 6, within four sigma.
    equal = np.mean(drawn[1:] == drawn[:-1])
    assert abs(equal - 1 / 6) < 4 * np.sqrt(1 / 6 * 5 / 6 / DRAWS)


def test_samples_are_whole_trials(add, sample):
    batch = sample(filled(add, 5), jax.random.key(3), 40)
    assert len(set(batch.problem.tolist())) == CAPACITY
    assert_are(batch, batch.problem.tolist())


def test_the_key_decides_the_sample(add, sample):
    state = filled(add, 3)
    a, b, c = (sample(state, jax.random.key(seed), 40).problem.tolist() for seed in (4, 4, 5))
    assert a == b != c


# Size.


@pytest.mark.parametrize("capacity", [1, 7, 640])
@pytest.mark.parametrize("instruction_components", [0, 2])
def test_size_in_bytes_is_that_of_the_arrays(capacity, instruction_components):
    example = trial_shapes(instruction_components)
    state = replay.init(example, capacity)
    assert replay.size_bytes(example, capacity) == sum(
        leaf.nbytes for leaf in jax.tree.leaves(state.storage)
    )
    one = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), example)  # as well as shapes
    assert replay.size_bytes(one, capacity) == replay.size_bytes(example, capacity)


def test_size_in_bytes_golden():
    # Episodes of 5 steps: 6 * 3 + 5 + 5 * 4 + 3 * 5 = 58 bytes; of 4 steps, twice:
    # 2 * (5 * 3 + 4 + 4 * 4 + 3 * 4) = 94; instruction 2 * 2, id 4, flag 1.
    assert replay.size_bytes(trial_shapes(), 10) == 10 * (58 + 94 + 4 + 4 + 1)


@pytest.mark.slow
def test_training_needs_no_memory_but_the_printed_for_a_larger_replay():
    env = envs.make("bus")

    def needed(capacity):
        """What is printed for a replay, and what the compiled training program takes in all."""
        sizes = {"hidden_size": "8", "head_size": "8", "decoder_memory_size": "8", "z_size": "4"}
        settings = {f"networks.{name}": size for name, size in sizes.items()}
        settings |= {"replay.capacity_trials": f"{capacity}"}
        trainer = setup.make_trainer(config.override(config.Config(), settings), env)
        runner = scaling.make_runner(trainer, [0], 2, jax.devices()[:1])
        quick = {"xla_backend_optimization_level": 0}  # of the machine code; not of its buffers
        memory = runner.chunk.compile(runner.shape, options=quick).call.memory_analysis()
        held_twice = memory.output_size_in_bytes - memory.alias_size_in_bytes
        total = memory.argument_size_in_bytes + memory.temp_size_in_bytes + held_twice
        return replay.size_bytes(trainer.trial_shape, capacity), total

    (printed, total), (more_printed, more_total) = needed(8_192), needed(65_536)
    assert more_total - total == pytest.approx(more_printed - printed, rel=0.01)


def test_a_replay_that_does_not_fit_is_refused_with_one_that_does(monkeypatch, capsys):
    monkeypatch.setattr(replay, "_available_bytes", lambda: 1_000_000)
    # 3 seeds of 2000 trials of 161 bytes: 966,000 bytes of 900,000; 900,000 / 3 / 161 = 1863.3.
    with pytest.raises(ConfigError) as refusal:
        replay.check_fits(161 * 2_000, 3, 2_000)
    message = str(refusal.value)
    assert "\n" not in message
    assert "replay.capacity_trials=2,000 needs 966,000 bytes" in message
    assert "1,000,000 are free" in message
    assert "at most about 1,863 trials fit" in message
    replay.check_fits(161 * 1_863, 3, 1_863)
    with pytest.raises(ConfigError):
        replay.check_fits(161 * 1_864, 3, 1_864)
    replay.check_fits(161 * 2_000, 2, 2_000)  # fewer seeds
    assert "replay: 966,000 bytes (3 x 2,000 trials of 161 bytes)" in capsys.readouterr().out


def test_without_knowing_what_is_free_nothing_is_refused(monkeypatch, capsys):
    monkeypatch.setattr(replay, "_available_bytes", lambda: None)
    replay.check_fits(10**15, 3, 10**9)
    assert "3,000,000,000,000,000 bytes" in capsys.readouterr().out
