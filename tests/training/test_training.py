"""Training as a whole: reproducible, interruptible, and by the accounts that the config sets."""

import collections
import itertools
import json
import math
import shutil
import signal
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dream_jax import config as configs
from dream_jax import envs, validation
from dream_jax.agents import dream
from dream_jax.config import Config, ConfigError
from dream_jax.data import replay
from dream_jax.runs import checkpoint
from dream_jax.scaling import seeds as waves
from dream_jax.training import evaluation as evaluate
from dream_jax.training import trainer as train
from dream_jax.types import is_key
from tests.running import trained
from tests.training.test_learning import Corridor

pytestmark = pytest.mark.usefixtures("quick_compilation")

# Runs of the command line. Ten evaluations, a checkpoint after every other one.
FLAGS = ["--config=dream", "--smoke", "--seeds=2", "--config.training.trials=160"]
EVALUATIONS, PERIOD, SEEDS = 10, 16, 2


def read_rows(out):
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def without_clock(row):
    """What has to be reproducible, bit for bit."""
    return {name: value for name, value in row.items() if not name.endswith(("_s", "_per_s"))}


def reproducible(rows):
    return [without_clock(row) for row in rows]


def restore(out):
    """The newest checkpoint of a run of the bus benchmark."""
    config = configs.load(str(out / "config.json"))
    trainer = train.make_trainer(config, envs.make("bus", horizon=config.env.horizon))
    return checkpoint.restore(out / "checkpoints", waves.state_shape(trainer, SEEDS))[0]


def raw(leaf):
    """A leaf as numpy; typed keys as their bits."""
    if is_key(leaf):
        leaf = jax.random.key_data(leaf)
    return np.asarray(leaf)


def differing(a, b):
    """Paths of the leaves that differ in any bit."""
    pairs = zip(jax.tree_util.tree_leaves_with_path(a), jax.tree_util.tree_leaves(b), strict=True)
    return [
        jax.tree_util.keystr(path)
        for (path, left), right in pairs
        if raw(left).tobytes() != raw(right).tobytes()
    ]


def furthest(a, b):
    """Largest difference of two trees of floats: one program may round the same sum in two ways."""
    return max(jax.tree.leaves(jax.tree.map(lambda x, y: np.max(np.abs(x - y)), a, b)))


@pytest.fixture(scope="module")
def uninterrupted(command, tmp_path_factory):
    out = tmp_path_factory.mktemp("uninterrupted") / "run"
    outcome = command("bus", *FLAGS, f"--out={out}")
    assert (outcome.status, outcome.stderr) == (0, "")
    return out, outcome


def test_the_same_seed_twice_is_bit_equal(command, uninterrupted, tmp_path):
    first, _ = uninterrupted
    out = tmp_path / "run"
    assert command("bus", *FLAGS, f"--out={out}").status == 0
    rows = reproducible(read_rows(first))
    assert reproducible(read_rows(out)) == rows
    assert len(rows) == EVALUATIONS * SEEDS
    # A seed is not like another, nor an evaluation like the one before.
    losses = {row["loss_exploitation_td"] for row in rows}
    assert len(losses) == len(rows)
    assert differing(restore(first), restore(out)) == []
    summaries = [json.loads((run / "summary.json").read_text()) for run in (first, out)]
    assert without_clock(summaries[0]) == without_clock(summaries[1])


