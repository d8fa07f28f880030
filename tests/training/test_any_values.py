"""Every agent trains on a family whose observations, instructions and ids are of every kind."""

import jax
import numpy as np
import pytest

from dream_jax import api, envs
from dream_jax.agents import registry
from dream_jax.config import Config, TrialConfig
from dream_jax.networks.values import Moments
from dream_jax.training import statistics
from tests.envs.adapters import family_cases

TINY = {
    "training.trials": 16,
    "training.trials_per_iteration": 8,
    "training.evaluation_period_trials": 16,
    "training.evaluation_trials": 4,
    "training.final_evaluation_trials": 4,
    "training.updates_per_iteration": 2,
    "replay.capacity_trials": 16,
    "replay.batch_trials": 4,
    "replay.warmup_trials_exploitation": 8,
    "replay.warmup_trials_exploration": 8,
}


def trained(name: str, preset: str = "dream", **more):
    return api.train(
        f"{family_cases.__name__}:{name}", preset, overrides=TINY | more, verbose=False
    )


def test_statistics_of_numbers_are_in_the_networks():
    run = trained("Mixed")
    assert np.isfinite(run.rows[-1]["loss_exploitation_td"])
    variables = run.agent().params.exploration["statistics"]["observation"]
    found = variables["observation_moments"]["meter"]
    # A third of the readings are about 0, 100 or 200, all others about -50.
    assert -50 < found.mean[0] < 100 and found.deviation[0] > 10
    encoder = run.agent().params.exploitation.encoder["statistics"]
    (moments,) = jax.tree.leaves(encoder, is_leaf=lambda x: hasattr(x, "deviation"))
    assert 0 < moments.mean[0] < 2
    record = run.agent().trial(problem=7)
    assert record.exploration.observation["meter"].dtype == np.float32


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, preset",
    [("Listed", "dream_paper"), ("Drawn", "e_rl2"), ("Mixed", "import"), ("Mixed", "varibad")],
)
def test_every_agent_takes_every_kind(name, preset):
    run = trained(name, preset)
    losses = {k: v for k, v in run.rows[-1].items() if k.startswith("loss_")}
    assert losses and np.isfinite(list(losses.values())).all()
    assert np.isfinite(run.summary["splits"]["test"]["return_mean"])
    assert run.agent().trial(problem=7).text()


def test_an_agent_that_sees_instructions_while_exploring_takes_a_dict_of_them():
    env = envs.make(f"{family_cases.__name__}:Mixed", horizon=4)
    agent = registry.make(
        Config(agent="e_rl2", trial=TrialConfig(instruction_in_exploration=True)), env
    )
    zero, no = np.float32(0), np.bool_(False)
    params = jax.eval_shape(agent.init, jax.random.key(0))
    trial = jax.eval_shape(agent.collect, params, jax.random.key(1), zero, zero, no)
    assert sorted(trial.exploration.instruction) == ["amount", "say"]


def test_running_statistics_are_those_of_all_values():
    env = family_cases.Mixed(4)
    state = statistics.init(env)
    assert sorted(state) == ["descriptor", "observation"]
    x = np.random.default_rng(0).normal(3.0, 2.0, (2, 5, 7, 2)).astype(np.float32)
    mask = np.random.default_rng(1).random((2, 5, 7)) < 0.7
    running = state["observation"]["meter"]
    for part, there in zip(x, mask, strict=True):
        poisoned = np.where(there[..., None], part, np.nan)  # padding does not count
        running = statistics._merged(running, poisoned, there)
    seen = x[mask]
    moments = statistics._moments(running)
    np.testing.assert_allclose(moments.mean, seen.mean(0), rtol=1e-5)
    np.testing.assert_allclose(moments.deviation, seen.std(0), rtol=1e-4)


@pytest.mark.slow
def test_statistics_carry_over_to_a_run_that_begins_with_these_parameters(tmp_path):
    still = {"optimizer.learning_rate": 1e-9}
    file = tmp_path / "agent.npz"
    trained("Mixed", **still).agent().save(file)
    alone = trained("Listed", **still)
    after = api.train(
        f"{family_cases.__name__}:Listed",
        "dream",
        overrides=TINY | still,
        init_from=file,
        verbose=False,
    )

    def mean(agent):
        encoder = agent.params.exploitation.encoder["statistics"]
        (moments,) = jax.tree.leaves(encoder, is_leaf=lambda x: isinstance(x, Moments))
        return moments.mean[0]

    first = mean(api.load(file))
    # As many trials again: half way from those of the first run to those that this one saw.
    assert mean(after.agent()) == pytest.approx((first + mean(alone.agent())) / 2, rel=1e-4)
    assert mean(after.agent()) != mean(alone.agent())


def test_statistics_of_parameters_are_those_that_training_had():
    env = family_cases.Mixed(4)
    fresh = jax.tree.map(lambda x: np.stack([x, x]), statistics.init(env))
    moments = Moments(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[0.5, 1.0], [2.0, 3.0]]))
    right = Moments(np.array([[1.0], [1.5]]), np.ones((2, 1)))
    params = (
        {"params": {}, "statistics": {"embedding": {"observation_moments": {"meter": moments}}}},
        {"statistics": {"descriptor_moments": {"right": right}}},
    )
    found = statistics.of_params(fresh, params, {"observation": 100, "descriptor": 9})
    again = jax.vmap(statistics._moments)(found["observation"]["meter"])
    np.testing.assert_allclose(again.mean, moments.mean)
    np.testing.assert_allclose(again.deviation, moments.deviation, rtol=1e-6)
    # They count as 100 values: 100 others of mean 0 halve the mean.
    first = jax.tree.map(lambda x: x[0], found["observation"]["meter"])
    merged = statistics._merged(first, np.zeros((100, 2), np.float32), np.ones(100, bool))
    np.testing.assert_allclose(merged.mean, moments.mean[0] / 2)


def test_weights_decay_but_statistics_do_not():
    params = {"params": {"w": np.ones(2)}, "statistics": {"observation": {"x": np.ones(1)}}}
    assert statistics.trained(params) == {
        "params": {"w": True},
        "statistics": {"observation": {"x": False}},
    }
