import subprocess
import sys
from typing import NamedTuple

import absl.logging
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dream_jax.runs import checkpoint
from dream_jax.types import LearnerState, TrainState, is_key

SEEDS = 2


class Pair(NamedTuple):
    exploitation: LearnerState
    exploration: LearnerState


def make_state(seed: int = 0) -> TrainState:
    """A train state with a seed axis, every kind of leaf, and values that text would not keep."""
    generator = np.random.default_rng(seed)

    def learner() -> LearnerState:
        kernel = generator.normal(size=(SEEDS, 3, 4)).astype(np.float32)
        kernel[0, 0] = [np.nan, np.inf, -0.0, 1e-45]
        params = {"Dense_0": {"kernel": jnp.asarray(kernel)}, "a/b.c['d']": jnp.ones((SEEDS, 1))}
        moments = (jnp.asarray(kernel, jnp.bfloat16), (), None, [jnp.arange(SEEDS)])
        return LearnerState(params, params, moments, jnp.full((SEEDS,), 7, jnp.int32))

    replay = {
        "observation": generator.integers(256, size=(SEEDS, 8, 5, 2), dtype=np.uint8),
        "mask": generator.random((SEEDS, 8, 5)) < 0.5,
        "instruction": jnp.zeros((SEEDS, 8, 0), jnp.uint8),  # an empty instruction is legal
    }
    return TrainState(
        learners=Pair(learner(), learner()),
        average={"w": jnp.float32(0.1) * jnp.ones(SEEDS)},
        replay=replay,
        key=jax.random.split(jax.random.key(seed), SEEDS),
        trials=jnp.asarray([5, 6], jnp.int32),
        exploration_steps=jnp.asarray([2**31 - 1, 0], jnp.int32),
        exploitation_steps=jnp.asarray([1, 2], jnp.int32),
        update_credit=jnp.asarray([[0.25, 1 / 3], [0.0, 2.0]], jnp.float32),
    )


def as_bytes(leaf) -> tuple[str, tuple[int, ...], bytes]:
    dtype, shape = str(leaf.dtype), leaf.shape
    if is_key(leaf):
        leaf = jax.random.key_data(leaf)
    return dtype, shape, np.asarray(leaf).tobytes()


def assert_bit_equal(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for left, right in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert as_bytes(left) == as_bytes(right)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    directory = tmp_path_factory.mktemp("run") / "checkpoints"
    for step in (10, 20, 30):
        assert checkpoint.save(directory, step, make_state(step), {"step_was": step}, keep=2)
    return directory


def test_round_trip_is_bit_exact(saved):
    state, metadata = checkpoint.restore(saved, make_state(0))
    assert_bit_equal(state, make_state(30))
    assert metadata == {"step_was": 30}


def test_a_restored_key_draws_the_same_numbers(saved):
    state, _ = checkpoint.restore(saved, make_state(0))
    draw = jax.vmap(lambda key: jax.random.normal(key, (3,)))
    np.testing.assert_array_equal(draw(state.key), draw(make_state(30).key))


def test_shapes_are_enough_for_a_template(saved):
    state, _ = checkpoint.restore(saved, jax.eval_shape(lambda: make_state(0)))
    assert_bit_equal(state, make_state(30))


def test_keys_of_another_generator(tmp_path):
    state = {"key": jax.random.key(3, impl="rbg"), "x": jnp.zeros(2)}
    checkpoint.save(tmp_path, 1, state, {})
    assert_bit_equal(checkpoint.restore(tmp_path, state)[0], state)
    with pytest.raises(ValueError, match=r"\['key'\] is key<rbg>\[\], expected key<fry>\[\]$"):
        checkpoint.restore(tmp_path, {"key": jax.random.key(3), "x": jnp.zeros(2)})


def test_the_newest_are_kept(saved):
    assert checkpoint.latest_step(saved) == 30
    assert sorted(path.name for path in saved.iterdir()) == ["20", "30"]
    state, metadata = checkpoint.restore(saved, make_state(0), step=20)
    assert_bit_equal(state, make_state(20))
    assert metadata == {"step_was": 20} == checkpoint.read_metadata(saved, step=20)
    assert checkpoint.read_metadata(saved) == {"step_was": 30}


def test_steps_only_grow(tmp_path):
    assert checkpoint.save(tmp_path, 5, {"x": jnp.ones(1)}, {"n": 1})
    assert not checkpoint.save(tmp_path, 5, {"x": jnp.zeros(1)}, {"n": 2})
    assert checkpoint.read_metadata(tmp_path) == {"n": 1}
    with pytest.raises(ValueError, match="step 4 is older than the latest checkpoint, 5"):
        checkpoint.save(tmp_path, 4, {"x": jnp.ones(1)}, {})


def test_a_save_that_fails_leaves_the_last_one(tmp_path):
    state = {"x": jnp.arange(3)}
    checkpoint.save(tmp_path, 1, state, {})
    with pytest.raises(TypeError):  # before anything is written
        checkpoint.save(tmp_path, 2, state, {"not JSON": object()})
    assert checkpoint.latest_step(tmp_path) == 1
    assert_bit_equal(checkpoint.restore(tmp_path, state)[0], state)
    assert checkpoint.save(tmp_path, 2, state, {})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "2"]