def test_interrupted_and_resumed_equals_uninterrupted(command, spawn, uninterrupted, tmp_path):
    whole, _ = uninterrupted
    out = tmp_path / "run"
    process = spawn("bus", *FLAGS, f"--out={out}")
    try:
        while process.poll() is None:
            time.sleep(0.005)
            if (out / "metrics.jsonl").exists() and read_whole_lines(out) >= SEEDS:
                break
        process.send_signal(signal.SIGTERM)
        stdout, stderr = process.communicate(timeout=120)
    finally:
        process.kill()
    assert (process.returncode, stderr) == (0, "")
    assert "stopped by SIGTERM" in stdout
    before = read_rows(out)
    assert SEEDS <= len(before) < EVALUATIONS * SEEDS
    assert checkpoint.latest_step(out / "checkpoints") == before[-1]["trials"]
    assert not (out / "summary.json").exists()

    outcome = command("bus", *FLAGS, "--resume", f"--out={out}")
    assert (outcome.status, outcome.stderr) == (0, "")
    assert f"at {before[-1]['trials']} trials" in outcome.stdout
    rows = read_rows(out)
    assert rows[: len(before)] == before  # not written anew
    assert reproducible(rows) == reproducible(read_rows(whole))
    assert differing(restore(whole), restore(out)) == []
    summaries = [json.loads((run / "summary.json").read_text()) for run in (whole, out)]
    assert without_clock(summaries[0]) == without_clock(summaries[1])
    # The clock goes on from where the interrupted run stood.
    clock = [row["wall_s"] for row in rows[::SEEDS]]
    assert clock == sorted(clock)
    assert summaries[1]["wall_s"] > clock[-1]


def read_whole_lines(out):
    return (out / "metrics.jsonl").read_bytes().count(b"\n")


def test_a_run_leaves_the_signal_handlers_as_they_were(uninterrupted):
    assert uninterrupted[1].handlers_restored


@pytest.mark.parametrize("damage", ["checkpoint", "no rows", "half a row", "rows missing"])
def test_a_damaged_run_is_refused_before_it_is_compiled(command, uninterrupted, tmp_path, damage):
    out = tmp_path / "run"
    shutil.copytree(uninterrupted[0], out)
    rows = out / "metrics.jsonl"
    if damage == "checkpoint":
        for path in (out / "checkpoints").rglob("*"):
            if path.is_file():
                path.write_bytes(b"junk")
    elif damage == "no rows":
        rows.unlink()
    else:
        lines = rows.read_text().splitlines(keepends=True)
        lines[0] = "" if damage == "rows missing" else lines[0][:10] + "\n"
        rows.write_text("".join(lines))
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    outcome = command("bus", *FLAGS, "--resume", f"--out={out}")
    assert outcome.status == 2
    assert outcome.stderr.startswith("error: --resume: ") and str(out) in outcome.stderr
    assert outcome.stderr.count("\n") == 1
    assert "compiled" not in outcome.stdout
    assert before == {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}


@pytest.mark.parametrize("updates", [2, 1])  # 1: no loss has seen its result yet
def test_a_loss_that_is_not_finite_stops_the_run(command, tmp_path, updates):
    out = tmp_path / "run"
    flags = [
        "--config=dream",
        "--smoke",
        "--seeds=2",
        "--config.optimizer.learning_rate=1e30",
        # The first update is in the third evaluation period.
        "--config.replay.warmup_trials_exploitation=40",
        "--config.replay.warmup_trials_exploration=40",
        f"--config.training.updates_per_iteration={updates}",
        f"--config.training.trials_per_iteration={16 // updates}",
        f"--out={out}",
    ]
    outcome = command("bus", *flags)
    rows = read_rows(out)
    assert outcome.status == 1
    assert outcome.stderr.startswith("error: loss_")
    assert outcome.stderr.count("\n") == 1
    assert str(out / "checkpoints" / f"{PERIOD}") in outcome.stderr
    assert [row["trials"] for row in rows] == [PERIOD, PERIOD, 2 * PERIOD, 2 * PERIOD]
    assert all(math.isfinite(value) for row in rows for value in row.values())
    assert checkpoint.latest_step(out / "checkpoints") == PERIOD
    state = restore(out)
    floats = [raw(x) for x in jax.tree.leaves(state) if jnp.issubdtype(x.dtype, jnp.floating)]
    assert all(np.all(np.isfinite(x)) for x in floats)
    assert np.all(state.trials == PERIOD)
    assert not (out / "summary.json").exists()

    # Resumed, it goes the same way from the checkpoint, and no row is there twice.
    again = command("bus", *flags, "--resume")
    assert (again.status, again.stderr) == (1, outcome.stderr)
    assert f"at {PERIOD} trials" in again.stdout
    assert reproducible(read_rows(out)) == reproducible(rows)
    assert not (out / "summary.json").exists()


