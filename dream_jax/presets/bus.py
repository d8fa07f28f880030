"""Bus navigation, the settings that the other bus worlds share."""

from dataclasses import replace

from dream_jax.presets import tuned

# Actions that do nothing or end the episode. They are never drawn at random, only chosen greedily.
# With them, a random episode ends after 7 of 20 steps on average (computed, not tuned).
_INERT_ACTIONS = (4, 6, 7, 8)

CONFIG = replace(
    tuned.CONFIG,
    benchmark="bus",
    acting=replace(tuned.CONFIG.acting, excluded_random_actions=_INERT_ACTIONS),
    replay=replace(
        tuned.CONFIG.replay,
        # A quarter to a third of a run's trials. Chosen on distracting bus by validation problems:
        # with all trials kept, learning needs a fifth more updates (docs/data/validation).
        capacity_trials=4_096,
        # The decoder must have seen many random explorations before exploration follows it: 50
        # iterations of them. There is no record of other values.
        warmup_trials_exploration=1_600,
    ),
    # Lambda at its default. Map learns without it too (docs/lab_notebook.md, "Settings tried on
    # map").
    losses=replace(tuned.CONFIG.losses, bottleneck_weight=2e-6),
    training=replace(
        tuned.CONFIG.training,
        # About twice what map needs to reach 0.95 normalised return. `bus` itself was not tuned.
        trials=12_800,
        # Few trials for each update. Chosen on distracting bus by validation problems, among 32, 64
        # and 128 (docs/data/validation).
        trials_per_iteration=32,
        evaluation_period_trials=640,
    ),
)
