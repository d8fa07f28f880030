"""The dm_env adapter: dm_env's own conformance tests, discounts, what is fixed, what is refused."""

from typing import NamedTuple

import chex
import dm_env
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import absltest
from dm_env import specs, test_utils

import dream_jax.envs
from dream_jax.envs.adapters.dm_env import DmEnvAdapter
from dream_jax.types import TimeStep

LEFT, UP, RIGHT, DOWN, NO_OP, RIDE, END, PICK_UP, DROP = range(9)


class PixelState(NamedTuple):
    problem: jax.Array  # [] int32
    step: jax.Array  # [] int32


class PixelProbe:
    """Smallest environment with pixels and no instruction: action 1 pays the problem id, 2 ends."""

    name = "pixel_probe"
    num_actions = 3
    end_episode_action = 2
    horizon = 4
    observation_shape = (2, 3, 3)
    observation_dtype = np.uint8
    instruction_sizes = ()
    num_problems = 5
    descriptors = None

    def problem_ids(self, split):
        return {"train": np.arange(4), "test": np.array([4])}[split]

    def instructions(self, problem):
        return np.zeros((1, 0), np.int32)

    def sample_instruction(self, key, problem):
        return jnp.zeros((0,), jnp.int32)

    def reset(self, key, problem, instruction):
        assert instruction.shape == (0,)
        return self._show(PixelState(problem, jnp.int32(0)), jnp.float32(0), jnp.bool_(False))

    def step(self, state, action):
        reward = jnp.where(action == 1, state.problem, 0).astype(jnp.float32)
        return self._show(state._replace(step=state.step + 1), reward, action == 2)

    def _show(self, state, reward, ended):
        image = jnp.full(self.observation_shape, 60 * state.step, jnp.uint8)
        return state, TimeStep(image, reward, ended, (state.step >= 4) & ~ended)


class ConformanceMixin(test_utils.EnvironmentTestMixin):
    """dm_env's tests on sequences that go through terminations and a time-out."""

    def make_action_sequence(self):
        num_actions = self.environment.action_spec().num_values
        walk = [action % num_actions for action in range(3 * num_actions)]
        return iter([*walk, *[0] * 50, *walk])


class BusConformanceTest(ConformanceMixin, absltest.TestCase):
    def make_object_under_test(self):
        return DmEnvAdapter(dream_jax.envs.make("bus"))


@pytest.mark.slow
class DistractingBusConformanceTest(ConformanceMixin, absltest.TestCase):
    def make_object_under_test(self):
        return DmEnvAdapter(dream_jax.envs.make("distracting_bus"), split="test", seed=1)


@pytest.mark.slow
class MapConformanceTest(ConformanceMixin, absltest.TestCase):
    def make_object_under_test(self):
        return DmEnvAdapter(dream_jax.envs.make("map"), problem=23)


class CookingConformanceTest(ConformanceMixin, absltest.TestCase):
    def make_object_under_test(self):
        return DmEnvAdapter(dream_jax.envs.make("cooking"))


class PixelConformanceTest(ConformanceMixin, absltest.TestCase):
    def make_object_under_test(self):
        return DmEnvAdapter(PixelProbe())


def test_specs_of_integer_components():
    spec = DmEnvAdapter(dream_jax.envs.make("map")).observation_spec()
    assert set(spec) == {"observation", "instruction"}
    np.testing.assert_array_equal(spec["observation"].maximum, [8, 8, 3, 24])
    np.testing.assert_array_equal(spec["instruction"].maximum, [8, 8])
    for part in spec.values():
        np.testing.assert_array_equal(part.minimum, np.zeros(part.shape))
        assert part.dtype == np.int32


def test_specs_of_pixels_and_of_an_empty_instruction():
    adapter = DmEnvAdapter(PixelProbe())
    spec = adapter.observation_spec()
    assert spec["observation"].shape == (2, 3, 3)
    assert spec["observation"].dtype == np.uint8
    assert (spec["observation"].minimum, spec["observation"].maximum) == (0, 255)
    assert spec["instruction"].shape == (0,)
    first = adapter.reset()
    assert first.observation["instruction"].shape == (0,)
    second = adapter.step(0)
    np.testing.assert_array_equal(second.observation["observation"], np.full((2, 3, 3), 60))