# The trainer itself, iteration by iteration, on a small problem.


class HeldOut(Corridor):
    name = "held out"

    def __init__(self):
        super().__init__()
        self._splits = {"train": np.array([0, 1, 2], np.int32), "test": np.array([3], np.int32)}


PARALLEL, CAPACITY, ITERATIONS = 8, 24, 12
WARM_EXPLOITATION, WARM_EXPLORATION = 16, 24
STEPS_PER_UPDATE = 32  # 8 trials of at most 4 steps: never more than one update
CONFIG = configs.override(
    Config(),
    {
        "networks.hidden_size": "16",
        "networks.head_size": "16",
        "networks.decoder_memory_size": "16",
        "networks.z_size": "4",
        "acting.epsilon_min": "0",
        "acting.epsilon_max": "0",
        "optimizer.average_decay": "0.9",
        "td.target_update_period_updates": "2",
        "replay.capacity_trials": f"{CAPACITY}",
        "replay.batch_trials": "4",
        "replay.warmup_trials_exploitation": f"{WARM_EXPLOITATION}",
        "replay.warmup_trials_exploration": f"{WARM_EXPLORATION}",
        "training.trials": f"{PARALLEL * ITERATIONS}",
        "training.trials_per_iteration": f"{PARALLEL}",
        "training.evaluation_period_trials": f"{PARALLEL}",
        "training.updates_per_iteration": "0",
        "training.env_steps_per_update": f"{STEPS_PER_UPDATE}",
    },
)


@pytest.fixture(scope="module")
def env():
    return HeldOut()


@pytest.fixture(scope="module")
def trainer(env):
    return train.make_trainer(validation.validate(CONFIG, env.num_actions), env)


@pytest.fixture(scope="module")
def states(trainer):
    """States of seed 0 before and after each iteration, as numpy."""

    @jax.jit
    def run(seed):
        def body(state, _):
            after, losses = trainer.iterate(state)
            return after, (after, losses)

        first = trainer.init(seed)
        return first, *jax.lax.scan(body, first, length=ITERATIONS)[1]

    first, after, losses = jax.device_get(run(jnp.int32(0)))
    listed = [first] + [jax.tree.map(lambda x, k=k: x[k], after) for k in range(ITERATIONS)]
    return listed, losses


def newest_block(trainer, state):
    """The trials that the last iteration added, leaves [PARALLEL, ...]."""
    start = (int(state.trials) - PARALLEL) % CAPACITY
    block = np.arange(start, start + PARALLEL)
    return jax.device_get(replay.take(state.replay, block, trainer.trial_shape))


def test_replay_holds_the_newest_trials(states, trainer):
    states, _ = states
    for k, (before, after) in enumerate(itertools.pairwise(states), start=1):
        assert after.trials == after.replay.inserted == PARALLEL * k
        start = (k - 1) * PARALLEL % CAPACITY
        kept = np.delete(np.arange(CAPACITY), np.arange(start, start + PARALLEL))
        old, now = (
            jax.tree.map(lambda x, kept=kept: x[kept], state.replay.storage)
            for state in (before, after)
        )
        assert differing(old, now) == []
        new = newest_block(trainer, after)
        assert set(new.problem) <= {0, 1, 2}  # never a held-out problem
        for episodes, name in (
            (new.exploration, "exploration"),
            (new.exploitation, "exploitation"),
        ):
            lengths = episodes.mask.sum(axis=-1)
            assert np.all(episodes.mask == (np.arange(4) < lengths[..., None]))
            assert np.all(lengths >= 1)
            steps = f"{name}_steps"
            assert getattr(after, steps) - getattr(before, steps) == lengths.sum()
        # "Choose z ~ q every other trial": half of them, alternately.
        assert np.all(new.z_from_decoder == (np.arange(PARALLEL) % 2 == 0))
    drawn = np.concatenate([newest_block(trainer, state).problem for state in states[1:]])
    assert set(drawn) == {0, 1, 2}


