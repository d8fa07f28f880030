"""The same weights, trials and noise through JAX and PyTorch: losses, gradients, one update.

The PyTorch losses were written from the paper, so these tests check both sides. Everything is
full size, as the presets have it.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra `torch`: pip install -e '.[torch]'")

from benchmarks.torch_baseline import convert  # noqa: E402
from benchmarks.torch_baseline import losses as torch_losses  # noqa: E402
from benchmarks.torch_baseline.train import Trainer  # noqa: E402
from dream_jax import config as configs  # noqa: E402
from dream_jax import envs, presets  # noqa: E402
from dream_jax.agents.dream import Dream  # noqa: E402
from dream_jax.agents.dream_networks import DreamParams  # noqa: E402
from dream_jax.training import learner  # noqa: E402
from dream_jax.types import Episode, Trial  # noqa: E402
from tests.agents.dream_case import batch_loss  # noqa: E402

CASES = [(b, p) for b in ("cooking", "distracting_bus") for p in ("dream", "dream_paper")]
BATCH = 32
# float32 has 6e-8 of relative precision; sums over 32 trials of 20 steps and over up to 256 inputs,
# in another order, lose one to two digits of it.
SINGLE = 1e-5
# Double precision, with a horizon of 16: times k / 16 are exact, where k / 20 in float32 is not. A
# few constants are float32 on one side only (a third, the weight of a fold's head): 3e-8.
DOUBLE = 1e-7
EXACT_HORIZON = 16


def case_config(benchmark, preset, **changes):
    """A preset with few actors and a short run, so that its schedules move."""
    assignments = {"training.trials_per_iteration": str(BATCH)} | changes
    return configs.override(presets.get(benchmark, preset), assignments)


def random_params(agent, seed) -> DreamParams:
    """Of the size that weights have, no bias zero, encodings on both sides of the clip."""
    rng = np.random.default_rng(seed)

    def draw(path, shape):
        scale = {"kernel": shape.shape[0] ** -0.5, "recurrent": shape.shape[0] ** -0.5}
        scale = scale.get(path[-1].key, 0.5 if len(shape.shape) == 2 else 0.1)
        return rng.normal(scale=scale, size=shape.shape).astype(np.float32)

    shapes = jax.eval_shape(agent.init, jax.random.key(0))
    params = jax.tree_util.tree_map_with_path(draw, shapes)
    encoder = params.exploitation.encoder["params"]
    table, output = encoder["IndexEmbedding_0"]["table"], encoder["Dense_0"]
    norms = np.linalg.norm(table @ output["kernel"] + output["bias"], axis=1)
    output["kernel"] *= np.float32(np.sqrt(10.0) / np.median(norms))
    return params


def named(config, params: DreamParams):
    e = params.exploitation
    return convert.named_weights(config, e.policy, e.encoder, e.decoder, params.exploration)


def trial_of(batch) -> Trial:
    """PyTorch's time-major batch as trials of the library: leaves [B, ...]."""

    def episode(e, exploit=False):
        arrays = [np.swapaxes(np.asarray(x), 0, 1) for x in e]
        arrays = [x.astype(np.uint8) if x.dtype == np.int64 else x for x in arrays]
        return Episode(*(x[:, None] if exploit else x for x in arrays))

    return Trial(
        np.asarray(batch.problem, np.int32),
        episode(batch.exploration),
        np.asarray(batch.instruction, np.uint8)[:, None],
        episode(batch.exploitation, exploit=True),
        np.asarray(batch.acts_on_exploration),
    )


@functools.cache
def case(benchmark, preset, horizon=20):
    """(config, JAX agent, parameters, target parameters, PyTorch trainer, trials, key)."""
    config = case_config(benchmark, preset, **{"env.horizon": str(horizon)})
    if horizon == EXACT_HORIZON and config.td.trace_lambda:
        config = configs.override(config, {"td.trace_lambda": "0.75"})  # exact in float32 too
    agent = Dream(config, envs.make(benchmark, horizon=horizon))
    params, target = random_params(agent, 0), random_params(agent, 1)
    trainer = Trainer(config, seed=0)
    convert.load(trainer.agent, named(config, params), named(config, target))
    half = np.full(BATCH, 0.5)
    trials = trainer.collector.trials(half, half, np.arange(BATCH) % 2 == 0)
    return config, agent, params, target, trainer, trials, jax.random.key(7)