def test_action_and_reward_specs():
    adapter = DmEnvAdapter(dream_jax.envs.make("bus"))
    assert isinstance(adapter.action_spec(), specs.DiscreteArray)
    assert adapter.action_spec().num_values == 9
    assert adapter.reward_spec().dtype == np.float32


def test_reaching_the_goal_terminates_with_discount_0():
    # Problem 0 sends stop (4, 5), one up from the start, to (0, 1), one above the goal.
    adapter = DmEnvAdapter(dream_jax.envs.make("bus"), problem=0, instruction=(0, 0))
    adapter.reset()
    up, ride, down = (adapter.step(action) for action in (UP, RIDE, DOWN))
    assert up.mid() and ride.mid() and down.last()
    np.testing.assert_array_equal(ride.observation["observation"], [0, 1, 1])
    np.testing.assert_allclose([up.reward, ride.reward, down.reward], [-0.1, -0.1, 1.0], rtol=1e-6)
    assert (up.discount, ride.discount, down.discount) == (1.0, 1.0, 0.0)


def test_ending_the_episode_terminates_with_discount_0():
    adapter = DmEnvAdapter(dream_jax.envs.make("cooking"))
    adapter.reset()
    last = adapter.step(END)
    assert last.last() and last.discount == 0.0
    np.testing.assert_allclose(last.reward, -2.0, rtol=1e-6)  # -0.1, and -0.1 for 19 steps left


def test_time_out_truncates_with_discount_1():
    adapter = DmEnvAdapter(dream_jax.envs.make("bus", horizon=6))
    adapter.reset()
    steps = [adapter.step(NO_OP) for _ in range(6)]
    assert [step.last() for step in steps] == [False] * 5 + [True]
    assert [step.discount for step in steps] == [1.0] * 6


def test_termination_on_the_last_step_is_not_a_time_out():
    adapter = DmEnvAdapter(dream_jax.envs.make("bus", horizon=3), problem=0, instruction=(0, 0))
    adapter.reset()
    last = [adapter.step(action) for action in (UP, RIDE, DOWN)][-1]
    assert last.last() and last.discount == 0.0


def test_a_step_without_a_running_episode_begins_one():
    adapter = DmEnvAdapter(dream_jax.envs.make("bus"))
    assert adapter.problem is None
    assert adapter.step(END).step_type is dm_env.StepType.FIRST  # before the first reset
    assert adapter.step(END).step_type is dm_env.StepType.LAST
    begun = adapter.step("ignored")
    assert begun.step_type is dm_env.StepType.FIRST
    np.testing.assert_array_equal(begun.observation["observation"], [4, 4, 0])
    assert adapter.step(NO_OP).step_type is dm_env.StepType.MID


@pytest.mark.parametrize("split", ["train", "test"])
def test_problems_are_drawn_from_the_split(split):
    env = dream_jax.envs.make("distracting_bus")
    adapter = DmEnvAdapter(env, split=split)
    seen = set()
    for _ in range(100):
        adapter.reset()
        seen.add(adapter.problem)
    assert seen <= set(env.problem_ids(split).tolist())
    # 100 uniform draws from 53 ids show 53 (1 - (52/53)^100) = 45 of them on average, sd 2.2.
    assert len(seen) > 35


def test_instructions_are_drawn_for_the_problem():
    env = dream_jax.envs.make("cooking")
    adapter = DmEnvAdapter(env)
    shown = set()
    for _ in range(60):
        instruction = tuple(adapter.reset().observation["instruction"].tolist())
        assert instruction in map(tuple, env.instructions(adapter.problem).tolist())
        shown.add(instruction)
    assert len(shown) > 8  # of 16 recipes


def test_the_instruction_stays_and_is_the_one_that_pays():
    adapter = DmEnvAdapter(dream_jax.envs.make("cooking"), problem=10, seed=3)
    # Problem 10 = 2 + 2 * 4: the fridges hold 2, 2, 0, so that the middle one has a 2.
    paid = {}
    for _ in range(20):
        shown = tuple(adapter.reset().observation["instruction"].tolist())
        steps = [adapter.step(action) for action in (RIGHT, PICK_UP)]
        assert [tuple(s.observation["instruction"].tolist()) for s in steps] == [shown] * 2
        paid[shown] = float(steps[-1].reward)
    assert paid == pytest.approx({(2, 2): 0.25, (2, 0): 0.25, (0, 2): -0.35, (0, 0): -0.35})