def test_nothing_there(tmp_path):
    for directory in (tmp_path / "missing", tmp_path):
        assert checkpoint.latest_step(directory) is None
        for read in (checkpoint.read_metadata, lambda d: checkpoint.restore(d, {})):
            with pytest.raises(ValueError, match=rf"^no checkpoint in {directory}$"):
                read(directory)
    assert not (tmp_path / "missing").exists()


def test_a_step_that_is_not_there(saved):
    with pytest.raises(ValueError, match=r"^no checkpoint 10 in .*; there are 20, 30$"):
        checkpoint.restore(saved, make_state(0), step=10)


@pytest.mark.parametrize(
    "template, message",
    [
        ({"x": np.ones(3, np.int32)}, r"\['x'\] is int32\[2\], expected int32\[3\]$"),
        ({"x": np.ones(2, np.float32)}, r"\['x'\] is int32\[2\], expected float32\[2\]$"),
        ({"y": np.ones(2)}, r"\['y'\] is nothing, expected float64\[2\] \(and 1 more\)$"),
        ({}, r"\['x'\] is int32\[2\], expected nothing$"),
        ([np.ones(2, np.int32)], r"\[0\] is nothing, expected int32\[2\] \(and 1 more\)$"),
    ],
)
def test_another_state_is_named_in_one_line(tmp_path, template, message):
    checkpoint.save(tmp_path, 1, {"x": np.ones(2, np.int32)}, {})
    with pytest.raises(ValueError, match=f"^checkpoint 1 in {tmp_path} holds another state: ") as e:
        checkpoint.restore(tmp_path, template)
    e.match(message)
    assert "\n" not in str(e.value)


class Earlier(NamedTuple):
    mask: np.ndarray
    z_from_decoder: np.ndarray
    key: jax.Array


def test_older_checkpoints_without_checksums_are_read(tmp_path, monkeypatch):
    state, save_json = {"x": np.arange(9.0)}, checkpoint.ocp.args.JsonSave

    def older(about):
        return save_json({k: v for k, v in about.items() if not k.startswith("checksum")})

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint.ocp.args, "JsonSave", older)
        checkpoint.save(tmp_path, 1, state, {"trials": 1})
    assert "checksum" not in (tmp_path / "1" / "metadata" / "metadata").read_text()
    found = checkpoint.restore_newest(tmp_path, state)
    assert_bit_equal(found.state, state)
    assert checkpoint.seeds_of(tmp_path, [4, 5]) == [4, 5]


class Today(NamedTuple):
    mask: np.ndarray
    acts_on_exploration: np.ndarray
    key: jax.Array


def test_a_field_that_was_renamed_is_restored(tmp_path):
    values = np.arange(3.0), np.array([True, False]), jax.random.key(3)
    checkpoint.save(tmp_path, 1, {"replay": Earlier(*values)}, {})
    state, _ = checkpoint.restore(tmp_path, {"replay": Today(*values)})
    assert_bit_equal(state, {"replay": Today(*values)})


def test_a_part_is_read_alone(tmp_path):
    state = {"params": {"w": np.arange(3.0), "k": jax.random.key(3)}, "replay": np.ones(9)}
    checkpoint.save(tmp_path, 1, state, {"trials": 7})
    template = state | {"replay": np.ones(4)}  # another size, which is not looked at
    found = checkpoint.restore_newest(tmp_path, template, lambda state: state["params"])
    assert_bit_equal(found.state, state["params"])
    assert found.metadata == {"trials": 7}
    template["params"] = {"w": np.ones(2), "k": jax.random.key(3)}
    with pytest.raises(ValueError, match=r"\['w'\] is float64\[3\], expected float64\[2\]$"):
        checkpoint.restore(tmp_path, template, part=lambda state: state["params"])


def test_only_arrays(tmp_path):
    with pytest.raises(ValueError, match=r"^state\['n'\] is a int: every leaf must be an array$"):
        checkpoint.save(tmp_path, 1, {"n": 3}, {})
    with pytest.raises(ValueError, match="keep=0"):
        checkpoint.save(tmp_path, 1, {"n": np.ones(1)}, {}, keep=0)


def test_orbax_does_not_talk_over_the_progress_lines(tmp_path, caplog):
    before = absl.logging.get_verbosity()
    absl.logging.set_verbosity(absl.logging.INFO)
    try:
        absl.logging.info("heard")
        checkpoint.save(tmp_path, 1, {"x": np.ones(1)}, {})
        checkpoint.restore(tmp_path, {"x": np.ones(1)})
        assert absl.logging.get_verbosity() == absl.logging.INFO
    finally:
        absl.logging.set_verbosity(before)
    assert [record.message for record in caplog.records] == ["heard"]


SAVE_ON_TWO_DEVICES = """
import sys, jax
jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 2)
from dream_jax.runs import checkpoint
from tests.runs.test_checkpoint import make_state
mesh = jax.make_mesh((2,), ("seed",))
sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("seed"))
state = jax.device_put(make_state(1), sharding)
assert all(len(leaf.sharding.device_set) == 2 for leaf in jax.tree.leaves(state))
checkpoint.save(sys.argv[1], 1, state, {})
"""


def test_saved_on_two_devices_restored_on_one(tmp_path):
    subprocess.run([sys.executable, "-c", SAVE_ON_TWO_DEVICES, str(tmp_path)], check=True)
    state, _ = checkpoint.restore(tmp_path, make_state(0))
    assert_bit_equal(state, make_state(1))
