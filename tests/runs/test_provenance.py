"""config.json: what it holds, and how files of other versions are read."""

import copy
import json
import os
import subprocess
from pathlib import Path

import pytest

from dream_jax import config as configs
from dream_jax import presets
from dream_jax.config import Config, ConfigError
from dream_jax.runs import provenance
from experiments.bandit import BanditConfig
from tests.settings import FIELDS, message

GOLDEN = Path(__file__).parents[1] / "golden" / "config_version_1.json"
VERSION_1 = json.loads(GOLDEN.read_text())
CONFIG = presets.get("map", "dream")
# What `map --config=random_exploration` was then, in today's fields.
THEN = configs.override(
    presets.get("map", "random_exploration"),
    {
        "replay.capacity_trials": 16_384,
        "replay.warmup_trials_exploration": 6_400,
        "training.trials": 51_200,
        "training.trials_per_iteration": 128,
        "training.evaluation_period_trials": 2_560,
    },
)


def saved(config=CONFIG):
    """A config.json as JSON reads it back."""
    return json.loads(json.dumps(provenance.record(config, [5, 6])))


def test_a_record_is_read_back():
    record = saved()
    assert record["schema_version"] == provenance.SCHEMA_VERSION == 3
    assert record["seeds"] == [5, 6]
    assert record["versions"]["jax"]
    assert set(record) == {"schema_version", "config", "seeds", "git", "versions"}
    assert provenance.config_of(record) == CONFIG


def test_a_run_without_a_version_is_read_as_it_was():
    """The file is of `map --config=random_exploration` before files had a version."""
    assert VERSION_1["config"]["agent"] == "random_exploration"
    before = copy.deepcopy(VERSION_1)
    config = provenance.config_of(VERSION_1)
    assert config == THEN
    assert (config.agent, config.acting.random_exploration) == ("dream", True)
    assert before == VERSION_1


@pytest.mark.parametrize("path", provenance._THEN[1])
def test_a_field_of_later_gets_its_value_of_then(path):
    """Never today's default: here each default is another one."""
    record = copy.deepcopy(VERSION_1)
    group, field = path.split(".")
    record["config"][group].pop(field, None)
    found = configs.paths(configs.to_dict(provenance.config_of(record)))[path]
    then = provenance._THEN[1][path]
    if path == "acting.random_exploration":
        then = True  # this run's agent said so
    assert found == (tuple(then) if isinstance(then, list) else then)


def test_every_field_of_today_was_there_or_is_listed():
    """A field that is added to `Config` needs a line in `_THEN`."""
    there = configs.paths(VERSION_1["config"])
    listed = set().union(*provenance._THEN.values())
    assert set(FIELDS) - set(there) <= listed


def lacking(record, path):
    group, field = path.split(".")
    del record["config"][group][field]
    return record


