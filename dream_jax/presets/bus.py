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
    # The decoder must have seen many random explorations before exploration follows it. There is no
    # record of other values.
    replay=replace(tuned.CONFIG.replay, warmup_trials_exploration=6_400),
    # Lambda at its default. Map learns without it too (docs/lab_notebook.md, "Settings tried on
    # map").
    losses=replace(tuned.CONFIG.losses, bottleneck_weight=2e-6),
    # About twice what map needs to reach 0.95 normalised return. `bus` itself was not tuned.
    training=replace(tuned.CONFIG.training, trials=51_200),
)
