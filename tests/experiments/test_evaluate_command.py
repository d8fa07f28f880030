"""`python -m experiments.evaluate`: a run's checkpoint on its benchmark, or in Miniworld."""

import csv
import json
import shutil
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dream_jax import config as configs
from dream_jax import envs, presets
from dream_jax.agents import registry
from dream_jax.config import TrialConfig
from dream_jax.data import rollout
from dream_jax.envs.sign3d import miniworld_adapter
from dream_jax.runs.agent_programs import KEY, AgentPrograms
from dream_jax.runs.load import LoadedRun
from dream_jax.training import evaluation as evaluate
from dream_jax.types import MetaTest
from experiments import evaluate as command_module
from experiments.analyses import bus_rides, fridges, miniworld, sign_decoding
from tests.envs.sign3d.test_miniworld_adapter import StandIn
from tests.experiments.test_report_command import Page

SIGN = {"env.horizon": "4", "networks.hidden_size": "8", "networks.head_size": "8"}


@pytest.fixture
def run_folder(finished_run):
    return finished_run[0]


def test_the_newest_checkpoint_is_evaluated_with_its_parameters(run_folder, capsys):
    assert command_module.main([f"--checkpoint={run_folder}", "--trials=30", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["env"] == "bus" and result["seeds"] == [0, 1]
    loaded = command_module.load(run_folder, {})
    assert result["trained_trials"] == loaded.trials == loaded.config.training.trials
    assert set(result["exploration"]) == {"coloured"}  # there are no grey buses
    assert len(result["exploration"]["coloured"]["rides_per_seed"]) == 2
    roll = jax.jit(lambda *args: evaluate.evaluate(loaded.agent, *args))
    for split, part in result["splits"].items():
        trials = evaluate.trial_set(loaded.env, split, 30, 1, cover=True)
        assert part["trials"] == len(trials.problem) >= 30
        for i in range(2):
            params = jax.tree.map(lambda x, i=i: x[i], loaded.params)
            key = jax.random.key(KEY)
            expected = roll(params, key, trials)
            np.testing.assert_allclose(
                part["return_per_seed"][i], expected.trial_return.mean(), rtol=1e-5
            )
            np.testing.assert_allclose(
                part["exploration_length_per_seed"][i], expected.exploration_length.mean()
            )
            explored = expected.exploration_return.mean()
            np.testing.assert_allclose(part["exploration_return_per_seed"][i], explored, rtol=1e-5)
            both = (explored + expected.trial_return.mean()) / 2
            np.testing.assert_allclose(part["from_the_start_per_seed"][i], both, rtol=1e-5)


@pytest.mark.slow
def test_the_same_is_shown_as_text(run_folder, capsys):
    assert command_module.main([f"--checkpoint={run_folder}", "--trials=30"]) == 0
    assert capsys.readouterr().out.count("return per seed") == 2


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "error: --checkpoint is missing"),
        (["--checkpoint=nowhere"], "error: --checkpoint=nowhere holds no run"),
        (["--checkpoint={run}", "--env=minworld"], "unknown --env='minworld'; valid: miniworld_"),
        (["--checkpoint={run}", "--env=miniworld_sign"], "trained on bus, Miniworld's is sign"),
        (["--checkpoint={run}", "--trials=0"], "--trials=0 must be at least 1"),
        (["--checkpoint={run}", "--trial=3"], "unknown argument '--trial=3'; nearest: --trials"),
        (["--checkpoint={run}", "--pretrained=map"], "--checkpoint and --pretrained exclude each"),
        (["--pretrained=mpa"], "unknown agent pretrained:mpa; nearest: map"),
        (["--checkpoint={run}", "--problems=3,x"], "--problems=3,x must be problem ids"),
        (["--checkpoint={run}", "--problems=24"], "--problems=24: bus has 0 to 23"),
        (["--checkpoint={run}", "--page={run}"], "is a folder; give a file"),
        (["--checkpoint={run}", "--table={run}/config.json"], "exists; give another name"),
        (["--checkpoint={run}", "--watch", "--json"], "--watch and --json exclude each other"),
        (["--checkpoint={run}", "--env=miniworld_sign", "--page=x"], "--page is not for --env"),
        (["--pretrained=map", "--film=mp5", "--out=films"], "unknown --film='mp5'; nearest: mp4"),
        (["--pretrained=map", "--film=mp4"], "--film=mp4 needs the folder that films go to"),
        (["--checkpoint={run}", "--config.env.horizons=3"], "unknown config key 'env.horizons'"),
        (["--checkpoint={run}", "--config.networks.z_size=3"], "leave the networks"),
    ],
)
def test_bad_input_is_one_clear_line(run_folder, flags, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command_module.main([flag.format(run=run_folder) for flag in flags]) == 2
    out, error = capsys.readouterr()
    assert message in error and error.count("\n") == 1 and not out
    assert not list(tmp_path.iterdir())


def test_everything_is_written_about_chosen_problems(run_folder, capsys, tmp_path):
    page, table, gifs = tmp_path / "new" / "a.html", tmp_path / "a.csv", tmp_path / "gifs"
    flags = [f"--checkpoint={run_folder}", "--trials=30", "--problems=3,7", f"--page={page}"]
    flags += [f"--table={table}", f"--out={gifs}", "--config.env.horizon=7"]
    flags += ["--config.trial.exploitation_episodes=3", "--watch"]
    assert command_module.main(flags) == 0
    text = capsys.readouterr().out
    # Watched first, as text, since this is no terminal; then the returns.
    assert text.startswith("exploration, step 0\n")
    assert "It was problem 3: bus 1 to" in text and "It was problem 7: bus 1 to" in text
    assert "exploitation, go to the" in text and "optimal " in text and "normalised per" in text
    assert "evaluated with env.horizon=7, trial.exploitation_episodes=3" in text
    assert sorted(path.name for path in gifs.iterdir()) == [
        "problem3_seed0.gif",
        "problem7_seed0.gif",
    ]
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert {(row["split"], row["problem"]) for row in rows} == {
        (split, problem) for split in ("train", "test") for problem in ("3", "7")
    }
    (run,) = Page(page).data["runs"]
    assert {trial["problem"] for trial in run["trials"]} == {3, 7}
    assert {trial["horizon"] for trial in run["trials"]} == {7}
    for trial in run["trials"]:
        assert len(trial["exploitation"]["exploration"]) == 3 == len(trial["instructions"])
        assert len(trial["exploration"]["actions"]) <= 7
    for row in rows:
        shown = [p for p in run["problems"] if str(p["problem"]) == row["problem"]]
        assert float(row["return_mean"]) in [p["return_mean"] for p in shown]


def test_the_parameters_alone_are_read(run_folder, tmp_path):
    """A run of a version whose replay had another shape is evaluated all the same."""
    there = tmp_path / "run"
    shutil.copytree(run_folder, there)
    file = there / "config.json"
    record = json.loads(file.read_text())
    assert record["config"]["replay"]["capacity_trials"] == 64
    record["config"]["replay"]["capacity_trials"] = 128
    file.write_text(json.dumps(record))
    loaded, before = (command_module.load(folder, {}) for folder in (there, run_folder))
    same = jax.tree.map(np.array_equal, loaded.params, before.params)
    assert all(jax.tree.leaves(same))


def test_returns_by_problem_average_to_those_of_the_split(run_folder, capsys):
    flags = [f"--checkpoint={run_folder}", "--trials=30", "--json"]
    assert command_module.main([*flags, "--config.env.horizon=7"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["overrides"] == {"env.horizon": "7"}
    for part in result["splits"].values():
        rows = part["problems"]
        assert [row["problem"] for row in rows] == list(range(24))
        # Every problem has as many trials.
        np.testing.assert_allclose(
            np.mean([row["return_per_seed"] for row in rows], axis=0),
            part["return_per_seed"],
            rtol=1e-5,
        )
        assert max(part["exploration_length_per_seed"]) <= 7


def test_gifs_of_an_earlier_evaluation_are_kept(run_folder, capsys, tmp_path):
    (tmp_path / "miniworld_problem0_seed0.gif").write_text("earlier")
    flags = [f"--checkpoint={run_folder}", "--env=miniworld_sign", f"--out={tmp_path}"]
    assert command_module.main(flags) == 2
    assert "holds GIFs already; give another folder" in capsys.readouterr().err
    assert [path.read_text() for path in tmp_path.iterdir()] == ["earlier"]


def test_rides_of_coloured_and_grey_buses_are_counted_apart():
    """By hand: a ride where no bus stands; up onto a coloured stop, there and back; right to a
    grey one, away, back and away; then padding."""
    up, right, ride, end = 1, 2, 5, 6
    actions = [ride, up, ride, ride, right, ride, ride, ride, end]
    env = envs.make("distracting_bus")

    def policy(step, view, key):
        return step + 1, rollout.Decision(jnp.asarray(actions)[step], jnp.zeros(9))

    def meta_test(params, key, problem, instructions):
        start = jnp.zeros((), jnp.int32)
        trial = TrialConfig(hidden_goal_ends_exploration=False)
        exploration = rollout.explore(env, policy, start, key, problem, trial).episode
        return MetaTest(exploration, *[None] * 6)

    agent = types.SimpleNamespace(env=env, meta_test=meta_test)
    result = bus_rides.rides(agent, jnp.zeros(2), "test", 1)  # of two seeds
    assert result["coloured"] == {"rides_per_seed": [2.0] * 2, "buses_ridden_per_seed": [1.0] * 2}
    assert result["grey"] == {"rides_per_seed": [3.0] * 2, "buses_ridden_per_seed": [1.0] * 2}


def test_returns_are_told_apart_by_how_many_fridges_were_opened():
    """By hand: nothing is opened by a pick up at the pot; the middle fridge counts once; going on
    to the upper one is the second, which only the second seed does before it ends."""
    up, right, end, pick = 1, 2, 6, 7
    actions = [pick, right, pick, pick, up, pick, end]
    env = envs.make("cooking")

    def policy(memory, view, key):
        step, steps = memory
        action = jnp.where(step < steps, jnp.asarray(actions)[step], end)
        action = jnp.where(step > steps, pick, action)  # over: it does not count
        return (step + 1, steps), rollout.Decision(action, jnp.zeros(env.num_actions))

    def meta_test(params, key, problem, instructions):
        memory = jnp.zeros((), jnp.int32), params
        trial = TrialConfig(hidden_goal_ends_exploration=False)
        exploration = rollout.explore(env, policy, memory, key, problem, trial).episode
        rewards = types.SimpleNamespace(reward=jnp.array([[0.5, -0.1 * params]]))
        return MetaTest(exploration, rewards, *[None] * 5)

    agent = types.SimpleNamespace(env=env, meta_test=meta_test)
    first, second = fridges.fridges(agent, jnp.array([4, 6]), "test", 9)
    assert first["share"] == [0, 1, 0, 0] and second["share"] == [0, 0, 1, 0]
    assert first["return"] == [None, pytest.approx(0.1), None, None]
    assert second["return"] == [None, None, pytest.approx(-0.1), None]


@pytest.fixture(scope="module")
def sign():
    """An untrained `LoadedRun` of two seeds."""
    config = configs.override(presets.get("sign", "dream"), SIGN)
    env = envs.from_config("sign", config.env)
    agent = registry.make(config, env)
    params = jax.jit(jax.vmap(agent.init))(jax.random.split(jax.random.key(0), 2))
    return LoadedRun(AgentPrograms(agent), params, [0, 1], 0, {})


def test_miniworld_is_played_and_filmed(sign, monkeypatch, tmp_path):
    monkeypatch.setattr(miniworld_adapter, "_make", StandIn)
    result = miniworld.run(sign, 5, tmp_path)
    assert result["trials"] == 6  # every colour and shape equally often
    assert len(result["return_per_seed"]) == 2
    assert all(-1.0 <= value <= 0.0 for value in result["return_per_seed"])  # it never pays
    assert all(1 <= value <= 4 for value in result["exploration_length_per_seed"])
    assert len(list(tmp_path.glob("miniworld_problem*_seed*.gif"))) == 6


@pytest.mark.slow
@pytest.mark.usefixtures("well_compiled")  # it draws thousands of pictures
def test_the_decoder_is_at_chance_where_the_sign_was_not_seen(sign):
    result = sign_decoding.accuracy(sign, 120)
    for part in result.values():
        assert part["trials_saw"] + part["trials_never_saw"] == 240
    part = result["random"]
    assert part["trials_saw"] > 20 and part["trials_never_saw"] > 20
    spread = np.sqrt(2 / 9 / part["trials_never_saw"])
    assert abs(part["accuracy_never_saw"] - 1 / 3) < 4 * spread


@pytest.mark.usefixtures("well_compiled")
def test_a_decoder_that_cheats_is_found(sign):
    agent = sign.agent

    def cheat(params, exploration):
        return agent.encode(params, exploration.observation.problem[0])

    cheating = types.SimpleNamespace(
        env=agent.env, explore=agent.explore, encode=agent.encode, read=cheat
    )
    loaded = types.SimpleNamespace(env=agent.env, agent=cheating, params=sign.params)
    assert sign_decoding.accuracy(loaded, 30)["random"]["accuracy_never_saw"] == 1.0
