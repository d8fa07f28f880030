import dataclasses
import json
import typing

import pytest

from dream_jax import config as configs
from dream_jax import envs, validation
from dream_jax.config import Config, ConfigError
from dream_jax.presets import methods as presets

NUM_ACTIONS = 9


def fields(cls=Config, prefix=""):
    """{dotted path: type} of every setting."""
    found = {}
    for name, kind in typing.get_type_hints(cls).items():
        if dataclasses.is_dataclass(kind):
            found |= fields(kind, f"{prefix}{name}.")
        else:
            found[prefix + name] = kind
    return found


FIELDS = fields()
NUMBERS = [path for path, kind in FIELDS.items() if kind in (int, float)]
ZERO_IS_FINE = {
    "training.updates_per_iteration",  # means: paid for by environment steps
    "replay.warmup_trials_exploitation",
    "replay.warmup_trials_exploration",
}


def value_of(config, path):
    for name in path.split("."):
        config = getattr(config, name)
    return config


def another(kind, value):
    """(as typed on the command line, as it should arrive) of a value that is not `value`."""
    if kind is bool:
        return str(not value).lower(), not value
    if kind is int:
        return f"{value + 7}", value + 7
    if kind is float:
        return "0.625", 0.625
    if kind is str:
        return "something", "something"
    if typing.get_origin(kind) is tuple:
        return "3,1", (3, 1)
    return next((x, x) for x in typing.get_args(kind) if x != value)


