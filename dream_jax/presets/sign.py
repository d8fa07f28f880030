"""3D sign navigation, from pictures."""

from dataclasses import replace

from dream_jax.presets import tuned

CONFIG = replace(
    tuned.CONFIG,
    benchmark="sign",
    # Walk forward four times as often as turning each way, and never end the episode at random. A
    # random episode then reaches the right object five times as often, in 5% of episodes instead of
    # 1%. Chosen on sign (docs/lab_notebook.md, "What did not work").
    acting=replace(tuned.CONFIG.acting, random_action_counts=(1, 1, 4, 0)),
    networks=replace(
        tuned.CONFIG.networks,
        # Chosen for speed: the authors' convolutions would take hours on two cores
        # (docs/fidelity.md, "What differs in 3D sign navigation?").
        embedding="patches",
        # A picture seen before a turn is still needed after it. Not tuned.
        exploitation_memory="mingru",
    ),
    # As on map. Not tuned.
    td=replace(tuned.CONFIG.td, trace_lambda=0.9),
    # As on cooking. Not tuned.
    optimizer=replace(tuned.CONFIG.optimizer, hold_fraction=0.8),
    # Chosen on sign together with the size of an iteration below.
    replay=replace(tuned.CONFIG.replay, capacity_trials=32_768, warmup_trials_exploration=1_024),
    # Chosen on sign: shifts of 1 pixel and noise of 16 levels let the decoder of one seed of three
    # collapse (docs/lab_notebook.md, "What did not work").
    augmentation=replace(tuned.CONFIG.augmentation, shift_pixels=0.5, noise_std=4.0),
    training=replace(
        tuned.CONFIG.training,
        # Chosen on sign: with 64 trials an iteration nothing was learned in 1,300 updates
        # (docs/lab_notebook.md, "What did not work").
        trials=81_920,
        trials_per_iteration=256,
        updates_per_iteration=16,
        evaluation_period_trials=2_560,
        evaluation_trials=120,
    ),
)
