"""The command line: bad input changes nothing on disk; every preset runs and leaves its files."""

import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from dream_jax import config as configs
from dream_jax import envs, validation
from dream_jax.presets import methods as presets
from dream_jax.runs import analytic, checkpoint
from dream_jax.scaling import seeds as waves
from dream_jax.training import trainer as train

pytestmark = pytest.mark.usefixtures("quick_compilation")

ROOT = Path(__file__).parents[2]
TRAINED = [
    name for name in presets.PRESETS if presets.preset("bus", name).agent not in analytic.AGENTS
]
ANALYTIC = [name for name in presets.PRESETS if name not in TRAINED]

ROW = {
    "seed",
    "env_steps",
    "trials",
    "updates",
    "wall_s",
    "compile_s",
    "train_return",
    "test_return",
    "train_return_encoder",
    "exploration_length",
}
SUMMARY = {
    "benchmark",
    "config",
    "seeds",
    "splits",
    "time_to_95_s",
    "wall_s",
    "compile_s",
    "env_steps",
    "trials",
    "updates",
}
SPLIT = {
    "return_mean",
    "return_ci95",
    "return_per_seed",
    "optimal",
    "no_exploration",
    "normalised_per_seed",
}


def snapshot(folder):
    """Every file below `folder` with its content, every folder with None."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


def one_line(stderr):
    assert stderr.startswith("error: ")
    assert stderr.endswith("\n")
    assert stderr.count("\n") == 1
    return stderr


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder to be in, with files to point at; the default output folder is inside it."""
    monkeypatch.chdir(tmp_path)
    Path("a_file").write_text("precious")
    Path("full").mkdir()
    Path("full/thesis.tex").write_text("precious")
    Path("project").mkdir()
    Path("project/config.json").write_text('{"name": "my-app"}')
    Path("project/main.py").write_text("precious")
    Path("no.json").write_text("preset: dream")
    Path("binary.json").write_bytes(b"\xff\xfe\x00\x81")
    Path("list.json").write_text("[]")
    Path("typo.json").write_text('{"td": {"discuont": 0.9}}')
    values = configs.to_dict(presets.preset("cooking", "dream"))
    Path("cooking.json").write_text(json.dumps({"config": values}))
    return tmp_path


