"""The examples, each where the package that it needs is installed."""

import importlib
import sys

import jax
import numpy as np
import pytest

from dream_jax import envs, presets, specs
from dream_jax.envs import splits
from dream_jax.envs.adapters import check


def example(name, *packages):
    """The module of an example; skips the test without its packages."""
    for package in packages:
        pytest.importorskip(package)
    return importlib.import_module(f"examples.{name}")


def accepted(name):
    """The family of an example, which has been traced and stepped at random."""
    env = envs.make(name, horizon=presets.get(name, "dream").env.horizon)
    try:
        assert not check.mistakes_of(env, check.random_walk(env, steps=120, seed=1))
    finally:
        getattr(env, "close", lambda: None)()
    return env


def test_minigrid_boxes():
    boxes = example("minigrid_boxes", "minigrid")
    env = accepted("examples.minigrid_boxes:Boxes")
    assert len(boxes.ORDERS) == 360 and splits.held_out(env)
    assert len(env.problem_ids("test")) == 60
    assert len(env.problem_ids("train")) == 300
    assert len(np.unique(env.descriptors, axis=0)) == 360
    keys = jax.random.split(jax.random.key(0), 64)
    asked = jax.vmap(env.sample_instruction, (0, None))(keys, 359)
    assert set(np.asarray(asked)[:, 0].tolist()) == set(boxes.ORDERS[359].tolist())
    world = env.make(0, np.array([2]))
    assert world.unwrapped._wanted == 2


@pytest.mark.slow
def test_xland_objects_has_over_ten_thousand_rulesets():
    objects = example("xland_objects", "xminigrid")
    env = accepted("examples.xland_objects:Objects")
    split = [set(env.problem_ids(name).tolist()) for name in ("train", "test")]
    assert len(split[0]) == 10_000 and split[0] | split[1] == set(range(15_625))
    assert splits.held_out(env)
    assert specs.descriptor(env).parts[0].shape == (len(objects.OBJECTS),)


@pytest.mark.slow
def test_xland_an_object_that_is_picked_up_becomes_the_star_of_its_rule_and_pays_once():
    objects = example("xland_objects", "xminigrid")
    env = objects.Objects(horizon=30)
    problem, wanted = 12_345, objects.RULESETS[12_345][2]
    state, _ = env.reset(jax.random.key(0), problem, np.array([wanted]))
    step = jax.jit(env.step)
    inside = state.state
    agent = inside.agent.replace(position=np.array([3, 3]), direction=np.int32(0))
    for k, (tile, makes) in enumerate(zip(objects.OBJECTS, objects.RULESETS[problem], strict=True)):
        tile = np.array(tile, np.uint8)
        before = state.replace(
            state=inside.replace(grid=inside.grid.at[2, 3].set(tile), agent=agent),
            observation=state.observation.at[objects.AHEAD].set(tile),
        )
        picked, seen = step(before, 3)
        star = objects.FIRST_STAR + makes
        assert seen.goal and seen.terminated and seen.observation["holds"] == star, k
        assert (seen.reward > 0) == (makes == wanted), k
        _, seen = step(picked, 3)  # with a full hand
        assert not seen.done and seen.reward == 0, k
        down, seen = step(picked, 4)
        assert not seen.done and seen.observation["ahead"] == star, k
        assert seen.observation["holds"] == 0 and seen.reward == 0, k
        _, seen = step(down, 3)  # the star that lies there
        assert not seen.done and seen.observation["holds"] == star and seen.reward == 0, k


@pytest.mark.slow
def test_rejax_trains_on_whole_trials():
    found = example("rejax_bus", "rejax").train("bus", steps=64 * 41 * 5, seed=0)
    assert len(found["returns"]) == 6 and np.isfinite(found["returns"]).all()
    assert (found["optimal"], found["no_exploration"]) == pytest.approx((0.8, 0.3))


@pytest.mark.slow
def test_recurrent_ppo_of_sb3_trains_on_whole_trials():
    found = example("sb3_bus", "sb3_contrib").train("bus", steps=16 * 82, seed=0)
    assert found["steps"] == 16 * 82 and -4.0 <= found["return"] <= 0.8
    assert (found["optimal"], found["no_exploration"]) == pytest.approx((0.8, 0.3))


# A trainer with the interface of purejaxrl's, which acts at random.
RANDOM_TRAINER = """
import flax.linen as nn
import gymnax
import jax
import jax.numpy as jnp


def make_train(config):
    env, params = gymnax.make(config["ENV_NAME"])
    cell = nn.GRUCell()
    carry = cell.initialize_carry(jax.random.PRNGKey(0), (2,), 3)
    (carry, out), _ = cell.init_with_output(jax.random.PRNGKey(1), carry, jnp.ones((2, 5)))
    assert carry.shape == out.shape == (2, 3) and bool(jnp.any(out != 0))

    def step(carry, key):
        state, total = carry
        action = jax.random.randint(key, (), 0, env.num_actions)
        _, state, reward, done, _ = env.step(key, state, action, params)
        total = total + reward
        return (state, jnp.where(done, 0.0, total)), (done[None], total[None])

    def train(key):
        _, state = env.reset(key, params)
        steps = config["TOTAL_TIMESTEPS"]
        _, (done, total) = jax.lax.scan(step, (state, 0.0), jax.random.split(key, steps))
        return {"metric": {"returned_episode": done, "returned_episode_returns": total}}

    return train
"""


@pytest.mark.slow
def test_trainers_of_purejaxrl_get_whole_trials(tmp_path, monkeypatch):
    trials = example("purejaxrl_trials", "gymnax")
    (tmp_path / "purejaxrl").mkdir()
    (tmp_path / "purejaxrl" / "ppo_rnn.py").write_text(RANDOM_TRAINER)
    monkeypatch.setattr(sys, "path", [*sys.path])
    with pytest.raises(SystemExit, match="3 steps are too few: 10 parts need 52480"):
        trials.train(str(tmp_path), "bus", steps=3, seed=0)
    with pytest.raises(SystemExit, match="nowhere is no checkout of purejaxrl"):
        trials.train("nowhere", "bus", steps=60_000, seed=0)
    found = trials.train(str(tmp_path), "bus", steps=60_000, seed=0)
    monkeypatch.delitem(sys.modules, "ppo_rnn")
    assert len(found["returns"]) == 10 and found["steps"] == 57_728
    assert all(-4.0 <= value <= 0.8 for value in found["returns"])
    assert (found["optimal"], found["no_exploration"]) == pytest.approx((0.8, 0.3))
