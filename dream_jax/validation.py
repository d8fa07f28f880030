"""Which values of a config are possible; everything else is refused by name."""

import sys

from dream_jax.config import NEARLY_GREEDY, Config, ConfigError, paths, to_dict

# Fields whose valid range is not "at least 1" for an int or "at least 0" for a float.
_MAY_BE_ZERO = {
    "updates_per_iteration",
    "warmup_trials_exploitation",
    "warmup_trials_exploration",
}
_MOST = {
    "horizon": 1_000,  # the oracles search every step
    "noise_std": 255.0,
}
_AT_MOST_ONE = {
    "discount",
    "trace_lambda",
    "epsilon_min",
    "epsilon_max",
    "random_suffix_fraction",
    "time_shift_fraction",
    "final_learning_rate_fraction",
    "hold_fraction",
    "exploration_batch_fraction",
    "shift_pixels",
    "bottleneck_dual_rate",
}


def validate(config: Config, num_actions: int) -> Config:
    """`config` itself if every value is possible. Raises ConfigError, naming value and remedy."""
    for path, value in paths(to_dict(config)).items():
        name = path.split(".")[-1]
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        if isinstance(value, int):
            least: float = 0 if name in _MAY_BE_ZERO else 1
            most: float = _MOST.get(name, 2**31 - 1)  # what counts them on device is an int32
        else:
            least = -sys.float_info.max if name == "bottleneck_target" else 0.0
            most = 1.0 if name in _AT_MOST_ONE else _MOST.get(name, sys.float_info.max)
        if not least <= value <= most:
            bound = f"at least {least:g}" if value < least else f"at most {most:.10g}"
            bound = f"between {least:g} and {most:g}" if most <= 1_000 else bound
            raise ConfigError(f"{path}={value!r} must be {bound}")
    c = config
    if c.losses.rho == 0:
        raise ConfigError("losses.rho=0.0 must be above 0, for example 0.1")
    if c.optimizer.max_gradient_norm == 0:
        raise ConfigError("optimizer.max_gradient_norm=0.0 must be above 0, for example 10.0")
    if not c.optimizer.average_decay < 1:
        raise ConfigError(
            f"optimizer.average_decay={c.optimizer.average_decay} must be below 1, like 0.99"
        )
    if c.acting.epsilon_min > c.acting.epsilon_max:
        raise ConfigError(
            f"acting.epsilon_min={c.acting.epsilon_min} must be at most "
            f"acting.epsilon_max={c.acting.epsilon_max}"
        )
    for action in c.acting.excluded_random_actions:
        if not 0 <= action < num_actions:
            raise ConfigError(
                f"acting.excluded_random_actions names action {action}; valid: 0 to "
                f"{num_actions - 1}"
            )
    if len(set(c.acting.excluded_random_actions)) >= num_actions:
        raise ConfigError("acting.excluded_random_actions leaves no action; leave out at least one")
    counts = c.acting.random_action_counts
    if counts and len(counts) != num_actions:
        raise ConfigError(
            f"acting.random_action_counts={counts} has {len(counts)} numbers; there are "
            f"{num_actions} actions"
        )
    if any(not 0 <= count <= 1_000 for count in counts):
        raise ConfigError(f"acting.random_action_counts={counts}: each must be between 0 and 1000")
    drawn = [n for a, n in enumerate(counts) if a not in c.acting.excluded_random_actions]
    if counts and not sum(drawn):
        raise ConfigError(
            f"acting.random_action_counts={counts} leaves no action; count one at least once"
        )
    if c.losses.decoder_folds > 1 and c.losses.td_reaches_decoder:
        raise ConfigError(
            f"losses.decoder_folds={c.losses.decoder_folds} needs losses.td_reaches_decoder=false: "
            "TD errors would train every head on every problem"
        )
    if c.losses.bottleneck_dual:
        if c.agent in ("e_rl2", "import", "varibad"):
            raise ConfigError(
                f"losses.bottleneck_dual=true: agent={c.agent!r} has no bottleneck; set it to false"
            )
        if not c.losses.bottleneck_weight > 0:
            raise ConfigError(
                f"losses.bottleneck_weight={c.losses.bottleneck_weight} must be above 0 where "
                "losses.bottleneck_dual adapts it, for example 2e-6"
            )
        # It is told by actors that exploit nearly greedily.
        for name, good, needed in (
            ("epsilon", c.acting.epsilon == "ladder", "'ladder'"),
            ("epsilon_min", c.acting.epsilon_min <= NEARLY_GREEDY, f"at most {NEARLY_GREEDY}"),
            ("random_suffix_fraction", c.acting.random_suffix_fraction == 0, "0"),
            ("time_shift_fraction", c.acting.time_shift_fraction == 0, "0"),
        ):
            if not good:
                value = getattr(c.acting, name)
                raise ConfigError(f"acting.{name}={value!r}: losses.bottleneck_dual needs {needed}")
    if c.agent == "dream_end_to_end" and not c.losses.td_reaches_decoder:
        raise ConfigError(
            "agent='dream_end_to_end' needs losses.td_reaches_decoder=true: exploration is paid "
            "the value of what the decoder read, which is learned in no other way"
        )
    if c.replay.exploration_batch_fraction == 0:
        raise ConfigError(
            "replay.exploration_batch_fraction=0.0 must be above 0, for example 0.5; without "
            "exploration to learn use the preset random_exploration"
        )
    if c.replay.batch_trials > c.replay.capacity_trials:
        raise ConfigError(
            f"replay.batch_trials={c.replay.batch_trials} is larger than the buffer, "
            f"replay.capacity_trials={c.replay.capacity_trials}"
        )
    iteration, period = "trials_per_iteration", "evaluation_period_trials"
    for path, value, unit in (
        ("replay.capacity_trials", c.replay.capacity_trials, iteration),
        (f"training.{period}", c.training.evaluation_period_trials, iteration),
        ("training.trials", c.training.trials, period),
    ):
        size = getattr(c.training, unit)
        if value % size:
            near = max(1, round(value / size)) * size
            raise ConfigError(
                f"{path}={value} must be a multiple of training.{unit}={size}, for example {near}"
            )
    for path, value in (
        ("replay.warmup_trials_exploitation", c.replay.warmup_trials_exploitation),
        ("replay.warmup_trials_exploration", c.replay.warmup_trials_exploration),
    ):
        for limit, most in (
            ("replay.capacity_trials", c.replay.capacity_trials),
            ("training.trials", c.training.trials),  # or that learner would never be trained
        ):
            if value > most:
                raise ConfigError(f"{path}={value} is larger than {limit}={most}")
    for path, value in (
        ("training.trials_per_iteration", c.training.trials_per_iteration),
        ("replay.batch_trials", c.replay.batch_trials),
        ("replay.batch_trials x exploration_batch_fraction", c.exploration_batch_trials),
    ):
        if value % c.training.trial_shards:
            raise ConfigError(
                f"training.trial_shards={c.training.trial_shards} must divide {path}={value}"
            )
    episodes = c.trial.exploration_episodes + c.trial.exploitation_episodes
    most = (2**31 - 1) // (episodes * (c.env.horizon + 1))
    if c.training.trials > most:
        raise ConfigError(
            f"training.trials={c.training.trials} must be at most {most}: steps are counted in "
            "32 bits"
        )
    return config
