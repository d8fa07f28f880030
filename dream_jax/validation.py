"""Which values of a config are possible, whatever the agent. Everything else is refused by name.

What an agent needs besides, its class checks (`dream_jax.agents.registry.check`).
"""

import numpy as np

from dream_jax.config import (
    NEARLY_GREEDY,
    ActingConfig,
    Config,
    ConfigError,
    LossConfig,
    paths,
    to_dict,
)

_LARGEST_INT = 2**31 - 1  # a device counts in int32
_LARGEST_FLOAT = float(np.finfo(np.float32).max)  # and computes in float32

# Fields whose valid range is not "at least 1" for an int or "at least 0" for a float.
_MAY_BE_ZERO = {
    "validation_problems",
    "updates_per_iteration",
    "warmup_trials_exploitation",
    "warmup_trials_exploration",
}
_MOST = {
    "horizon": 1_000,  # the oracles search every step
    "noise_std": 255.0,
    "learning_rate": 10.0,
    "exploration_episodes": 1_000,
    "exploitation_episodes": 1_000,
    # More would not fit the memory of any machine.
    "hidden_size": 16_384,
    "head_size": 16_384,
    "z_size": 16_384,
    "decoder_memory_size": 16_384,
    "decoder_hidden_size": 16_384,
    "latent_size": 16_384,
    "evaluation_trials": 1_000_000,
    "final_evaluation_trials": 1_000_000,
}
_LEAST = {"rho": 1e-6, "max_gradient_norm": 1e-6}  # they divide
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
_ANY_SIGN = {"bottleneck_target"}  # a return


def validate(config: Config, num_actions: int) -> Config:
    """`config` itself if every value is possible.

    Args:
      config: of any agent.
      num_actions: of the environment.

    Raises:
      ConfigError: a value that is not possible; the message names it and a valid one.
    """
    _check_ranges(config)
    _check_losses(config.losses)
    if not config.optimizer.average_decay < 1:
        raise ConfigError(
            f"optimizer.average_decay={config.optimizer.average_decay} must be below 1, like 0.99"
        )
    _check_acting(config.acting, num_actions)
    if config.losses.bottleneck_dual:
        _check_dual_bottleneck(config)
    _check_replay(config)
    _check_multiples(config)
    _check_warmups(config)
    _check_shards(config)
    _check_step_count(config)
    return config


def _check_ranges(config: Config) -> None:
    for path, value in paths(to_dict(config)).items():
        name = path.split(".")[-1]
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        if isinstance(value, int):
            least: float = 0 if name in _MAY_BE_ZERO else 1
            most: float = _MOST.get(name, _LARGEST_INT)
        else:
            least = -_LARGEST_FLOAT if name in _ANY_SIGN else _LEAST.get(name, 0.0)
            most = 1.0 if name in _AT_MOST_ONE else _MOST.get(name, _LARGEST_FLOAT)
        if not least <= value <= most:
            bound = f"at least {least:g}" if value < least else f"at most {most:.10g}"
            bound = f"between {least:g} and {most:g}" if most <= 1_000 else bound
            raise ConfigError(f"{path}={value!r} must be {bound}")


def _check_losses(losses: LossConfig) -> None:
    if losses.decoder_folds > 1 and losses.td_reaches_decoder:
        raise ConfigError(
            f"losses.decoder_folds={losses.decoder_folds} needs losses.td_reaches_decoder=false: "
            "TD errors would train every head on every problem"
        )


