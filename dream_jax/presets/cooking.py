"""Cooking."""

from dataclasses import replace

from dream_jax.presets import tuned

# Actions that do nothing or end the episode. They are never drawn at random, only chosen greedily.
_INERT_ACTIONS = (4, 5, 6)

CONFIG = replace(
    tuned.CONFIG,
    benchmark="cooking",
    acting=replace(
        tuned.CONFIG.acting,
        excluded_random_actions=_INERT_ACTIONS,
        # Exploitation acts greedily and then at random, half of the time as if it were later.
        # Chosen on the training and the held-out kitchens, by trajectories and returns
        # (docs/fidelity.md, "Why does cooking need the time shift?").
        random_suffix_fraction=1.0,
        time_shift_fraction=0.5,
    ),
    # There is no record of other values.
    networks=replace(tuned.CONFIG.networks, encoder_init_scale=0.3),
    # Chosen on cooking by the return on the training kitchens: with 0.6 of a shorter run one seed
    # of three ended at 0.87 (docs/lab_notebook.md, "What did not work").
    optimizer=replace(tuned.CONFIG.optimizer, hold_fraction=0.8),
    # Chosen on cooking against 0.8 (docs/lab_notebook.md, "What did not work").
    td=replace(tuned.CONFIG.td, trace_lambda=0.95),
    replay=replace(
        tuned.CONFIG.replay,
        # Chosen on cooking by validation kitchens: with four times as many, learning needs half as
        # many updates again (docs/data/validation).
        capacity_trials=8_192,
        # Chosen on cooking among 1, 1/2 and 1/4: half learns as much per update as all, a quarter
        # less (docs/lab_notebook.md, "What did not work").
        exploration_batch_fraction=0.5,
        # 20 iterations. There is no record of other values.
        warmup_trials_exploration=2_560,
    ),
    # Lambda at its default. There is no record of other values.
    losses=replace(tuned.CONFIG.losses, bottleneck_weight=2e-6),
    training=replace(
        tuned.CONFIG.training,
        trials=138_240,  # 1.2 times what a seed needed to reach 0.95 on the training kitchens
        # A quarter of the trials for each update of the earlier 512, for the same number of
        # updates: 0.95 after 4.4M environment steps instead of 8M to 16M (docs/data/validation).
        trials_per_iteration=128,
        evaluation_period_trials=2_560,
        evaluation_trials=567,  # every training kitchen with every recipe
    ),
)