def test_exploration_is_random_until_warm_then_greedy(states, trainer):
    states, _ = states
    for state in states[1:]:
        actions = newest_block(trainer, state).exploration.action[:, 0]
        if state.trials <= WARM_EXPLORATION:
            assert len(set(actions)) > 1
        else:  # epsilon is 0, the first observation shows only the colour: problem // 2
            colours = newest_block(trainer, state).problem // 2
            assert len(set(zip(colours, actions, strict=True))) == len(set(colours))


@pytest.mark.parametrize(
    "name, warm, number",
    [("exploitation", WARM_EXPLOITATION, 0), ("exploration", WARM_EXPLORATION, 1)],
)
def test_updates_are_paid_for_by_environment_steps(states, name, warm, number):
    states, _ = states
    paid = 0
    for before, after in itertools.pairwise(states):
        learner, earlier = getattr(after.learners, name), getattr(before.learners, name)
        if after.trials >= warm:
            paid += int(getattr(after, f"{name}_steps") - getattr(before, f"{name}_steps"))
        assert learner.updates == paid // STEPS_PER_UPDATE
        assert after.update_credit[number] * STEPS_PER_UPDATE == paid % STEPS_PER_UPDATE
        changed = differing(earlier.params, learner.params)
        assert bool(changed) == (learner.updates > earlier.updates)
        # The target network follows at every second update, and only then.
        if learner.updates > earlier.updates and learner.updates % 2 == 0:
            assert furthest(learner.target_params, learner.params) < 1e-6
        else:
            assert differing(learner.target_params, earlier.target_params) == []
    assert learner.updates >= 2


def test_losses_are_of_the_updates_of_their_learner(states, trainer):
    """Where it made none they are 0, and each loss has one learner."""
    states, losses = states
    owners = trainer.agent.learners
    owned = [f"loss_{name}" for owner in owners for name in owner.losses]
    assert sorted(owned) == sorted(losses)
    alone = collections.Counter()
    for k, (before, after) in enumerate(itertools.pairwise(states)):
        new, old = ([x.updates for x in state.learners] for state in (after, before))
        for owner, made, others in zip(owners, np.subtract(new, old), [1, 0], strict=True):
            for name in owner.losses:
                assert (losses[f"loss_{name}"][k] != 0) == (made > 0)
            alone[owner.phases] += made > new[others] - old[others]
    assert min(alone.values()) > 0  # each has made updates that the other had not


def test_a_learner_updated_alone_moves_as_together(states, trainer):
    state = jax.tree.map(jnp.asarray, states[0][-1])
    optimizers = train._make_optimizers(CONFIG, trainer.agent.learners)
    batch = replay.take(state.replay, jnp.arange(4), trainer.trial_shape)

    def updated(*which):
        enabled = jnp.ones(2, bool)
        rest = (state.learners, state.average, batch, None, jax.random.key(1), enabled)
        return train._update(trainer.agent, optimizers, which, *rest, trainer.shards, None)[0]

    together = updated(0, 1)
    for k in (0, 1):
        alone, other = updated(k), 1 - k
        assert furthest(alone[k].params, together[k].params) < 1e-6
        assert differing(alone[k].params, state.learners[k].params) != []
        assert differing(alone[other], state.learners[other]) == []


def test_average_of_the_parameters(states):
    states, _ = states
    moved = 0
    for before, after in itertools.pairwise(states):
        newest = train.newest_params(after)
        if differing(train.newest_params(before), newest):
            moved += 1
            expected = jax.tree.map(lambda a, p: 0.9 * a + 0.1 * p, before.average, newest)
            assert furthest(after.average, expected) < 1e-6
        else:
            assert differing(before.average, after.average) == []
    assert moved >= 3
    assert differing(states[-1].average, newest) != []
    assert train.evaluation_params(CONFIG, after) is after.average
    plain = configs.override(CONFIG, {"optimizer.average_decay": "0"})
    assert differing(train.evaluation_params(plain, after), newest) == []


def by_kind(state):
    """Floating-point leaves by path, and all others."""
    leaves = jax.tree_util.tree_leaves_with_path(state)
    floats = {str(p): raw(x) for p, x in leaves if jnp.issubdtype(x.dtype, jnp.floating)}
    return floats, {str(p): raw(x) for p, x in leaves if str(p) not in floats}


