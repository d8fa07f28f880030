"""The PyTorch baseline: its environments, replay, rollouts and schedules against the library's."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

torch = pytest.importorskip("torch", reason="needs the extra `torch`: pip install -e '.[torch]'")

from benchmarks.torch_baseline import envs as torch_envs  # noqa: E402
from benchmarks.torch_baseline import train as torch_train  # noqa: E402
from benchmarks.torch_baseline.agent import time_fraction  # noqa: E402
from benchmarks.torch_baseline.memory import linear_recurrence, make_memory  # noqa: E402
from benchmarks.torch_baseline.replay import Replay  # noqa: E402
from benchmarks.torch_baseline.train import LEARNERS, Trainer  # noqa: E402
from dream_jax import config as configs  # noqa: E402
from dream_jax import envs, presets  # noqa: E402
from dream_jax.agents import dream, exploration_noise  # noqa: E402
from dream_jax.config import ActingConfig, TdConfig, TrialConfig  # noqa: E402
from dream_jax.training import setup  # noqa: E402

BENCHMARKS = ("cooking", "distracting_bus")
CASES = [(b, p) for b in BENCHMARKS for p in ("dream", "dream_paper")]


@functools.cache
def small_trainer(benchmark, preset):
    return Trainer(presets.smoke(presets.get(benchmark, preset)), seed=0)


# Environments


def varied_actions(rng, count):
    """Random ones that seldom end the episode; for a quarter, first the way to cook from fridge 1,
    twice: it finishes one recipe in nine or more."""
    weights = np.array([4, 3, 4, 3, 1, 3, 0.3, 5, 4])
    actions = rng.choice(9, (20, count), p=weights / weights.sum())
    actions[:8, : count // 4] = np.array([2, 7, 0, 8, 2, 7, 0, 8])[:, None]
    return actions


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_environments_step_as_the_library_s(benchmark):
    count, rng = 2_000, np.random.default_rng(0)
    ours, batched = envs.make(benchmark), torch_envs.make(benchmark, 20)
    problem = rng.integers(0, ours.num_problems, count)
    instruction = batched.sample_instructions(rng, problem)
    actions = varied_actions(rng, count)

    @jax.jit
    @jax.vmap
    def roll(problem, instruction, actions):
        state, first = ours.reset(jax.random.key(0), problem, instruction)
        _, steps = jax.lax.scan(ours.step, state, actions)
        return first.observation, steps

    first, steps = roll(problem, instruction, actions.T)
    alive, finished = np.ones(count, bool), 0
    np.testing.assert_array_equal(batched.reset(problem, instruction), first)
    for t in range(20):
        observation, reward, terminated, truncated = batched.step(actions[t])
        for mine, theirs in (
            (observation, steps.observation),
            (terminated, steps.terminated),
            (truncated, steps.truncated),
        ):
            np.testing.assert_array_equal(mine[alive], np.asarray(theirs)[alive, t])
        np.testing.assert_allclose(reward[alive], np.asarray(steps.reward)[alive, t], rtol=1e-6)
        finished += np.sum(alive & terminated & (actions[t] != torch_envs.END))
        alive &= ~(terminated | truncated)
    assert finished > 5  # goals were reached, not only time-outs and ends
    assert not alive.any()


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_environments_are_described_as_the_library_s(benchmark):
    ours, batched = envs.make(benchmark), torch_envs.make(benchmark, 20)
    for name in ("observation_sizes", "instruction_sizes", "num_problems", "num_actions"):
        assert getattr(batched, name) == getattr(ours, name)
    np.testing.assert_array_equal(batched.train_ids, ours.problem_ids("train"))
    rng = np.random.default_rng(0)
    for problem in batched.train_ids[:5]:
        drawn = batched.sample_instructions(rng, np.full(500, problem))
        assert {tuple(i) for i in drawn} == {tuple(i) for i in ours.instructions(int(problem))}


# Networks


@pytest.mark.parametrize("kind", ["lstm", "mingru", "none"])
def test_one_step_at_a_time_is_the_sequence(kind):
    torch.manual_seed(0)
    memory, xs = make_memory(kind, 5, 7), torch.randn(6, 3, 5)
    carry, steps = memory.initial(3) if kind != "none" else (), []
    for x in xs:
        carry, h = memory.step(carry, x)
        steps.append(h)
    torch.testing.assert_close(torch.stack(steps), memory(xs), rtol=1e-5, atol=1e-6)


def test_gradients_of_the_linear_recurrence():
    torch.manual_seed(0)
    inputs = [torch.rand(5, 2, 3, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    assert torch.autograd.gradcheck(linear_recurrence, inputs)


@pytest.mark.parametrize("preset", ["dream", "dream_paper"])
def test_policies_act_by_the_values_they_learn(preset):
    """Step by step, with the previous action and the time of each, as over the whole sequence."""
    trainer = small_trainer("cooking", preset)
    trials = trainer.collector.trials(np.zeros(4), np.zeros(4), np.zeros(4, bool))
    agent, steps = trainer.agent, trials.exploration
    start = torch.full((1, 4), 9)
    with torch.no_grad():
        previous = torch.cat([start, steps.action])
        q = agent.explore(steps.observation, previous, time_fraction(20))
    greedy = q.argmax(-1)[:-1]
    assert (greedy == steps.action)[steps.mask].all()


# Replay and rollouts


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_padding_repeats_and_is_masked(benchmark):
    trainer = small_trainer(benchmark, "dream_paper")
    trials = trainer.collector.trials(np.ones(64), np.ones(64), np.arange(64) % 2 == 0)
    for e in (trials.exploration, trials.exploitation):
        steps = e.mask.sum(0)
        assert (steps >= 1).all() and len(set(steps.tolist())) > 3
        for b, n in enumerate(steps.tolist()):
            assert e.mask[:n, b].all() and not e.mask[n:, b].any()
            assert (e.observation[n:, b] == e.observation[n, b]).all()
            assert (e.reward[n:, b] == 0).all()
            ends = (e.terminated | e.truncated)[:, b]
            assert ends.nonzero().flatten().tolist() == [n - 1]
    assert (trials.exploitation.reward != 0).any()


def test_replay_returns_what_was_added_last():
    trainer = small_trainer("cooking", "dream")
    ring, added = Replay(32), []
    for _ in range(5):  # 40 trials over 32 places
        trials = trainer.collector.trials(np.ones(8), np.ones(8), np.arange(8) % 2 == 0)
        ring.add(trials)
        added += rows(trials)
    sample = rows(ring.sample(500))
    assert set(sample) == set(added[8:])
    assert ring.size_bytes < 32 * 1_000


def rows(trials):
    """Each trial as bytes."""

    def one(b):
        parts = [x[:, b] for x in (*trials.exploration, *trials.exploitation)]
        parts += [trials.problem[b], trials.acts_on_exploration[b], trials.instruction[b]]
        return b"".join(np.ascontiguousarray(p).tobytes() for p in parts)

    return [one(b) for b in range(len(trials.problem))]


def test_replay_refuses_numbers_that_do_not_fit():
    trials = small_trainer("cooking", "dream").collector.trials(*np.ones((2, 8)), np.ones(8, bool))
    with pytest.raises(ValueError, match="must divide the capacity, 12"):
        Replay(12).add(trials)


# Schedules


@pytest.mark.parametrize(("benchmark", "preset"), CASES)
def test_schedules_are_the_library_s(benchmark, preset):
    config = presets.get(benchmark, preset)
    total = torch_train.total_updates(config)
    assert total == setup.total_updates(config)
    c = config.optimizer
    expected = optax.linear_schedule(
        c.learning_rate,
        c.learning_rate * c.final_learning_rate_fraction,
        max(round((1.0 - c.hold_fraction) * total), 1),
        transition_begin=round(c.hold_fraction * total),
    )
    learner = Trainer(presets.smoke(config)).learners["exploration"]
    learner.total_updates = total
    for learner.updates in (0, total // 2, int(0.9 * total), total, 2 * total):
        assert learner.learning_rate() == pytest.approx(float(expected(learner.updates)), rel=1e-5)


@pytest.mark.parametrize("kind", ["ladder", "linear"])
def test_epsilons_are_the_library_s(kind):
    acting = ActingConfig(epsilon=kind, epsilon_decay_steps=100)
    for steps in (0, 30, 100, 500):
        np.testing.assert_allclose(
            torch_train.epsilons(acting, steps, 5),
            exploration_noise.epsilons(acting, jnp.asarray(steps), 5),
            rtol=1e-5,
        )


def test_environment_steps_pay_for_updates():
    trainer = Trainer(presets.smoke(presets.get("cooking", "dream_paper")))
    warmups, paid = {"exploitation": 8, "exploration": 16}, dict.fromkeys(LEARNERS, 0)
    for _ in range(6):
        before = dict(trainer.steps)
        trainer.iterate()
        for name in LEARNERS:
            if trainer.trials >= warmups[name]:
                paid[name] += trainer.steps[name] - before[name]
    assert {n: trainer.learners[n].updates for n in LEARNERS} == {n: paid[n] // 4 for n in paid}
    assert min(paid.values()) > 4 and paid["exploration"] < trainer.steps["exploration"]


def test_fixed_updates_an_iteration_after_warm_up():
    trainer = Trainer(presets.smoke(presets.get("cooking", "dream")))
    for _ in range(3):
        trainer.iterate()
    # Two an iteration; warm-up is 8 trials, then 16, of 8 an iteration.
    assert [trainer.learners[n].updates for n in LEARNERS] == [6, 4]


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_folds_are_the_library_s(benchmark):
    config = configs.override(presets.get(benchmark, "dream"), {"losses.decoder_folds": "4"})
    trainer, agent = Trainer(presets.smoke(config)), dream.Dream(config, envs.make(benchmark))
    own, others = jax.vmap(agent._heads_of)(jnp.arange(agent.env.num_problems))
    np.testing.assert_array_equal(trainer.agent.own_head, own)
    np.testing.assert_allclose(trainer.agent.other_heads, others)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trial": TrialConfig(exploration_episodes=2)}, "one exploration"),
        ({"trial": TrialConfig(rewards_in_exploration=True)}, "hides rewards"),
        ({"acting": ActingConfig(random_exploration=True)}, "learns to explore"),
        ({"agent": "import"}, "no agent 'import'"),
        ({"benchmark": "map"}, "no PyTorch baseline for 'map'; valid: cooking, distracting_bus"),
    ],
)
def test_what_it_cannot_do_it_refuses(changes, message):
    with pytest.raises(ValueError, match=message):
        Trainer(configs.Config(**changes))


def test_losses_fall_on_a_batch_seen_again_and_again():
    config = presets.smoke(presets.get("cooking", "dream"))
    assert config.td != TdConfig()  # the tuned ones
    trainer = Trainer(config, seed=0)
    batch = trainer.collector.trials(np.ones(16), np.ones(16), np.arange(16) % 2 == 0)
    noise = torch.zeros(16, config.networks.z_size)
    first = trainer.update_from(batch, noise)
    for _ in range(150):
        last = trainer.update_from(batch, noise)
    assert last["exploitation_td"] < 0.3 * first["exploitation_td"]
