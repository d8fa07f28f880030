"""Which values of a config are possible, whatever the agent. Everything else is refused by name.

What an agent needs besides, its class checks (`dream_jax.agents.registry.check`).
"""

from typing import NamedTuple

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


class Range(NamedTuple):
    """The values of a number, both ends included."""

    least: float
    most: float


_SHARE = Range(0.0, 1.0)
_WIDTH = Range(1, 16_384)  # more would not fit the memory of any machine
_EPISODES = Range(1, 1_000)
_WEIGHT = Range(0.0, 1e6)  # of a loss
_COUNT = Range(1, _LARGEST_INT)
_COUNT_OR_NONE = Range(0, _LARGEST_INT)

# Every number of `Config`. A value outside cannot be computed with, or nobody can mean it.
RANGES: dict[str, Range] = {
    "env.horizon": Range(1, 1_000),  # the oracles search every step
    "env.validation_problems": _COUNT_OR_NONE,
    "trial.exploration_episodes": _EPISODES,
    "trial.exploitation_episodes": _EPISODES,
    "networks.hidden_size": _WIDTH,
    "networks.head_size": _WIDTH,
    "networks.z_size": _WIDTH,
    "networks.decoder_memory_size": _WIDTH,
    "networks.decoder_hidden_size": _WIDTH,
    "networks.encoder_init_scale": Range(0.0, 1_000.0),
    "losses.rho": Range(1e-6, 1_000.0),  # it divides
    "losses.bottleneck_weight": _WEIGHT,
    "losses.bottleneck_clip": _WEIGHT,
    "losses.bottleneck_target": Range(-1e6, 1e6),  # a return
    "losses.bottleneck_dual_rate": _SHARE,
    "losses.exploration_step_penalty": _WEIGHT,
    "losses.decoder_folds": Range(1, 1_000),
    "end_to_end.distance_weight": _WEIGHT,
    "end_to_end.latent_size": _WIDTH,
    "end_to_end.kl_weight": _WEIGHT,
    "end_to_end.reward_weight": _WEIGHT,
    "end_to_end.beliefs_per_trial": _EPISODES,
    "td.discount": _SHARE,
    "td.trace_lambda": _SHARE,
    "td.target_update_period_updates": _COUNT,
    "acting.epsilon_min": _SHARE,
    "acting.epsilon_max": _SHARE,
    "acting.epsilon_decay_steps": _COUNT,
    "acting.random_suffix_fraction": _SHARE,
    "acting.time_shift_fraction": _SHARE,
    "optimizer.learning_rate": Range(0.0, 10.0),
    "optimizer.hold_fraction": _SHARE,
    "optimizer.final_learning_rate_fraction": _SHARE,
    "optimizer.max_gradient_norm": Range(1e-6, 1e6),  # it divides
    "optimizer.weight_decay": Range(0.0, 1_000.0),
    "optimizer.average_decay": _SHARE,
    "replay.capacity_trials": _COUNT,
    "replay.batch_trials": Range(1, 1_000_000),
    "replay.exploration_batch_fraction": _SHARE,
    "replay.warmup_trials_exploitation": _COUNT_OR_NONE,
    "replay.warmup_trials_exploration": _COUNT_OR_NONE,
    "augmentation.shift_pixels": _SHARE,
    "augmentation.noise_std": Range(0.0, 255.0),
    "training.trials": _COUNT,
    "training.trials_per_iteration": Range(1, 1_000_000),
    "training.updates_per_iteration": Range(0, 1_000_000),
    "training.env_steps_per_update": _COUNT,
    "training.evaluation_period_trials": _COUNT,
    "training.evaluation_trials": Range(1, 1_000_000),
    "training.final_evaluation_trials": Range(1, 1_000_000),
    "training.evaluations_per_checkpoint": _COUNT,
    "training.checkpoints_kept": _COUNT,
    "training.trial_shards": _COUNT,
}


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
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        least, most = RANGES[path]
        if not least <= value <= most:
            raise ConfigError(f"{path}={value!r} must be between {least:.10g} and {most:.10g}")


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