def message(function, *arguments):
    with pytest.raises(ConfigError) as error:
        function(*arguments)
    text = str(error.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize("path", FIELDS)
def test_every_setting_can_be_overridden(path):
    text, value = another(FIELDS[path], value_of(Config(), path))
    config = configs.override(Config(), {path: text})
    assert configs.differences(Config(), config) == {path: (value_of(Config(), path), value)}
    assert type(value_of(config, path)) is type(value)


@pytest.mark.parametrize(
    "path, text, value",
    [
        ("training.trials", "1e3", 1000),
        ("training.trials", "64.0", 64),
        ("td.discount", "1", 1.0),
        ("optimizer.learning_rate", "3e-4", 3e-4),
        ("losses.normalise_information_gain", "FALSE", False),
        ("trial.redraw_instruction", "0", False),
        ("acting.excluded_random_actions", "(4, 5)", (4, 5)),
        ("acting.excluded_random_actions", "[6]", (6,)),
        ("acting.excluded_random_actions", "", ()),
    ],
)
def test_ways_to_write_a_value(path, text, value):
    assert value_of(configs.override(Config(), {path: text}), path) == value


def test_several_overrides_and_none():
    config = configs.override(Config(), {"td.discount": "0.5", "env.horizon": "7"})
    assert configs.differences(Config(), config) == {
        "td.discount": (Config().td.discount, 0.5),
        "env.horizon": (Config().env.horizon, 7),
    }
    assert configs.override(config, {}) == config


BAD_TEXTS = {
    bool: ("maybe", "2", ""),
    int: ("three", "1.5", "inf", "nan", "", "true"),
    float: ("half", "nan", "", "true", "1,2"),
}
REMEDIES = {bool: "true or false", int: "a whole number like 3", float: "a number like 0.5"}


@pytest.mark.parametrize("path", [p for p, kind in FIELDS.items() if kind in BAD_TEXTS])
def test_bad_values_are_named_with_a_remedy(path):
    for text in BAD_TEXTS[FIELDS[path]]:
        found = message(configs.override, Config(), {path: text})
        assert found == f"{path}={text!r} is not {REMEDIES[FIELDS[path]]}"


@pytest.mark.parametrize(
    "path", [p for p, kind in FIELDS.items() if typing.get_origin(kind) is typing.Literal]
)
def test_bad_choices_list_the_valid_ones(path):
    found = message(configs.override, Config(), {path: "qqq"})
    choices = ", ".join(typing.get_args(FIELDS[path]))
    assert found == f"{path}='qqq': valid: {choices}"


def test_bad_lists_and_groups():
    path = "acting.excluded_random_actions"
    assert message(configs.override, Config(), {path: "1,x"}) == (
        f"{path}='x' is not a whole number like 3"
    )
    assert message(configs.from_dict, {"acting": {"excluded_random_actions": 3}}) == (
        f"{path}=3 is not a list; for example 1,2"
    )
    found = message(configs.override, Config(), {"td": "3"})
    assert found.startswith("td='3': it is a group; set one of td.discount, ")
    assert message(configs.from_dict, {"td": 3}) == "td=3: it is a group; set its fields"


def test_types_in_a_file_are_checked_too():
    whole = "is not a whole number like 3"
    assert message(configs.from_dict, {"env": {"horizon": True}}) == f"env.horizon=True {whole}"
    assert message(configs.from_dict, {"env": {"horizon": None}}) == f"env.horizon=None {whole}"
    found = message(configs.from_dict, {"td": {"discount": [0.9]}})
    assert found == "td.discount=[0.9] is not a number like 0.5"
    found = message(configs.from_dict, {"agent": ["dream"]})
    assert found.startswith("agent=['dream']: valid: dream, ")


@pytest.mark.parametrize(
    "wrong, right",
    [
        ("td.discuont", "td.discount"),
        ("losses.discount", "td.discount"),  # in another group
        ("learning_rate", "optimizer.learning_rate"),  # without its group
        ("replay.batch_size", "replay.batch_trials"),
        ("td.discount.more", "td.discount"),
        ("trainings.trials", "training.trials"),
    ],
)
def test_an_unknown_key_names_the_nearest(wrong, right):
    found = message(configs.override, Config(), {wrong: "1"})
    start, _, listed = found.partition("; nearest: ")
    assert start == f"unknown config key {wrong!r}"
    assert right in listed.split(", ")


def test_a_key_near_to_none_lists_all():
    found = message(configs.override, Config(), {"qqqqqq": "1"})
    assert found == f"unknown config key 'qqqqqq'; valid: {', '.join(FIELDS)}"
    found = message(configs.from_dict, {"td": {"zzzzzz": 1}})
    assert found.startswith("unknown config key 'td.zzzzzz'; valid: td.discount, ")


def test_json_round_trip_of_every_preset():
    for benchmark in envs.BENCHMARKS:
        for name in presets.PRESETS:
            config = presets.preset(benchmark, name)
            assert (config.benchmark, config.preset) == (benchmark, name)
            assert configs.from_dict(json.loads(json.dumps(configs.to_dict(config)))) == config


def test_keys_that_are_missing_keep_their_default():
    assert configs.from_dict({}) == Config()
    config = configs.from_dict({"td": {"discount": 0.5}})
    assert configs.differences(Config(), config) == {"td.discount": (Config().td.discount, 0.5)}


def test_load_reads_a_config_or_a_saved_run(tmp_path):
    config = configs.override(Config(), {"td.discount": "0.5"})
    values = configs.to_dict(config)
    path = tmp_path / "config.json"
    for saved in (values, {"config": values, "seeds": [0, 1], "versions": {}}):
        path.write_text(json.dumps(saved))
        assert configs.load(str(path)) == config


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
    assert str(path) in message(configs.load, str(path))


def test_load_of_a_folder(tmp_path):
    assert str(tmp_path) in message(configs.load, str(tmp_path))


@pytest.mark.parametrize("benchmark", envs.BENCHMARKS)
@pytest.mark.parametrize("name", presets.PRESETS)
def test_every_preset_validates(benchmark, name):
    num_actions = envs.make(benchmark).num_actions
    config = presets.preset(benchmark, name)
    assert validation.validate(config, num_actions) is config
    small = presets.smoke(config)
    assert validation.validate(small, num_actions) is small
    assert small.training.trials <= 1000 < config.training.trials
    assert presets.smoke(small) == small


def test_presets_differ():
    for benchmark in envs.BENCHMARKS:
        made = [
            dataclasses.replace(presets.preset(benchmark, name), preset="")
            for name in presets.PRESETS
        ]
        assert len(set(made)) == len(presets.PRESETS)


def test_an_unknown_preset_names_the_nearest():
    found = message(presets.preset, "bus", "dreem")
    assert found.startswith("unknown preset 'dreem'; nearest: dream")
    found = message(presets.preset, "bus", "zzzz")
    assert found == f"unknown preset 'zzzz'; valid: {', '.join(presets.PRESETS)}"


BASE = {  # so that the rules below do not hang on the defaults
    "acting.epsilon_min": "0.02",
    "acting.epsilon_max": "1",
    "replay.capacity_trials": "16384",
    "replay.batch_trials": "32",
    "replay.warmup_trials_exploitation": "512",
    "replay.warmup_trials_exploration": "512",
    "training.trials": "76800",
    "training.trials_per_iteration": "128",
    "training.evaluation_period_trials": "2560",
}


def check(overrides, num_actions=NUM_ACTIONS):
    return validation.validate(configs.override(Config(), BASE | overrides), num_actions)


@pytest.mark.parametrize("path", [p for p in NUMBERS if p != "losses.bottleneck_target"])
def test_no_number_may_be_negative(path):
    """But for the one that is a return."""
    value = -1 if FIELDS[path] is int else -1.0
    assert message(check, {path: "-1"}).startswith(f"{path}={value!r} must be ")


@pytest.mark.parametrize("path", [p for p in NUMBERS if FIELDS[p] is int])
def test_sizes_and_counts_are_at_least_one(path):
    if path in ZERO_IS_FINE:
        assert value_of(check({path: "0"}), path) == 0
    elif path == "env.horizon":
        assert message(check, {path: "0"}) == f"{path}=0 must be between 1 and 1000"
    else:
        assert message(check, {path: "0"}) == f"{path}=0 must be at least 1"


@pytest.mark.parametrize("path", NUMBERS)
def test_no_number_is_beyond_what_a_device_counts_with(path):
    most = {int: 2**31 - 1, float: 1.7976931348623157e308}[FIELDS[path]]
    for huge in ["inf"] if FIELDS[path] is float else [str(2**31), "1e18"]:
        found = message(check, {path: huge})
        assert found.startswith(f"{path}=") and (
            f"at most {most:.10g}" in found or "and 1" in found or "and 255" in found
        )


@pytest.mark.parametrize(
    "path",
    [
        "td.discount",
        "td.trace_lambda",
        "acting.random_suffix_fraction",
        "acting.time_shift_fraction",
        "optimizer.hold_fraction",
        "optimizer.final_learning_rate_fraction",
    ],
)
def test_shares_are_at_most_one(path):
    assert message(check, {path: "1.01"}) == f"{path}=1.01 must be between 0 and 1"
    assert value_of(check({path: "1"}), path) == 1.0
    assert value_of(check({path: "0"}), path) == 0.0


RULES = {  # what is wrong: (overrides, what the message says, overrides that are just right)
    "no noise": (
        {"losses.rho": "0"},
        "losses.rho=0.0 must be above 0, for example 0.1",
        {"losses.rho": "1e-3"},
    ),
    "no gradient": (
        {"optimizer.max_gradient_norm": "0"},
        "optimizer.max_gradient_norm=0.0 must be above 0, for example 10.0",
        {"optimizer.max_gradient_norm": "1e-3"},
    ),
    "an average that never moves": (
        {"optimizer.average_decay": "1"},
        "optimizer.average_decay=1.0 must be below 1, like 0.99",
        {"optimizer.average_decay": "0.999"},
    ),
    "epsilon above one": (
        {"acting.epsilon_max": "1.5"},
        "acting.epsilon_max=1.5 must be between 0 and 1",
        {"acting.epsilon_max": "1"},
    ),
    "epsilon upside down": (
        {"acting.epsilon_min": "0.5", "acting.epsilon_max": "0.4"},
        "acting.epsilon_min=0.5 must be at most acting.epsilon_max=0.4",
        {"acting.epsilon_min": "0.4", "acting.epsilon_max": "0.4"},
    ),
    "an action there is not": (
        {"acting.excluded_random_actions": "4,9"},
        "acting.excluded_random_actions names action 9; valid: 0 to 8",
        {"acting.excluded_random_actions": "4,8"},
    ),
    "an action below 0": (
        {"acting.excluded_random_actions": "-1"},
        "acting.excluded_random_actions names action -1; valid: 0 to 8",
        {"acting.excluded_random_actions": "0"},
    ),
    "no action left": (
        {"acting.excluded_random_actions": "0,1,2,3,4,5,6,7,8"},
        "acting.excluded_random_actions leaves no action; leave out at least one",
        {"acting.excluded_random_actions": "0,1,2,3,4,5,6,7,7"},
    ),
    "too few counts": (
        {"acting.random_action_counts": "1,2"},
        "acting.random_action_counts=(1, 2) has 2 numbers; there are 9 actions",
        {"acting.random_action_counts": "1,2,0,0,0,0,0,0,1"},
    ),
    "a count below 0": (
        {"acting.random_action_counts": "1,1,1,1,1,1,1,1,-1"},
        "acting.random_action_counts=(1, 1, 1, 1, 1, 1, 1, 1, -1): each must be between 0 and 1000",
        {"acting.random_action_counts": "1,1,1,1,1,1,1,1,1000"},
    ),
    "counts that leave no action": (
        {
            "acting.random_action_counts": "2,0,0,0,0,0,0,0,0",
            "acting.excluded_random_actions": "0",
        },
        "acting.random_action_counts=(2, 0, 0, 0, 0, 0, 0, 0, 0) leaves no action; "
        "count one at least once",
        {
            "acting.random_action_counts": "2,0,0,0,0,0,0,0,0",
            "acting.excluded_random_actions": "1",
        },
    ),
    "a batch larger than the buffer": (
        {"replay.capacity_trials": "1024", "replay.batch_trials": "1025"},
        "replay.batch_trials=1025 is larger than the buffer, replay.capacity_trials=1024",
        {"replay.capacity_trials": "1024", "replay.batch_trials": "1024"},
    ),
    "a ring of parts": (
        {"replay.capacity_trials": "1000"},
        "replay.capacity_trials=1000 must be a multiple of training.trials_per_iteration=128, "
        "for example 1024",
        {"replay.capacity_trials": "1024"},
    ),
    "a ring smaller than an iteration": (
        {"replay.capacity_trials": "32", "replay.warmup_trials_exploitation": "0"},
        "replay.capacity_trials=32 must be a multiple of training.trials_per_iteration=128, "
        "for example 128",
        {
            "replay.capacity_trials": "128",
            "replay.warmup_trials_exploitation": "128",
            "replay.warmup_trials_exploration": "128",
        },
    ),
    "an evaluation within an iteration": (
        {"training.evaluation_period_trials": "200"},
        "training.evaluation_period_trials=200 must be a multiple of "
        "training.trials_per_iteration=128, for example 256",
        {"training.evaluation_period_trials": "256"},
    ),
    "an end before the next evaluation": (
        {"training.trials": "3000"},
        "training.trials=3000 must be a multiple of training.evaluation_period_trials=2560, "
        "for example 2560",
        {"training.trials": "2560"},
    ),
    "shorter than the first evaluation": (
        {"training.trials": "128"},
        "training.trials=128 must be a multiple of training.evaluation_period_trials=2560, "
        "for example 2560",
        {
            "training.trials": "128",
            "training.evaluation_period_trials": "128",
            "replay.warmup_trials_exploitation": "0",
            "replay.warmup_trials_exploration": "0",
        },
    ),
    "heads that are not kept apart": (
        {"losses.decoder_folds": "2", "losses.td_reaches_decoder": "true"},
        "losses.decoder_folds=2 needs losses.td_reaches_decoder=false: TD errors would train every "
        "head on every problem",
        {"losses.decoder_folds": "1", "losses.td_reaches_decoder": "true"},
    ),
    "exploration paid by values that are never learned": (
        {"agent": "dream_end_to_end"},
        "agent='dream_end_to_end' needs losses.td_reaches_decoder=true: exploration is paid the "
        "value of what the decoder read, which is learned in no other way",
        {"agent": "dream_end_to_end", "losses.td_reaches_decoder": "true"},
    ),
    "no exploration to learn from": (
        {"replay.exploration_batch_fraction": "0"},
        "replay.exploration_batch_fraction=0.0 must be above 0, for example 0.5; without "
        "exploration to learn use the preset random_exploration",
        {"replay.exploration_batch_fraction": "1e-9"},
    ),
    "over before it is warm": (
        {"training.trials": "2560", "replay.warmup_trials_exploration": "2561"},
        "replay.warmup_trials_exploration=2561 is larger than training.trials=2560",
        {"training.trials": "2560", "replay.warmup_trials_exploration": "2560"},
    ),
    "a batch that cannot be split": (
        {"training.trial_shards": "3"},
        "training.trial_shards=3 must divide training.trials_per_iteration=128",
        {"training.trial_shards": "4"},
    ),
    "part of a batch that cannot be split": (
        {"training.trial_shards": "4", "replay.exploration_batch_fraction": "0.2"},
        "training.trial_shards=4 must divide replay.batch_trials x exploration_batch_fraction=6",
        {"training.trial_shards": "4", "replay.exploration_batch_fraction": "0.25"},
    ),
    "more steps than can be counted": (
        {
            "training.trials": "51130564",
            "training.evaluation_period_trials": "1",
            "training.trials_per_iteration": "1",
        },
        "training.trials=51130564 must be at most 51130563: steps are counted in 32 bits",
        {
            "training.trials": "51130563",
            "training.evaluation_period_trials": "1",
            "training.trials_per_iteration": "1",
        },
    ),
    "exploitation never warm": (
        {"replay.warmup_trials_exploitation": "16385"},
        "replay.warmup_trials_exploitation=16385 is larger than replay.capacity_trials=16384",
        {"replay.warmup_trials_exploitation": "16384"},
    ),
    "exploration never warm": (
        {"replay.warmup_trials_exploration": "16385"},
        "replay.warmup_trials_exploration=16385 is larger than replay.capacity_trials=16384",
        {"replay.warmup_trials_exploration": "16384"},
    ),
}


@pytest.mark.parametrize("rule", RULES)
def test_what_cannot_be_is_refused(rule):
    wrong, text, right = RULES[rule]
    assert message(check, wrong) == text
    check(right)


@pytest.mark.parametrize("rule", ["a ring of parts", "an end before the next evaluation"])
def test_the_remedy_of_a_message_is_a_remedy(rule):
    wrong, text, _ = RULES[rule]
    (path,) = wrong
    assert check({path: text.rpartition(" ")[2]})


def test_the_number_of_actions_counts():
    excluded = {"acting.excluded_random_actions": "0,1"}
    check(excluded, num_actions=3)
    assert "leaves no action" in message(check, excluded, 2)
    assert "names action 1; valid: 0 to 0" in message(check, excluded, 1)


def test_differences():
    old = Config()
    new = configs.override(
        old, {"agent": "optimal", "td.discount": "0.5", "acting.excluded_random_actions": "1"}
    )
    assert configs.differences(old, old) == {}
    assert configs.differences(old, new) == {
        "agent": ("dream", "optimal"),
        "td.discount": (Config().td.discount, 0.5),
        "acting.excluded_random_actions": ((), (1,)),
    }
    swapped = {path: (new, old) for path, (old, new) in configs.differences(old, new).items()}
    assert configs.differences(new, old) == swapped
