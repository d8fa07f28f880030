"""The map world: bus navigation with a map that shows the problem's id."""

from dataclasses import replace

from dream_jax.presets import bus

CONFIG = replace(
    bus.CONFIG,
    benchmark="map",
    # Chosen on map. 0.95 is as good (docs/lab_notebook.md, "Settings tried on map").
    td=replace(bus.CONFIG.td, trace_lambda=0.9),
    # Exploitation is what learning waits for, so half of a batch is enough for the decoder and the
    # exploration policy. Chosen on map among 1, 1/2 and 1/4 by updates and seconds to 0.95 on the
    # test problems (docs/lab_notebook.md, "Half of each batch for decoder and exploration").
    replay=replace(bus.CONFIG.replay, exploration_batch_fraction=0.5),
)