def test_a_fixed_problem_and_instruction_stay():
    env = dream_jax.envs.make("map")
    adapter = DmEnvAdapter(env, problem=17, instruction=(8, 0))
    for _ in range(5):
        first = adapter.reset()
        assert adapter.problem == 17
        np.testing.assert_array_equal(first.observation["instruction"], [8, 0])
        for action in (RIGHT, RIGHT, RIGHT, DOWN):
            now = adapter.step(action)
        np.testing.assert_array_equal(now.observation["observation"], [7, 3, 0, 18])


def test_a_fixed_instruction_restricts_the_problems_to_those_that_have_it():
    env = dream_jax.envs.make("cooking")
    adapter = DmEnvAdapter(env, instruction=[3, 3])
    seen = set()
    for _ in range(40):
        np.testing.assert_array_equal(adapter.reset().observation["instruction"], [3, 3])
        seen.add(adapter.problem)
    assert len(seen) > 10  # of 64 - 27 = 37
    for problem in seen:
        assert 3 in (problem % 4, problem // 4 % 4, problem // 16)


def test_the_seed_decides_everything_but_the_actions():
    def episodes(seed):
        adapter = DmEnvAdapter(dream_jax.envs.make("cooking"), seed=seed)
        firsts = [adapter.reset() for _ in range(8)]
        return [first.observation["instruction"].tolist() for first in firsts], adapter.problem

    assert episodes(0) == episodes(0)
    assert episodes(0) != episodes(1)


def test_an_observation_is_the_callers_to_change():
    adapter = DmEnvAdapter(dream_jax.envs.make("bus"), instruction=(8, 8))
    first = adapter.reset().observation
    first["observation"][:] = 0
    first["instruction"][:] = 0
    now = adapter.step(NO_OP).observation
    np.testing.assert_array_equal(now["observation"], [4, 4, 0])
    np.testing.assert_array_equal(now["instruction"], [8, 8])


def test_the_state_can_be_rendered():
    env = dream_jax.envs.make("bus")
    adapter = DmEnvAdapter(env, problem=0)
    adapter.reset()
    adapter.step(LEFT)
    assert env.render_text(adapter.state).splitlines()[4].split()[3] == "@"  # (3, 4), y upwards


def test_functions_are_traced_once():
    class Counting(PixelProbe):
        reset = chex.assert_max_traces(PixelProbe.reset, n=1)
        step = chex.assert_max_traces(PixelProbe.step, n=1)

    chex.clear_trace_counter()
    adapter = DmEnvAdapter(Counting())
    for _ in range(2):
        adapter.reset()
        for action in (0, np.int64(1), np.array(1), jnp.int32(2)):
            now = adapter.step(action)
        assert now.last()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "validation"}, "unknown split 'validation'; valid: train, test"),
        ({"problem": 24}, r"problem 24 is not an id; valid: 0 \.\. 23"),
        ({"problem": -1}, r"problem -1 is not an id; valid: 0 \.\. 23"),
        ({"problem": 1.5}, r"problem 1\.5 is not an id; valid: 0 \.\. 23"),
        ({"instruction": (4, 4)}, r"instruction \(4, 4\) belongs to none .* problem 0: \(0, 0\)"),
        ({"instruction": (0,)}, r"instruction \(0,\) belongs to none"),
        ({"instruction": 3}, r"instruction \(3,\) belongs to none"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        DmEnvAdapter(dream_jax.envs.make("bus"), **options)


def test_an_instruction_the_fixed_problem_lacks_is_refused():
    with pytest.raises(ValueError, match=r"instruction \(3, 3\) belongs to none .* problem 10: "):
        DmEnvAdapter(dream_jax.envs.make("cooking"), problem=10, instruction=(3, 3))


@pytest.mark.parametrize("action", [9, -1, 2.0, "up", None, np.array([1, 2])])
def test_bad_actions_are_refused(action):
    adapter = DmEnvAdapter(dream_jax.envs.make("bus"))
    adapter.reset()
    with pytest.raises(ValueError, match=r"is not an action; valid: 0 \.\. 8") as refusal:
        adapter.step(action)
    assert repr(action) in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert adapter.step(UP).mid()  # the episode is still running