def jax_side(case, dtype):
    """(parts, gradient by PyTorch name, noise)."""
    config, agent, params, target, _, trials, key = case
    cast = functools.partial(jax.tree.map, lambda x: jnp.asarray(x, dtype))
    loss = jax.jit(jax.value_and_grad(batch_loss(agent), has_aux=True))
    trials = trial_of(trials)
    count, exploring = config.exploration_batch_trials, None
    if count < BATCH:
        exploring = jax.tree.map(lambda x: x[:count], trials)
    (_, parts), gradient = loss(cast(params), cast(target), trials, key, exploring)
    shape = (config.networks.z_size,)
    noise = [jax.random.normal(k, shape, dtype) for k in jax.random.split(key, BATCH)]
    return parts, named(config, gradient), np.stack(noise)


def torch_side(case, dtype, noise):
    """(parts, gradient by name)."""
    _, _, _, _, trainer, trials, _ = case
    agent = trainer.agent.to(dtype)
    try:
        agent.zero_grad()
        total, parts = agent.batch_losses(trials, torch.from_numpy(noise))
        total.backward()
        gradient = {
            n: p.grad.numpy().copy() for n, p in agent.named_parameters() if p.requires_grad
        }
    finally:
        trainer.agent.to(torch.float32)
    return {name: part.item() for name, part in parts.items()}, gradient


def compare(case, jax_dtype, torch_dtype, tolerance):
    parts, gradient, noise = jax_side(case, jax_dtype)
    torch_parts, torch_gradient = torch_side(case, torch_dtype, noise)
    assert set(parts) == set(torch_parts) == set(Dream.loss_names)
    for name in Dream.loss_names:
        assert parts[name] == pytest.approx(torch_parts[name], rel=tolerance), name
        assert torch_parts[name] > 0
    assert set(gradient) == set(torch_gradient)
    for name, expected in torch_gradient.items():
        scale = np.abs(expected).max()
        assert scale > 0, name
        np.testing.assert_allclose(
            gradient[name], expected, rtol=0, atol=tolerance * scale, err_msg=name
        )


@pytest.mark.parametrize(("benchmark", "preset"), CASES)
def test_losses_and_gradients_are_equal(benchmark, preset):
    compare(case(benchmark, preset), jnp.float32, torch.float32, SINGLE)


@pytest.mark.parametrize(("benchmark", "preset"), CASES)
def test_they_are_equal_to_seven_digits_in_double_precision(benchmark, preset):
    prepared = case(benchmark, preset, EXACT_HORIZON)
    with jax.enable_x64(True):
        compare(prepared, jnp.float64, torch.float64, DOUBLE)


@pytest.mark.parametrize(("benchmark", "preset"), CASES)
def test_the_batch_takes_every_branch(benchmark, preset):
    config, _, _, _, trainer, trials, _ = case(benchmark, preset)
    assert len(set(trials.acts_on_exploration.tolist())) == 2
    both = (trials.exploration, trials.exploitation)
    assert not any(e.mask.all() for e in both)  # padding
    assert any(e.terminated.any() for e in both) and any(e.truncated.any() for e in both)
    if config.td.trace_lambda:  # traces that go on, and that are cut
        z, time = trainer.agent.encoder(trials.problem), torch.arange(21.0)[:, None] / 20
        episode = trials.exploitation
        q = trainer.agent.exploit(episode.observation, trials.instruction, z, time)
        greedy = q.argmax(-1)[1:-1] == episode.action[1:]
        assert 0 < greedy[episode.mask[1:]].float().mean() < 1
    norms = trainer.agent.encoder(trials.problem).square().sum(-1)
    if config.losses.bottleneck == "clipped":
        clip = config.losses.bottleneck_clip
        assert (norms < clip).any() and (norms > clip).any()


