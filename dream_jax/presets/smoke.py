"""A config at a tiny size, for `--smoke`: it learns nothing and ends seconds after compiling."""

from dataclasses import replace

from dream_jax.config import Config


def smoke(config: Config) -> Config:
    """`config` with a tiny replay and budget. Networks and environment stay as they are."""
    return replace(
        config,
        replay=replace(
            config.replay,
            capacity_trials=64,
            batch_trials=4,
            warmup_trials_exploitation=8,
            warmup_trials_exploration=16,
        ),
        training=replace(
            config.training,
            trials=64,
            trials_per_iteration=8,
            updates_per_iteration=min(2, config.training.updates_per_iteration),
            evaluation_period_trials=16,
            evaluation_trials=8,
            final_evaluation_trials=8,
            evaluations_per_checkpoint=2,
        ),
    )