@pytest.mark.parametrize("devices", [1, 2])
def test_a_seed_does_not_depend_on_the_seeds_beside_it(trainer, states, devices):
    """Alone, beside another on one device, and on a device of its own: equal but for rounding."""
    runner = waves.make_runner(trainer, [1, 0], ITERATIONS, jax.devices()[:devices])
    both, losses = trained(runner)
    other, same = (jax.tree.map(lambda x, i=i: x[i], both) for i in range(2))
    alone, alone_losses = states[0][-1], states[1]

    floats, rest = by_kind(alone)
    same_floats, same_rest = by_kind(same)
    assert differing(rest, same_rest) == []  # every action taken, every count, every key
    assert furthest(floats, same_floats) < 1e-5
    for name, loss in alone_losses.items():
        assert float(losses[name][1]) == pytest.approx(loss.mean(), rel=1e-4)
        assert float(losses[name][0]) != pytest.approx(loss.mean(), rel=1e-2)
    assert differing(other.replay, same.replay) != []


def shared_by(devices):
    return configs.override(CONFIG, {"training.trial_shards": str(devices)})


@pytest.mark.parametrize(
    "seeds, devices, share, mesh, sizes",
    [
        (1, 1, 1, (1, 1), [1]),
        (2, 2, 1, (2, 1), [2]),
        (3, 2, 1, (2, 1), [1, 1, 1]),  # they take turns
        (4, 2, 1, (2, 1), [2, 2]),
        (3, 1, 1, (1, 1), [1, 1, 1]),
        (3, 4, 1, (3, 1), [3]),
        (6, 4, 1, (4, 1), [1] * 6),
        (3, 2, 2, (1, 2), [1, 1, 1]),
        (4, 8, 2, (4, 2), [4]),
    ],
)
def test_seeds_and_trials_on_devices(env, seeds, devices, share, mesh, sizes):
    if devices > jax.device_count():
        pytest.skip(f"needs {devices} devices")
    trainer = train.make_trainer(shared_by(share), env)
    runner = waves.make_runner(trainer, range(seeds), 1, jax.devices()[:devices])
    assert runner.grid.mesh.devices.shape == mesh
    init = runner.init()
    assert [unit.trials.shape for unit in init] == [(n,) for n in sizes]
    assert runner.join(init).trials.shape == (seeds,)


def test_more_devices_to_share_a_batch_than_there_are(env):
    with pytest.raises(ConfigError, match=r"trial_shards=4 devices .* 2 are there"):
        waves.make_runner(train.make_trainer(shared_by(4), env), [0], 1, jax.devices()[:2])