def _check_acting(acting: ActingConfig, num_actions: int) -> None:
    if acting.epsilon_min > acting.epsilon_max:
        raise ConfigError(
            f"acting.epsilon_min={acting.epsilon_min} must be at most "
            f"acting.epsilon_max={acting.epsilon_max}"
        )
    excluded = acting.excluded_random_actions
    for action in excluded:
        if not 0 <= action < num_actions:
            raise ConfigError(
                f"acting.excluded_random_actions names action {action}; valid: 0 to "
                f"{num_actions - 1}"
            )
    if len(set(excluded)) >= num_actions:
        raise ConfigError("acting.excluded_random_actions leaves no action; leave out at least one")
    counts = acting.random_action_counts
    if not counts:
        return
    if len(counts) != num_actions:
        raise ConfigError(
            f"acting.random_action_counts={counts} has {len(counts)} numbers; there are "
            f"{num_actions} actions"
        )
    if any(not 0 <= count <= 1_000 for count in counts):
        raise ConfigError(f"acting.random_action_counts={counts}: each must be between 0 and 1000")
    if not sum(count for action, count in enumerate(counts) if action not in excluded):
        raise ConfigError(
            f"acting.random_action_counts={counts} leaves no action; count one at least once"
        )


def _check_dual_bottleneck(config: Config) -> None:
    """Lambda needs a start above 0, and actors that exploit nearly greedily."""
    if not config.losses.bottleneck_weight > 0:
        raise ConfigError(
            f"losses.bottleneck_weight={config.losses.bottleneck_weight} must be above 0 where "
            "losses.bottleneck_dual adapts it, for example 2e-6"
        )
    acting = config.acting
    for name, good, needed in (
        ("epsilon", acting.epsilon == "ladder", "'ladder'"),
        ("epsilon_min", acting.epsilon_min <= NEARLY_GREEDY, f"at most {NEARLY_GREEDY}"),
        ("random_suffix_fraction", acting.random_suffix_fraction == 0, "0"),
        ("time_shift_fraction", acting.time_shift_fraction == 0, "0"),
    ):
        if not good:
            value = getattr(acting, name)
            raise ConfigError(f"acting.{name}={value!r}: losses.bottleneck_dual needs {needed}")


def _check_replay(config: Config) -> None:
    replay = config.replay
    if replay.exploration_batch_fraction == 0:
        raise ConfigError(
            "replay.exploration_batch_fraction=0.0 must be above 0, for example 0.5; without "
            "exploration to learn use the preset random_exploration"
        )
    if replay.batch_trials > replay.capacity_trials:
        raise ConfigError(
            f"replay.batch_trials={replay.batch_trials} is larger than the buffer, "
            f"replay.capacity_trials={replay.capacity_trials}"
        )


def _check_warmups(config: Config) -> None:
    replay = config.replay
    for path, value in (
        ("replay.warmup_trials_exploitation", replay.warmup_trials_exploitation),
        ("replay.warmup_trials_exploration", replay.warmup_trials_exploration),
    ):
        for limit, most in (
            ("replay.capacity_trials", replay.capacity_trials),
            ("training.trials", config.training.trials),  # else the learner is never trained
        ):
            if value > most:
                raise ConfigError(f"{path}={value} is larger than {limit}={most}")


def _check_multiples(config: Config) -> None:
    training = config.training
    iteration, period = "trials_per_iteration", "evaluation_period_trials"
    for path, value, unit in (
        ("replay.capacity_trials", config.replay.capacity_trials, iteration),
        (f"training.{period}", training.evaluation_period_trials, iteration),
        ("training.trials", training.trials, period),
    ):
        size = getattr(training, unit)
        if value % size:
            near = max(1, round(value / size)) * size
            raise ConfigError(
                f"{path}={value} must be a multiple of training.{unit}={size}, for example {near}"
            )


def _check_shards(config: Config) -> None:
    shards = config.training.trial_shards
    for path, value in (
        ("training.trials_per_iteration", config.training.trials_per_iteration),
        ("replay.batch_trials", config.replay.batch_trials),
        ("replay.batch_trials x exploration_batch_fraction", config.exploration_batch_trials),
    ):
        if value % shards:
            raise ConfigError(f"training.trial_shards={shards} must divide {path}={value}")


def _check_step_count(config: Config) -> None:
    episodes = config.trial.exploration_episodes + config.trial.exploitation_episodes
    most = _LARGEST_INT // (episodes * (config.env.horizon + 1))
    if config.training.trials > most:
        raise ConfigError(
            f"training.trials={config.training.trials} must be at most {most}: steps are counted "
            "in 32 bits"
        )
