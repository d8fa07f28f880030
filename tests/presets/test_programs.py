"""Every preset can be traced, and takes steps."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dream_jax import envs, presets, validation
from dream_jax.training import setup
from tests.presets.kinds import ANALYTIC, TRAINED
from tests.settings import message
from tests.tiers import quick


def small_trainer(benchmark, preset):
    config = presets.smoke(presets.get(benchmark, preset))
    env = envs.make(benchmark, horizon=config.env.horizon)
    return setup.make_trainer(validation.validate(config, env.num_actions), env)


# Those that no whole run of tests/runs/test_files.py is of, each on a benchmark of its own.
STEPS = {
    "dream_no_bottleneck": "distracting_bus",
    "dream_one_head": "distracting_bus",
    "dream_one_head_no_bottleneck": "distracting_bus",
    "random_exploration": "map",
    "dream_dynamics": "cooking",
    "dream_next_states": "distracting_bus",
    "dream_half_coupled": "distracting_bus",
    "dream_end_to_end": "map",
    "dream_with_rewards": "bus",
    "rl2": "map",
    "import": "cooking",
    "varibad": "map",
    "told": "bus",
    "never_explores": "map",
    "pearl": "cooking",
}
# These train no encoder, or no decoder, and leave it as it was.
PARTLY_TRAINED = ("dream_end_to_end", "never_explores")
WHOLE = {"dream": "bus", "dream_paper": "cooking", "e_rl2": "map"}
# `dream` with other numbers, and `e_rl2` with other rewards.
QUICK = dict(STEPS | WHOLE)
del (
    QUICK["dream_no_bottleneck"],
    QUICK["dream_one_head"],
    QUICK["dream_one_head_no_bottleneck"],
    QUICK["random_exploration"],
    QUICK["rl2"],
    QUICK["dream_half_coupled"],
)


REFUSED = {("dream_next_states", "sign")}  # pictures


def test_an_agent_refuses_worlds_that_it_cannot_learn():
    found = message(small_trainer, "sign", "dream_next_states")
    assert found.startswith("agent='dream_next_states' predicts integer observations, and sign has")


@pytest.mark.parametrize(
    "preset, benchmark",
    quick(
        [p for p in itertools.product(TRAINED, envs.BENCHMARKS) if p not in REFUSED], *QUICK.items()
    ),
)
def test_every_preset_can_be_traced(preset, benchmark):
    trainer = small_trainer(benchmark, preset)
    state = jax.eval_shape(trainer.init, jax.ShapeDtypeStruct((), jnp.int32))
    after, losses = jax.eval_shape(trainer.iterate, state)
    # What goes in comes out: a state of the same shapes, or a scan over it would not compile.
    assert jax.tree.structure(after) == jax.tree.structure(state)
    same = jax.tree.map(lambda a, b: (a.shape, a.dtype) == (b.shape, b.dtype), after, state)
    assert all(jax.tree.leaves(same))
    assert losses
    assert all(loss.shape == () for loss in losses.values())


@pytest.mark.slow
@pytest.mark.parametrize("preset", STEPS)
def test_other_presets_take_steps(preset):
    trainer = small_trainer(STEPS[preset], preset)

    @jax.jit
    def run(seed):
        state = trainer.init(seed)
        return state, *jax.lax.scan(lambda s, _: trainer.iterate(s), state, length=3)

    before, state, losses = run(jnp.int32(0))
    assert int(state.trials) == 24
    assert {name.removeprefix("loss_") for name in losses} == set(trainer.agent.loss_names)
    assert all(np.all(np.isfinite(loss)) for loss in losses.values())
    for name, learner in trainer.agent.learners._asdict().items():
        # 2 in each iteration: from 8 trials on for exploitation, from 16 on for exploration; none
        # where exploration is not learned.
        expected = {8: 6, 16: 4}[learner.warmup_trials] if learner.learns else 0
        now, was = getattr(state.learners, name), getattr(before.learners, name)
        assert int(now.updates) == expected
        same = jax.tree.leaves(jax.tree.map(np.array_equal, now.params, was.params))
        changed = not all(same) if preset in PARTLY_TRAINED else not any(same)
        assert changed if expected else all(same), name
    assert all(x.learns for x in trainer.agent.learners) == (preset != "random_exploration")


@pytest.mark.parametrize(
    "preset", quick(["e_rl2", "import", "varibad", "dream_end_to_end"], "varibad")
)
def test_presets_for_pictures_can_be_traced(preset):
    trainer = small_trainer("sign", preset)
    state = jax.eval_shape(trainer.init, jax.ShapeDtypeStruct((), jnp.int32))
    losses = jax.eval_shape(trainer.losses, state)
    assert losses.keys() == set(trainer.agent.loss_names)
    assert "state_decoder" not in losses  # pictures are not decoded


def test_presets_on_the_list_are_all_run():
    assert set(WHOLE) | set(STEPS) | set(ANALYTIC) == set(presets.names())