REFUSED = {
    "newer": (saved() | {"schema_version": 4}, "schema_version=4 is newer", "update dream_jax"),
    "no version": (saved() | {"schema_version": "2"}, "schema_version='2'", "a whole number"),
    "below 1": (saved() | {"schema_version": 0}, "schema_version=0", "a whole number"),
    "a field that was lost": (lacking(saved(), "td.discount"), "lacks td.discount", "add"),
    "an old field without a value of then": (
        lacking(copy.deepcopy(VERSION_1), "networks.decoder_hidden_size"),
        "lacks networks.decoder_hidden_size",
        "add",
    ),
    "a field that is gone": (
        {"config": VERSION_1["config"] | {"folds": 3}},
        "unknown config key 'folds'",
        "valid: benchmark, ",
    ),
    "no config": ({"config": []}, "[] is not a config", "object"),
    "a group that is none": ({"config": {"acting": 3}}, "acting=3", "set its fields"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_another_file_is_refused_with_the_difference(case):
    record, difference, remedy = REFUSED[case]
    found = message(provenance.config_of, record)
    assert difference in found and remedy in found


def test_other_configs_have_versions_too():
    config = BanditConfig(epsilon=0.5)
    assert provenance.config_of(saved(config), BanditConfig) == config
    old = {"config": configs.to_dict(config), "seeds": [0]}
    assert provenance.config_of(old, BanditConfig) == config
    del old["config"]["epsilon"]
    assert "lacks epsilon" in message(provenance.config_of, old, BanditConfig)


# Files


def test_load_reads_a_saved_run_or_fields_alone(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(saved()))
    assert provenance.load(path) == CONFIG
    path.write_text(json.dumps(VERSION_1))
    assert provenance.load(path) == THEN
    path.write_text('{"td": {"discount": 0.5}}')  # the others keep their defaults
    assert provenance.load(str(path)) == configs.override(Config(), {"td.discount": 0.5})


@pytest.mark.parametrize(
    "content",
    [
        None,  # no such file
        b"",
        b'{"td": ',
        b"preset: dream",
        b"\xff\xfe\x00\x81",  # not text
        b"[1, 2]",
        b"3",
        b'{"config": 3}',
        b'{"config": null}',
    ],
)
def test_load_names_a_file_that_is_no_config(tmp_path, content):
    path = tmp_path / "mine.json"
    if content is not None:
        path.write_bytes(content)
    assert str(path) in message(provenance.load, str(path))


def test_load_of_a_folder(tmp_path):
    assert str(tmp_path) in message(provenance.load, str(tmp_path))


# The commit


@pytest.fixture
def checkout(tmp_path):
    """A repository with one commit, and a function that runs git in it."""
    code = tmp_path / "dream_jax"
    code.mkdir()
    (code / "config.py").write_text("a = 1\n")
    (tmp_path / ".gitignore").write_text("runs/\n")

    def git(*arguments):
        who = ("-c", "user.name=nobody", "-c", "user.email=nobody@example.org")
        done = subprocess.run(
            ["git", "-C", tmp_path, *who, *arguments], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    git("init", "-q")
    git("add", "-A")
    git("commit", "-q", "-m", "first")
    return tmp_path, git


def test_the_commit_and_whether_the_tree_is_dirty(checkout, monkeypatch):
    folder, git = checkout
    commit = git("rev-parse", "HEAD")
    assert provenance.git_state(folder) == {"commit": commit, "dirty": False}
    monkeypatch.setenv("GIT_DIR", "/nowhere")  # as inside a hook of another repository
    assert provenance.git_state(folder) == {"commit": commit, "dirty": False}
    monkeypatch.delenv("GIT_DIR")

    (folder / "runs").mkdir()
    (folder / "runs" / "notes.txt").write_text("ignored")
    (folder / "notes.txt").write_text("no code")
    assert not provenance.git_state(folder)["dirty"]
    (folder / "dream_jax" / "new.py").write_text("")
    assert provenance.git_state(folder)["dirty"]
    git("add", "dream_jax/new.py")
    git("commit", "-q", "-m", "second")
    assert provenance.git_state(folder) == {"commit": git("rev-parse", "HEAD"), "dirty": False}
    (folder / "dream_jax" / "config.py").write_text("a = 2\n")
    assert provenance.git_state(folder)["dirty"]


def test_code_that_is_in_no_checkout_has_no_commit(checkout, tmp_path_factory, monkeypatch):
    assert provenance.git_state(tmp_path_factory.mktemp("alone")) is None
    folder, _ = checkout
    installed = folder / "runs" / "site-packages"  # inside a checkout, but not of it
    (installed / "dream_jax").mkdir(parents=True)
    (installed / "dream_jax" / "config.py").write_text("a = 1\n")
    assert provenance.git_state(installed) is None
    monkeypatch.setenv("PATH", os.fspath(tmp_path_factory.mktemp("no_git")))
    assert provenance.git_state(folder) is None


def test_a_file_that_is_nested_too_deeply_is_refused_in_one_line(tmp_path):
    path = tmp_path / "config.json"
    path.write_text("[" * 100_000)
    with pytest.raises(ConfigError, match="nested too deeply"):
        provenance.load(path)


def test_the_half_coupled_ablation_had_another_name():
    record = copy.deepcopy(saved()) | {"schema_version": 2}
    record["config"]["agent"] = "dream_end_to_end"
    assert provenance.config_of(record).agent == "dream_half_coupled"
    assert provenance.config_of(record | {"schema_version": 3}).agent == "dream_end_to_end"