REFUSED = {  # flags, then what the line has to say: the offending value and a valid one
    "unknown preset": (["--config=dreem"], "'dreem'", "nearest: dream"),
    "misspelt baseline": (["--config=varibda"], "'varibda'", "nearest: varibad"),
    "unknown posterior": (
        ["--config=varibad", "--config.end_to_end.posterior=delta"],
        "end_to_end.posterior='delta'",
        "gaussian, point",
    ),
    "no belief": (
        ["--config=varibad", "--config.end_to_end.beliefs_per_trial=0"],
        "end_to_end.beliefs_per_trial=0",
        "at least 1",
    ),
    "exploration on values never learned": (
        ["--config=dream_end_to_end", "--config.losses.td_reaches_decoder=false"],
        "agent='dream_end_to_end'",
        "losses.td_reaches_decoder=true",
    ),
    "hopeless preset": (["--config=zzzz"], "'zzzz'", "valid: dream, "),
    "unknown key": (["--config.td.discuont=0.9"], "'td.discuont'", "td.discount"),
    "key in another group": (["--config.losses.discount=0.9"], "'losses.discount'", "td.discount"),
    "bad number": (["--config.td.discount=high"], "td.discount='high'", "0.5"),
    "bad count": (["--config.training.trials=many"], "training.trials='many'", "3"),
    "bad switch": (["--config.networks.film=on"], "networks.film='on'", "true or false"),
    "bad choice": (["--config.networks.embedding=cnn"], "networks.embedding='cnn'", "sum, mlp"),
    "no value": (["--config.td.discount", "0.9"], "--config.td.discount", "=VALUE"),
    "a group": (["--config.td=0.9"], "td='0.9'", "td.discount"),
    "negative size": (["--config.networks.hidden_size=-64"], "hidden_size=-64", "at least 1"),
    "horizon 0": (["--config.env.horizon=0"], "env.horizon=0", "20"),
    "horizon below 0": (["--config.env.horizon=-20"], "env.horizon=-20", "20"),
    "a batch larger than the buffer": (
        ["--smoke", "--config.replay.batch_trials=65"],
        "replay.batch_trials=65",
        "replay.capacity_trials=64",
    ),
    "part of an iteration": (
        ["--smoke", "--config.training.evaluation_period_trials=20"],
        "training.evaluation_period_trials=20",
        "for example 16",
    ),
    "an action there is not": (
        ["--config.acting.excluded_random_actions=9"],
        "action 9",
        "0 to 8",
    ),
    "no seeds": (["--seeds=0"], "--seeds=0", "at least 1"),
    "some seeds": (["--seeds=some"], "some", "seeds"),
    "unknown flag": (["--overwriet"], "--overwriet", "--overwrite"),
    "unknown flag with a value": (["--seed=3"], "--seed", "--seeds"),
    "a word": (["cooking"], "'cooking'", "--config"),
    "bad value of a flag": (["--resume=maybe"], "maybe", "resume"),
    "both": (["--resume", "--overwrite"], "--resume", "--overwrite"),
    "output is a file": (["--out=a_file"], "--out=a_file", "folder"),
    "output below a file": (["--config=optimal", "--out=a_file/run"], "a_file", "folder"),
    "output is not ours": (["--out=full"], "--out=full", "give another"),
    "overwrites only runs": (["--out=full", "--overwrite"], "--out=full", "give another folder"),
    "resumes only runs": (["--out=full", "--resume"], "--out=full", "give another folder"),
    "no such config": (["--config=none.json"], "none.json", "No such file"),
    "a folder as config": (["--config=./full"], "./full", "directory"),
    "config is not JSON": (["--config=no.json"], "no.json", ""),
    "config is not text": (["--config=binary.json"], "binary.json", ""),
    "config is a list": (["--config=list.json"], "list.json", "JSON object"),
    "config with a typo": (["--config=typo.json"], "'td.discuont'", "td.discount"),
    "config of another benchmark": (["--config=cooking.json"], "'cooking'", "experiments.cooking"),
    "another benchmark": (["--config.benchmark=map"], "'map'", "experiments.map"),
    "no such benchmark": (["--config.benchmark=mapp"], "'mapp'", "nearest: map"),
    "output cannot be": (["--config=optimal", "--out=/proc/none/run"], "--out=/proc/none", "give"),
    "a name too long": (["--config=optimal", f"--out={'x' * 300}"], "too long", "give"),
    "a count beyond 32 bits": (
        ["--config.td.target_update_period_updates=1e10"],
        "updates=10000000000",
        "at most 2147483647",
    ),
    "infinite": (["--config.optimizer.learning_rate=inf"], "learning_rate=inf", "at most"),
    "overwrites runs, not projects": (
        ["--config=optimal", "--out=project", "--overwrite"],
        "--out=project",
        "give another folder",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_one_line_and_nothing_written(command, place, case):
    flags, offending, remedy = REFUSED[case]
    before = snapshot(place)
    outcome = command("bus", *flags)
    assert outcome.status == 2
    line = one_line(outcome.stderr)
    assert offending in line
    assert remedy in line
    assert snapshot(place) == before


@pytest.mark.parametrize("case", ["unknown key", "output is not ours"])
def test_bad_input_in_a_process_of_its_own(place, case):
    flags, offending, remedy = REFUSED[case]
    before = snapshot(place)
    done = subprocess.run(
        [sys.executable, "-m", "experiments.bus", *flags],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    line = one_line(done.stderr)
    assert offending in line
    assert remedy in line
    assert done.stdout == ""
    assert snapshot(place) == before


@pytest.fixture(scope="module")
def finished(command, tmp_path_factory):
    """A folder with a finished run, of an analytic preset: made in a second."""
    out = tmp_path_factory.mktemp("finished") / "run"
    assert command("bus", "--config=optimal", f"--out={out}").status == 0
    return out


@pytest.mark.parametrize(
    "flags, offending, remedy",
    [
        (["--config=optimal"], "--out=", "--resume or --overwrite"),
        (["--config=optimal", "--resume", "--seeds=2"], "not 2", "--seeds=1"),
        (["--config=no_exploration", "--resume"], "'no_exploration'", "'optimal'"),
        (
            ["--config=optimal", "--resume", "--config.td.discount=0.5"],
            "not 0.5",
            "td.discount=0.99",
        ),
        (["--config=dream", "--overwrite", "--config.td.discount=2"], "=2.0", "between 0 and 1"),
        (
            ["--config=dream", "--overwrite", "--config.replay.capacity_trials=1024000000"],
            "replay.capacity_trials=1,024,000,000",
            "at most about",
        ),
    ],
)
def test_a_run_is_not_touched(command, finished, flags, offending, remedy):
    before = snapshot(finished)
    outcome = command("bus", *flags, f"--out={finished}")
    assert outcome.status == 2
    line = one_line(outcome.stderr)
    assert offending in line
    assert remedy in line
    assert snapshot(finished) == before


@pytest.mark.parametrize("where", [".", "link"])
def test_overwrite_deletes_a_run_and_nothing_else(command, tmp_path, monkeypatch, where):
    """Whatever else is in the folder stays, and so does the folder: it may be a link or `.`."""
    run = tmp_path / "run"
    assert command("bus", "--config=optimal", "--seeds=2", f"--out={run}").status == 0
    (run / "checkpoints").mkdir()
    (run / "notes.txt").write_text("precious")
    (run / "link").symlink_to(run)
    monkeypatch.chdir(run)
    assert command("bus", "--config=no_exploration", "--overwrite", f"--out={where}").status == 0
    assert (run / "notes.txt").read_text() == "precious"
    assert not (run / "checkpoints").exists()
    assert json.loads((run / "summary.json").read_text())["config"] == "no_exploration"
    assert len((run / "metrics.jsonl").read_text().splitlines()) == 1


def test_a_damaged_run_is_not_resumed(command, tmp_path):
    for text in ("{", "[]", '{"config": 3, "seeds": [0]}', '{"config": {"td": {"x": 1}}}'):
        (tmp_path / "config.json").write_text(text)
        before = snapshot(tmp_path)
        outcome = command("bus", "--config=optimal", "--resume", f"--out={tmp_path}")
        assert outcome.status == 2
        assert "config.json" in one_line(outcome.stderr)
        assert snapshot(tmp_path) == before


def test_a_replay_that_does_not_fit_is_refused_before_anything_is_made(command, tmp_path):
    out = tmp_path / "run"
    flags = ["--smoke", "--config.replay.capacity_trials=1000000000", f"--out={out}"]
    outcome = command("cooking", *flags)
    assert outcome.status == 2
    line = one_line(outcome.stderr)
    assert "replay.capacity_trials=1,000,000,000 needs " in line
    # The number of trials that it says would fit has to be one that fits.
    numbers = [int(x.replace(",", "")) for x in re.findall(r"\d[\d,]*\d", line)]
    capacity, needed, free, fits = numbers
    assert needed / capacity * fits <= free
    assert not out.exists()


def test_help_shows_the_flags(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = []
    with pytest.raises(SystemExit) as stop:
        done.append(command("bus", "--help"))
    assert not stop.value.code
    assert not done
    assert not any(tmp_path.iterdir())


def test_a_horizon_too_short_to_explore_has_no_normalised_return(command, tmp_path):
    """With one step, knowing the problem is worth nothing: optimal equals no exploration."""
    out = tmp_path / "run"
    outcome = command("bus", "--config=optimal", "--config.env.horizon=1", f"--out={out}")
    assert outcome.status == 0
    summary = json.loads((out / "summary.json").read_text())
    assert summary["splits"]["test"]["normalised_per_seed"] == [None]


@pytest.mark.parametrize(("horizon", "known"), [(13, True), (12, False)])
def test_sign_says_what_is_optimal_only_where_every_object_is_in_reach(
    command, tmp_path, horizon, known
):
    for preset, value in (("optimal", 1.0), ("pearl_ub", 1 / 3)):
        flags = (f"--config.env.horizon={horizon}", f"--out={tmp_path / preset}")
        assert command("sign", f"--config={preset}", *flags).status == 0
        summary = json.loads((tmp_path / preset / "summary.json").read_text())
        part = summary["splits"]["test"]
        assert part["return_mean"] == (pytest.approx(value) if known else None)
        assert part["normalised_per_seed"] == [pytest.approx(value) if known else None]
        assert part["no_exploration"] == 0.0


def test_main_works_where_jax_is_already_in_use(spawn, tmp_path):
    out = tmp_path / "run"
    process = spawn("bus", "--config=optimal", f"--out={out}", before="import jax; jax.devices(); ")
    _, stderr = process.communicate()
    assert process.returncode == 0, stderr
    assert (out / "summary.json").exists()


# Runs


def read_rows(out):
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def check_summary(out, benchmark, preset, seeds):
    summary = json.loads((out / "summary.json").read_text())
    assert set(summary) == SUMMARY
    assert (summary["benchmark"], summary["config"]) == (benchmark, preset)
    assert summary["seeds"] == list(range(seeds))
    assert len(summary["time_to_95_s"]) == seeds
    assert summary["wall_s"] > 0
    assert set(summary["splits"]) == {"train", "test"}
    for split in summary["splits"].values():
        assert set(split) == SPLIT
        returns, low, high = split["return_per_seed"], split["no_exploration"], split["optimal"]
        assert len(returns) == seeds
        assert low < high
        assert max(returns) <= high + 1e-6
        assert split["return_mean"] == pytest.approx(np.mean(returns))
        left, right = split["return_ci95"]
        assert left <= split["return_mean"] <= right
        expected = [(value - low) / (high - low) for value in returns]
        assert split["normalised_per_seed"] == pytest.approx(expected)
    return summary


@pytest.mark.parametrize("benchmark", envs.BENCHMARKS)
@pytest.mark.parametrize("preset", ANALYTIC)
def test_analytic_presets(command, tmp_path, benchmark, preset):
    flags = [f"--config={preset}", "--smoke", "--seeds=2", f"--out={tmp_path / 'run'}"]
    outcome = command(benchmark, *flags)
    assert (outcome.status, outcome.stderr) == (0, "")
    summary = check_summary(tmp_path / "run", benchmark, preset, 2)
    # PEARL-UB: 0.5025 of 0.3 to 0.8 on the distracting bus, 0.3514 of 0.1972 to 0.4667 on cooking.
    pearl = {"cooking": 0.572, "distracting_bus": 0.405}.get(benchmark, 0.4)
    value = {"optimal": 1.0, "no_exploration": 0.0, "pearl_ub": pearl}[preset]
    shares = summary["splits"]["test"]["normalised_per_seed"]
    assert shares == pytest.approx([value, value], abs=2e-3 if preset == "pearl_ub" else 1e-6)
    assert [time is not None for time in summary["time_to_95_s"]] == [value == 1.0] * 2
    rows = read_rows(tmp_path / "run")
    assert [row["seed"] for row in rows] == [0, 1]
    split = summary["splits"]["test"]
    assert all(row["test_return"] == pytest.approx(split["return_mean"]) for row in rows)
    saved = configs.load(str(tmp_path / "run" / "config.json"))
    assert saved == presets.smoke(presets.preset(benchmark, preset))


@pytest.mark.parametrize(
    "benchmark, preset, seeds, more",
    [
        # The same flags as in test_training.py: compiled once for both.
        ("bus", "dream", 2, {"training.trials": 160}),
        ("cooking", "dream_paper", 1, {"training.env_steps_per_update": 16}),
        ("bus", "e_rl2", 1, {}),
    ],
)
def test_a_whole_run_leaves_its_files(command, tmp_path, benchmark, preset, seeds, more):
    out = tmp_path / "run"
    overrides = [f"--config.{path}={value}" for path, value in more.items()]
    flags = [f"--config={preset}", "--smoke", f"--seeds={seeds}", *overrides, f"--out={out}"]
    outcome = command(benchmark, *flags)
    assert (outcome.status, outcome.stderr) == (0, "")

    config = configs.load(str(out / "config.json"))
    expected = presets.smoke(presets.preset(benchmark, preset))
    assert config == configs.override(expected, {path: str(x) for path, x in more.items()})
    record = json.loads((out / "config.json").read_text())
    assert record["seeds"] == list(range(seeds))
    assert record["versions"]["jax"] == jax.__version__
    assert record["versions"]["devices"]

    rows = read_rows(out)
    training = config.training
    evaluations = training.trials // training.evaluation_period_trials
    assert [(row["trials"], row["seed"]) for row in rows] == [
        ((k + 1) * training.evaluation_period_trials, seed)
        for k in range(evaluations)
        for seed in range(seeds)
    ]
    for row in rows:
        losses = {name for name in row if name.startswith("loss_")}
        assert losses
        # There is no telling this agent the problem id.
        untold = {"train_return_encoder"} if preset == "e_rl2" else set()
        assert set(row) - losses == ROW - untold
        assert all(math.isfinite(value) for value in row.values())
        assert 1 <= row["exploration_length"] <= config.env.horizon
        assert row["wall_s"] > row["compile_s"] > 0
    for seed in range(seeds):
        mine = [row for row in rows if row["seed"] == seed]
        for name in ("env_steps", "updates", "wall_s"):
            values = [row[name] for row in mine]
            assert values == sorted(set(values))
    summary = check_summary(out, benchmark, preset, seeds)
    assert summary["trials"] == training.trials == rows[-1]["trials"]
    last = rows[-seeds:]
    assert summary["updates"] == int(np.mean([row["updates"] for row in last]))
    assert summary["env_steps"] == int(np.mean([row["env_steps"] for row in last]))

    assert checkpoint.latest_step(out / "checkpoints") == training.trials
    trainer = train.make_trainer(config, envs.make(benchmark, horizon=config.env.horizon))
    state, _ = checkpoint.restore(out / "checkpoints", waves.state_shape(trainer, seeds))
    assert state.learners[0].updates.tolist() == [row["updates"] for row in last]
    if not training.updates_per_iteration:  # paid for by environment steps, the first ones too
        paid = state.exploitation_steps // training.env_steps_per_update
        assert state.learners.exploitation.updates.tolist() == paid.tolist()
    with Image.open(out / "curves.png") as picture:
        assert picture.size[0] > 300
    videos = sorted((out / "videos").glob("*.gif"))
    assert len(videos) == seeds
    for path in videos:
        with Image.open(path) as video:
            assert video.n_frames >= 2


def small_trainer(benchmark, preset):
    config = presets.smoke(presets.preset(benchmark, preset))
    env = envs.make(benchmark, horizon=config.env.horizon)
    return train.make_trainer(validation.validate(config, env.num_actions), env)


@pytest.mark.parametrize("benchmark", envs.BENCHMARKS)
@pytest.mark.parametrize("preset", TRAINED)
def test_every_preset_can_be_traced(benchmark, preset):
    trainer = small_trainer(benchmark, preset)
    state = jax.eval_shape(trainer.init, jax.ShapeDtypeStruct((), jnp.int32))
    after, losses = jax.eval_shape(trainer.iterate, state)
    # What goes in comes out: a state of the same shapes, or a scan over it would not compile.
    assert jax.tree.structure(after) == jax.tree.structure(state)
    same = jax.tree.map(lambda a, b: (a.shape, a.dtype) == (b.shape, b.dtype), after, state)
    assert all(jax.tree.leaves(same))
    assert losses
    assert all(loss.shape == () for loss in losses.values())


# Those that no whole run above is of, each on a benchmark of its own.
STEPS = {
    "dream_no_bottleneck": "distracting_bus",
    "random_exploration": "map",
    "dream_dynamics": "cooking",
    "dream_end_to_end": "distracting_bus",
    "dream_with_rewards": "bus",
    "import": "cooking",
    "varibad": "map",
}


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
        assert all(same) if not expected else not any(same), name
    assert all(x.learns for x in trainer.agent.learners) == (preset != "random_exploration")


@pytest.mark.parametrize("preset", ["e_rl2", "import", "varibad", "dream_end_to_end"])
def test_presets_for_pictures_can_be_traced(preset):
    trainer = small_trainer("sign", preset)
    state = jax.eval_shape(trainer.init, jax.ShapeDtypeStruct((), jnp.int32))
    losses = jax.eval_shape(trainer.losses, state)
    assert losses.keys() == set(trainer.agent.loss_names)
    assert "state_decoder" not in losses  # pictures are not decoded


def test_presets_on_the_list_are_all_run():
    whole = {"dream", "dream_paper", "e_rl2"}
    assert whole | set(STEPS) | set(ANALYTIC) == set(presets.PRESETS)
