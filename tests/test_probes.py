"""The probes themselves."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import probes


@pytest.mark.parametrize(
    ("probe", "problem", "instruction", "actions", "observations", "rewards", "end"),
    [
        (probes.OneStep, 0, (1,), [1], [[0]], [1], "terminated"),
        (probes.OneStep, 0, (1,), [0], [[0]], [0], "terminated"),
        (probes.OneStep, 0, (1,), [2], [[0]], [0], "terminated"),
        (probes.Delayed, 0, (1,), [1, 0], [[1], [1]], [0, 1], "terminated"),
        (probes.Delayed, 0, (0,), [1, 0], [[2], [2]], [0, 0], "terminated"),
        (probes.Delayed, 0, (0,), [0, 2], [[1], [1]], [0, 0], "terminated"),
        (probes.Signpost, 2, (0,), [3, 2], [[0, 3], [0, 0]], [0, 1], "terminated"),
        (probes.Signpost, 2, (1,), [0], [[0, 0]], [1], "terminated"),
        (probes.Signpost, 2, (1,), [2], [[0, 0]], [0], "terminated"),
        (probes.Signpost, 0, (1,), [3, 3], [[0, 1], [0, 1]], [0, 0], "truncated"),
        (probes.Described, 1, (1,), [3, 2], [[0, 2], [0, 0]], [0, 1], "terminated"),
        (probes.Silent, 1, (), [3, 1], [[0, 2], [0, 0]], [0, 1], "terminated"),
        (probes.Silent, 1, (), [3, 4], [[0, 2], [0, 2]], [0, 0], "terminated"),
        (probes.Corridor, 0, (1,), [1, 1], [[3], [4]], [-0.1, 1], "terminated"),
        (probes.Corridor, 1, (1,), [1, 1], [[1], [0]], [-0.1, -0.1], None),
        (probes.Corridor, 1, (1,), [2] * 4, [[2]] * 4, [-0.1] * 4, "truncated"),
        (probes.Corridor, 1, (0,), [0, 2, 1, 3], [[3], [3], [2], [2]], [-0.1] * 3 + [0], "end"),
    ],
)
def test_probes_are_what_they_say(probe, problem, instruction, actions, observations, rewards, end):
    env = probe()
    assert list(instruction) in env.instructions(problem).tolist()
    state, first = env.reset(None, jnp.int32(problem), jnp.array(instruction, jnp.int32))
    assert first.observation.tolist() == [env.start] + [0] * (len(env.observation_sizes) - 1)
    _, steps = jax.lax.scan(env.step, state, jnp.array(actions))
    assert steps.observation.tolist() == observations
    np.testing.assert_allclose(steps.reward, np.array(rewards, np.float32))
    assert not (steps.terminated | steps.truncated)[:-1].any()
    terminated, truncated = bool(steps.terminated[-1]), bool(steps.truncated[-1])
    assert (terminated, truncated) == (end in ("terminated", "end"), end == "truncated")