def test_share_of_the_batch_that_trains_exploration(env, monkeypatch):
    """Of a quarter: every trial of the batch trains exploitation, one in four the rest."""
    quarter = configs.override(CONFIG, {"replay.exploration_batch_fraction": "0.25"})
    size = CONFIG.replay.batch_trials
    assert quarter.exploration_batch_trials == size // 4 >= 1
    assert CONFIG.exploration_batch_trials == size
    sizes = []
    loss = dream.Dream.batch_loss

    def spy(agent, params, target, trials, key, exploring=None, *rest):
        both = (trials, trials if exploring is None else exploring)
        sizes.append(tuple(t.problem.shape[0] for t in both))
        return loss(agent, params, target, trials, key, exploring, *rest)

    monkeypatch.setattr(dream.Dream, "batch_loss", spy)
    for config in (CONFIG, quarter):
        trainer = train.make_trainer(config, env)
        jax.eval_shape(trainer.iterate, jax.eval_shape(trainer.init, 0))
    assert set(sizes) == {(size, size), (size, size // 4)}


def test_devices_that_share_trials_train_as_one(env, states):
    """Every action and draw is the same; parameters but for the order of summation."""
    shared = train.make_trainer(shared_by(2), env)
    runner = waves.make_runner(shared, [0], ITERATIONS, jax.devices()[:2])
    state, losses = trained(runner)
    both = jax.tree.map(lambda x: x[0], state)
    alone, alone_losses = states[0][-1], states[1]
    floats, rest = by_kind(both)
    expected_floats, expected_rest = by_kind(alone)
    assert differing(rest, expected_rest) == []
    assert furthest(floats, expected_floats) < 1e-5
    for name, loss in alone_losses.items():
        assert float(losses[name][0]) == pytest.approx(loss.mean(), rel=1e-4)
    for leaf in jax.tree.leaves(
        state.learners.exploitation.params
    ):  # the copies have not drifted apart
        first, second = (np.asarray(shard.data) for shard in leaf.addressable_shards)
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    "trials, parallel, fixed, steps, expected",
    [
        (64, 8, 3, 4, 8 * 3),  # 8 iterations of 3 updates
        (64, 8, 0, 4, 8 * 8 * 20 // 4),  # at most 20 steps a trial, one update for 4
    ],
)
def test_total_updates(trials, parallel, fixed, steps, expected):
    values = {
        "trials": trials,
        "trials_per_iteration": parallel,
        "updates_per_iteration": fixed,
        "env_steps_per_update": steps,
    }
    assert train.total_updates(configs.from_dict({"training": values})) == expected


# Which trials are evaluated


def pairs(env, trials, column=0):
    """How often each pair of a problem and an instruction comes."""
    instructions = map(tuple, trials.instruction[:, column].tolist())
    return collections.Counter(zip(trials.problem.tolist(), instructions, strict=True))


def all_pairs(env, split):
    """The same of the whole split, instructions counted by their multiplicity."""
    return collections.Counter(
        (int(problem), tuple(row))
        for problem in env.problem_ids(split)
        for row in env.instructions(int(problem)).tolist()
    )


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("benchmark", envs.BENCHMARKS)
@pytest.mark.parametrize("episodes", [1, 3])
def test_final_trials_cover_a_split_evenly(benchmark, split, episodes):
    env = envs.make(benchmark)
    trials = evaluate.trial_set(env, split, 1000, episodes, cover=True)
    assert set(trials.problem) == set(env.problem_ids(split))
    expected = all_pairs(env, split)
    count = len(trials.problem)
    assert count >= 1000
    assert trials.instruction.shape == (count, episodes, len(env.instruction_sizes))
    for column in range(episodes):
        found = pairs(env, trials, column)
        times = {found[pair] / expected[pair] for pair in expected}
        assert len(times) == 1
        assert len(found) == len(expected)
    # And no more of them than it takes.
    assert count - sum(expected.values()) < 1000 or count == sum(expected.values())


@pytest.mark.parametrize("redraw", [True, False])
def test_instructions_of_a_trial_are_redrawn_or_not(redraw):
    trials = evaluate.trial_set(envs.make("bus"), "test", 96, 3, cover=True, redraw=redraw)
    distinct = [len(set(map(tuple, rows))) for rows in trials.instruction.tolist()]
    assert set(distinct) == {3 if redraw else 1}


def test_held_out_distracting_buses_are_all_covered():
    env = envs.make("distracting_bus")
    for count in (1, 250, 1000):
        trials = evaluate.trial_set(env, "test", count, 1, cover=True)
        assert len(set(trials.problem.tolist())) == 523
        assert len(trials.problem) == 523 * len(env.instructions(0))


def test_trials_of_the_curves_are_a_fixed_subset():
    env = envs.make("distracting_bus")
    few = evaluate.trial_set(env, "test", 250, 1, cover=False)
    again = evaluate.trial_set(env, "test", 250, 1, cover=False)
    assert differing(few, again) == []
    found, expected = pairs(env, few), all_pairs(env, "test")
    assert len(few.problem) == 250
    assert all(found[pair] <= expected[pair] for pair in found)
    assert len(set(few.problem.tolist())) > 150  # spread over the problems
    # Where there are fewer pairs than trials, they are all used, equally often.
    env = envs.make("bus")
    some = evaluate.trial_set(env, "test", 250, 1, cover=False)
    assert set(pairs(env, some).values()) == {math.ceil(250 / 96)}
