"""The adapter around Miniworld, with a stand-in for what needs OpenGL."""

import sys
import types

import numpy as np
import pytest
from absl.testing import absltest
from dm_env import test_utils

from dream_jax.envs.sign3d import miniworld_adapter
from dream_jax.envs.sign3d.miniworld_adapter import MiniworldSign, MiniworldUnavailable

LEFT, RIGHT, FORWARD, END = range(4)


class StandIn:
    """What the adapter uses of Miniworld's Sign: 3 ends, 2 pays -1 and ends, a time-out."""

    def __init__(self, max_episode_steps):
        self.max_episode_steps = max_episode_steps
        self.closed = False
        self.agent = types.SimpleNamespace(pos=np.zeros(3), dir=0.5)
        thing = types.SimpleNamespace(dir=0.25)
        self._objects = [(thing,) * 3, (thing,) * 3]
        self.seeds = []

    def set_color_index(self, index):
        self.colour = index

    def reset(self, seed):
        self.seeds.append(seed)
        self.steps = 0

    def render_obs(self):
        return np.full((60, 80, 3), self.steps, np.uint8)

    def step(self, action):
        self.steps += 1
        late = self.steps >= self.max_episode_steps
        shown = {"obs": self.render_obs(), "goal": self._goal}
        return shown, -1.0 * (action == FORWARD), action >= FORWARD, late, {}

    def close(self):
        self.closed = True


@pytest.fixture
def stand_in(monkeypatch):
    monkeypatch.setattr(miniworld_adapter, "_make", StandIn)


class ConformanceTest(test_utils.EnvironmentTestMixin, absltest.TestCase):
    def make_object_under_test(self):
        original = miniworld_adapter._make
        miniworld_adapter._make = StandIn
        self.addCleanup(setattr, miniworld_adapter, "_make", original)
        return MiniworldSign()

    def make_action_sequence(self):
        return iter([*([LEFT] * 30), FORWARD, END, *([RIGHT] * 25)])


def test_an_end_has_discount_0_and_a_time_out_1(stand_in):
    env = MiniworldSign(horizon=2)
    assert env.problem is None
    assert env.step(LEFT).first()  # nothing was running
    middle, last = env.step(LEFT), env.step(LEFT)
    assert middle.mid() and last.last() and last.discount == 1.0
    env.reset()
    last = env.step(FORWARD)
    assert last.last() and (last.reward, last.discount) == (-1.0, 0.0)


def test_a_chosen_task_and_the_start_region(stand_in):
    env = MiniworldSign(seed=1)
    first = env.begin(2, [1])
    assert env.problem == 2 and first.observation["instruction"].tolist() == [1]
    places = []
    for _ in range(50):
        env.reset()
        scene, pose = env.view()
        places.append(pose.position)
        assert scene.colour == env.problem
    low, high = np.min(places, axis=0), np.max(places, axis=0)
    assert (low >= np.float32([4.4, 4.4])).all() and (high <= np.float32([4.6, 5.6])).all()
    assert high[1] - low[1] > 0.8
    with pytest.raises(ValueError, match=r"no such task: problem 3, instruction \[0\]"):
        env.begin(3, [0])


def test_the_seed_decides_the_episodes(stand_in):
    def episodes(seed):
        env = MiniworldSign(seed=seed)
        tasks = [(env.reset().observation["instruction"][0], env.problem) for _ in range(6)]
        return tasks, env._env.seeds

    assert episodes(0) == episodes(0)
    assert episodes(0) != episodes(1)


def test_bad_options_are_refused(stand_in):
    with pytest.raises(ValueError, match="unknown start region 'moon'; valid: authors, farama"):
        MiniworldSign(start_region="moon")
    env = MiniworldSign()
    env.reset()
    with pytest.raises(ValueError, match=r"action 4 is not an action; valid: 0 \.\. 3"):
        env.step(4)


def test_without_the_package_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyglet", None)
    with pytest.raises(MiniworldUnavailable, match=r"pip install miniworld==2\.1\.0") as error:
        MiniworldSign()
    assert "\n" not in str(error.value)


def test_without_opengl_the_message_says_so(monkeypatch):
    def broken(**options):
        raise OSError('Library "GL" not found.\nAsk your\nadministrator.')

    pyglet = types.ModuleType("pyglet")
    pyglet.options = {}
    sign = types.ModuleType("miniworld.envs.sign")
    sign.Sign = broken
    monkeypatch.delenv("DISPLAY", raising=False)
    for name, module in [
        ("pyglet", pyglet),
        ("miniworld", types.ModuleType("miniworld")),
        ("miniworld.envs", types.ModuleType("miniworld.envs")),
        ("miniworld.envs.sign", sign),
    ]:
        monkeypatch.setitem(sys.modules, name, module)
    with pytest.raises(MiniworldUnavailable, match=r'cannot open OpenGL .*"GL" not found') as error:
        MiniworldSign()
    assert "apt-get install" in str(error.value) and "\n" not in str(error.value)
    assert pyglet.options == {"headless": True}
