"""Rules that a config must keep: what is wrong, what is said, what is just right."""

import re

import pytest

from dream_jax import config as configs
from dream_jax import validation
from dream_jax.agents import registry
from dream_jax.config import Config
from dream_jax.validation import RANGES
from tests.settings import FIELDS, NUMBERS, message, value_of

NUM_ACTIONS = 9
ZERO_IS_FINE = {
    "env.validation_problems",
    "training.updates_per_iteration",  # means: paid for by environment steps
    "replay.warmup_trials_exploitation",
    "replay.warmup_trials_exploration",
}
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
    config = configs.override(Config(), BASE | overrides)
    registry.check(config)
    return validation.validate(config, num_actions)


@pytest.mark.parametrize("path", [p for p in NUMBERS if p != "losses.bottleneck_target"])
def test_no_number_may_be_negative(path):
    """But for the one that is a return."""
    value = -1 if FIELDS[path] is int else -1.0
    assert message(check, {path: "-1"}).startswith(f"{path}={value!r} must be ")


@pytest.mark.parametrize("path", [p for p in NUMBERS if FIELDS[p] is int])
def test_sizes_and_counts_are_at_least_one(path):
    if path in ZERO_IS_FINE:
        assert value_of(check({path: "0"}), path) == 0
    else:
        assert message(check, {path: "0"}) == f"{path}=0 must be between 1 and {RANGES[path].most}"


def test_every_number_has_a_range():
    assert set(RANGES) == set(NUMBERS)
    assert all(least < most for least, most in RANGES.values())


@pytest.mark.parametrize("path", NUMBERS)
def test_no_number_is_beyond_what_a_device_counts_with(path):
    """Integers are counted in 32 bits, and floats are float32."""
    largest = {int: 2**31 - 1, float: 3.4028235e38}[FIELDS[path]]
    for huge in ["inf", "1e300"] if FIELDS[path] is float else [str(2**31), "1e18"]:
        found = message(check, {path: huge})
        limit = re.fullmatch(r"(\S+)=\S+ must be between \S+ and (\S+)", found)
        assert limit and limit[1] == path, found
        assert 1 <= float(limit[2]) <= largest


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
        "losses.rho=0.0 must be between 1e-06 and 1000",
        {"losses.rho": "1e-3"},
    ),
    "no gradient": (
        {"optimizer.max_gradient_norm": "0"},
        "optimizer.max_gradient_norm=0.0 must be between 1e-06 and 1000000",
        {"optimizer.max_gradient_norm": "1e-3"},
    ),
    "a learning rate that diverges": (
        {"optimizer.learning_rate": "1e30"},
        "optimizer.learning_rate=1e+30 must be between 0 and 10",
        {"optimizer.learning_rate": "1"},
    ),
    "a network for no machine": (
        {"networks.hidden_size": "2147483647"},
        "networks.hidden_size=2147483647 must be between 1 and 16384",
        {"networks.hidden_size": "1024"},
    ),
    "more trials than memory holds": (
        {"training.final_evaluation_trials": "2147483647"},
        "training.final_evaluation_trials=2147483647 must be between 1 and 1000000",
        {"training.final_evaluation_trials": "1000000"},
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
        {"agent": "dream_half_coupled"},
        "agent='dream_half_coupled' needs losses.td_reaches_decoder=true: exploration earns the "
        "value of what the decoder read, and nothing else trains that value",
        {"agent": "dream_half_coupled", "losses.td_reaches_decoder": "true"},
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