@pytest.mark.parametrize("trace_lambda", [0.0, 0.8, 1.0])
def test_q_lambda_by_its_traces(trace_lambda):
    """Backward view: the error of step k reaches step t through the greedy actions between."""
    rng = np.random.default_rng(0)
    steps, actions = 7, 3
    q, q_target = rng.normal(size=(2, steps + 1, actions))
    action, reward = rng.integers(0, actions, steps), rng.normal(size=steps)
    action[1:4] = q.argmax(-1)[1:4]  # some greedy ones
    taken = np.arange(steps) < 5
    discount = np.where(np.arange(steps) == 4, 0.0, 0.9)  # terminates there
    greedy = q.argmax(-1)
    value = q_target[np.arange(steps + 1), greedy]
    expected = np.zeros(steps)
    for t in range(5):
        trace, chosen = 1.0, q[t, action[t]]
        expected[t] = reward[t] + discount[t] * value[t + 1] - chosen
        for k in range(t + 1, 5):
            trace *= discount[k - 1] * trace_lambda * (action[k] == greedy[k])
            expected[t] += trace * (reward[k] + discount[k] * value[k + 1] - value[k])
    arrays = [torch.from_numpy(x)[:, None] for x in (q, q_target, action, reward, discount, taken)]
    errors = torch_losses.td_errors(*arrays, trace_lambda)[:, 0].numpy()
    np.testing.assert_allclose(errors[:5], expected[:5], rtol=1e-12)


@pytest.mark.parametrize(("benchmark", "preset"), CASES)
def test_updates_are_equal(benchmark, preset):
    """Clipping, AdamW on its schedule, target copy, average: from the same gradients, since Adam's
    first step divides each by its own size and so shows nothing of it but the sign."""
    changes = {
        "training.trials": str(4 * BATCH),
        "td.target_update_period_updates": "2",
        "optimizer.max_gradient_norm": "3.0",
        "optimizer.hold_fraction": "0.5",
        "optimizer.final_learning_rate_fraction": "0.1",
        "training.updates_per_iteration": "1",
    }
    config = case_config(benchmark, preset, **changes)
    params = case(benchmark, preset)[2]
    trainer = Trainer(config)
    convert.load(trainer.agent, named(config, params), named(config, params))

    trainer.average = [p.detach().clone() for p in trainer.parameters]

    settings = config.optimizer
    optimizers = [
        learner.make_optimizer(settings, 4, decay) for decay in (settings.weight_decay, 0.0)
    ]
    learners = [learner.init_learner(p, o) for p, o in zip(params, optimizers, strict=True)]
    update = [
        jax.jit(
            functools.partial(
                learner.update_learner,
                optimizer=o,
                enabled=True,
                target_update_period_updates=2,
            )
        )
        for o in optimizers
    ]
    average, decay = named(config, params), settings.average_decay
    rng = np.random.default_rng(3)
    for size in (1.0, 1e-4, 1.0):  # above and below the clip
        gradient = jax.tree.map(lambda x: rng.normal(size=x.shape).astype("f"), params)
        gradient = jax.tree.map(functools.partial(np.multiply, np.float32(size)), gradient)
        learners = [
            u(learner, gradient=g) for u, learner, g in zip(update, learners, gradient, strict=True)
        ]
        by_name = named(config, gradient)
        for name, parameter in trainer.agent.named_parameters():
            if parameter.requires_grad:
                parameter.grad = torch.from_numpy(np.array(by_name[name], order="C"))
        trainer.step()

        expected = named(config, DreamParams(*(x.params for x in learners)))
        average = {n: decay * x + (1.0 - decay) * expected[n] for n, x in average.items()}
        slow = named(config, DreamParams(*(x.target_params for x in learners)))
        slow = {f"target_{n}": x for n, x in slow.items() if n.startswith("expl")}
        for name, parameter in trainer.agent.named_parameters():
            if name.endswith("bias_hh_l0"):
                continue  # a constant
            np.testing.assert_allclose(
                parameter.detach().numpy(),
                (expected | slow)[name],
                rtol=5e-7,  # a few units in the last place of the parameter itself
                # 1 - 0.999^t, by which Adam divides, has 6e-5 of relative error in float32.
                atol=3e-4 * settings.learning_rate,  # three steps of it
                err_msg=name,
            )
    if decay:
        names = {id(p): n for n, p in trainer.agent.named_parameters()}
        for parameter, mean in zip(trainer.parameters, trainer.average, strict=True):
            expected = average[names[id(parameter)]]
            np.testing.assert_allclose(mean.numpy(), expected, rtol=5e-7, atol=1e-8)
