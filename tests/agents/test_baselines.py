"""Each baseline solves a probe that it must solve."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dream_jax import config as configs
from dream_jax import validation
from dream_jax.agents import exploration_noise
from dream_jax.agents import trial_sequence as streams
from dream_jax.config import Config
from dream_jax.training import evaluation as evaluate
from dream_jax.training import setup
from dream_jax.training import trainer as train
from dream_jax.types import Trial
from tests import probes

SMALL = {
    "networks.hidden_size": "32",
    "networks.head_size": "32",
    "networks.decoder_memory_size": "32",
    "networks.z_size": "8",
    "end_to_end.latent_size": "4",
    "optimizer.learning_rate": "3e-3",
    "td.target_update_period_updates": "20",
    "replay.capacity_trials": "1024",
    "replay.warmup_trials_exploitation": "64",
    "replay.warmup_trials_exploration": "64",
    "training.trials": "1280",
    "training.trials_per_iteration": "32",
    "training.updates_per_iteration": "16",
    "training.evaluation_period_trials": "1280",
}
LONGER = {"training.trials": "2560"}


def learn(agent, env, **changes):
    """(agent, parameters, evaluation on all problems) after training."""
    config = configs.override(Config(agent=agent), SMALL | changes)
    trainer = setup.make_trainer(validation.validate(config, env.num_actions), env)
    iterations = config.training.trials // config.training.trials_per_iteration

    @jax.jit
    def run(seed):
        state, losses = jax.lax.scan(
            lambda state, _: trainer.iterate(state), trainer.init(seed), length=iterations
        )
        params = train.newest_params(state)
        trials = evaluate.trial_set(env, "test", 12, 1, cover=True)
        return params, losses, evaluate.evaluate(trainer.agent, params, jax.random.key(0), trials)

    params, losses, evaluation = jax.device_get(run(jnp.int32(0)))
    assert all(np.all(np.isfinite(loss)) for loss in losses.values())
    return trainer.agent, params, evaluation


def test_every_pair_of_epsilons_is_acted_on():
    """A quarter of the actors each: greedy or random while exploring, and while exploiting."""
    high = np.arange(128) >= 64
    paired = high[exploration_noise.pairing(128)]
    for explores, exploits in ((0, 0), (0, 1), (1, 0), (1, 1)):
        assert 28 <= np.sum((high == explores) & (paired == exploits)) <= 36
    assert sorted(exploration_noise.pairing(7)) == list(range(7))


@pytest.mark.slow
def test_e_rl2_remembers_what_it_tried():
    # Trying anything tells all; without memory of it, half of the trials are won.
    _, _, evaluation = learn("e_rl2", probes.Twin())
    assert evaluation.trial_return.mean() == 1.0


@pytest.mark.slow
@pytest.mark.parametrize("agent", ["e_rl2", "import", "varibad"])
def test_exploration_is_learned_from_what_it_is_worth_later(agent):
    _, _, evaluation = learn(agent, probes.Toll(), **LONGER)
    assert evaluation.trial_return.mean() == 1.0


@pytest.mark.slow
def test_it_is_not_if_values_end_with_exploration(monkeypatch):
    """The control: what teaches the above is the value of the first state of exploitation."""
    of_trial = streams.of_trial

    def cut(*args):
        stream = of_trial(*args)
        return stream._replace(discount=jnp.where(stream.exploring, 0.0, stream.discount))

    monkeypatch.setattr(streams, "of_trial", cut)
    _, _, evaluation = learn("e_rl2", probes.Toll(), **LONGER)
    assert evaluation.trial_return.mean() <= 0.7  # 0.5 by paying, 1/3 by guessing


@pytest.mark.slow
def test_predicting_next_states_tells_what_moves_mean():
    """Where the problem is what moves do, exploration finds out, and predicts exploitation."""
    usual_start = {"networks.encoder_init_scale": "1.0"}
    agent, params, evaluation = learn("dream_next_states", probes.Corridor(), **usual_start)
    # 0.9 is optimal. Trying a move in exploitation itself returns 0.8 on average.
    assert evaluation.trial_return.mean() > 0.82
    keys, yes = jax.random.split(jax.random.key(1), 16), jnp.ones((), bool)
    trials = jax.vmap(agent.collect, (None, 0, None, None, None))(params, keys, 0.0, 1.0, yes)
    found = jax.vmap(agent.log_likelihood, (None, 0, 0))(params, trials, trials.exploration)
    steps = trials.exploration.mask.sum(axis=1)
    gain = found[jnp.arange(16), steps] - found[:, 0]
    assert gain.min() > -0.1
    assert gain.mean() > 0.3


@pytest.mark.slow
def test_import_with_the_id_shown():
    # 3 problems and 2 instructions: knowing the instruction alone wins a third of the trials.
    _, _, evaluation = learn("import", probes.Signpost())
    assert evaluation.encoder_return.mean() >= 0.95


@pytest.mark.slow
def test_varibads_decoder_recovers_the_rewards():
    """From the belief after exploration: 1 for the action that pays, 0 for the other."""
    env = probes.Twin()
    agent, params, evaluation = learn("varibad", env)
    assert evaluation.trial_return.mean() == 1.0
    # Exploitation, taking action a in problem mu.
    errors = []
    for problem in range(2):
        for action in range(2):

            def decoded(params, problem=problem, action=action):
                test = agent.meta_test(
                    params, jax.random.key(0), jnp.int32(problem), jnp.zeros((1, 0), jnp.uint8)
                )
                state, _ = env.reset(jax.random.key(0), problem, jnp.zeros(0))
                seen = env.step(state, jnp.int32(action))[1].observation
                exploitation = test.exploitation._replace(
                    observation=test.exploitation.observation.at[0, 1].set(seen.astype(jnp.uint8)),
                    action=jnp.full_like(test.exploitation.action, action),
                )
                trial = Trial(
                    jnp.int32(problem),
                    test.exploration,
                    jnp.zeros((1, 0), jnp.uint8),
                    exploitation,
                    jnp.ones((), bool),
                )
                stream = agent.sequence(trial)
                # Slots: explored, done; exploited, done. The belief is that of the third.
                mean, _ = agent.belief(agent.remember(params, stream))
                reward, _ = agent.decode(params, stream, mean[2:3])
                return reward[0, 2]

            errors.append(abs(float(jax.jit(decoded)(params)) - (action == problem)))
    assert max(errors) < 0.2, errors
